// Figures as people read them: three digits, one unit.

/** 950, 12.4 k, 1.25 M. */
export function count(value: number): string {
  if (value < 10_000) return Math.round(value).toLocaleString("en");
  return value < 1e6 ? `${trim(value / 1e3)} k` : `${trim(value / 1e6)} M`;
}

/** Bits per second. */
export function rate(bps: number): string {
  if (bps >= 1e9) return `${trim(bps / 1e9)} Gbit/s`;
  if (bps >= 1e6) return `${trim(bps / 1e6)} Mbit/s`;
  return bps === 0 ? "0" : `${Math.round(bps / 1e3)} kbit/s`;
}

/** Bytes, in binary units. */
export function bytes(value: number): string {
  const mebibytes = value / 1024 / 1024;
  return mebibytes >= 1024 ? `${trim(mebibytes / 1024)} GiB` : `${trim(mebibytes)} MiB`;
}

/** Milliseconds, finer below ten. */
export function milliseconds(value: number): string {
  if (value >= 10_000) return `${trim(value / 1000)} s`;
  return `${Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ms`;
}

/** How long ago or for how long, by its largest unit. */
export function span(value: number): string {
  const seconds = Math.max(0, Math.round(value / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** A share of one, in percent. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** "1 node", "3 nodes". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** The name of a protocol as the player shows it. */
export function protocol(name: string): string {
  const names: Record<string, string> = { hls: "LL-HLS", flv: "HTTP-FLV", dash: "LL-DASH" };
  return names[name] ?? name.toUpperCase();
}

function trim(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3).replace(/\.?0+$/, "");
}
