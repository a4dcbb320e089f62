// What a host writes on a card: addresses and prices.

/** The absolute URL, if it leads to the web; hosts are trusted to sell, not to run scripts. */
export function webAddress(text: unknown): string | null {
  if (typeof text !== "string" || text === "") return null;
  try {
    const url = new URL(text, location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** "¥9.50" for 9.5 and "9.50", or what the host wrote. */
export function priceOf(price: string | number = "", currency = ""): string {
  const words = `${price} ${currency}`.trim();
  if (!/^\d+(\.\d+)?$/.test(String(price))) return words;
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(Number(price));
  } catch {
    return words; // not a currency that this browser knows
  }
}
