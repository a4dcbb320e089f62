// How long to wait before the next try.

const FIRST_MS = 500;
const CEILING_MS = 10_000;

/** Doubles from half a second to ten, with up to a quarter off so that viewers do not come back in step. */
export class Backoff {
  #tries = 0;

  /** The next wait in milliseconds. */
  next(): number {
    const full = Math.min(CEILING_MS, FIRST_MS * 2 ** this.#tries);
    this.#tries += 1;
    return full * (1 - Math.random() / 4);
  }

  /** All is well: the next wait is the shortest again. */
  reset(): void {
    this.#tries = 0;
  }
}
