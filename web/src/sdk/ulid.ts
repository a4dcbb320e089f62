// Names that sort by time and never meet: ULID (github.com/ulid/spec).

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 16;

/** 26 characters: 48 bits of time, 80 bits of chance. */
export function ulid(now = Date.now()): string {
  let time = "";
  for (let i = 0, rest = now; i < TIME_DIGITS; i += 1, rest = Math.floor(rest / 32)) {
    time = DIGITS.charAt(rest % 32) + time;
  }
  // Not `crypto.randomUUID`, which pages over plain HTTP lack.
  const random = crypto.getRandomValues(new Uint8Array(RANDOM_DIGITS));
  return time + Array.from(random, (byte) => DIGITS.charAt(byte % 32)).join("");
}
