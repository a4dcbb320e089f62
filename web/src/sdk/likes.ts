// Taps, counted once: batches with a session and a number, sent again until they are answered.

import type { Command } from "./envelope";
import { ulid } from "./ulid";

const BATCH_MS = 500;
const BATCH_TAPS_MAX = 1_000;
const ANSWER_MAX_MS = 5_000;
const RETRY_MS = 1_000;

/** The taps of one page. */
export class Likes {
  readonly #session = ulid();
  #taps = 0;
  #n = 0;
  /**
   * The batch on its way. Never two: the room remembers the last number it counted, so a batch
   * must not overtake the one before.
   */
  #batch: Command | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `send` answers false when there is nobody to send to. */
  constructor(private readonly send: (command: Command) => boolean) {}

  /** One tap. */
  tap(): void {
    this.#taps += 1;
    if (!this.#batch) this.#timer ??= setTimeout(() => this.#next(), BATCH_MS);
  }

  /** There is a link: what is unanswered goes out again. */
  connected(): void {
    this.#next();
  }

  /** Takes the answer to `ref`; `retryAfterMs` null: it is done with, counted or not. */
  answered(ref: string, retryAfterMs: number | null = null): boolean {
    if (ref !== this.#batch?.ref) return false;
    if (retryAfterMs === null) this.#batch = null;
    this.#after(retryAfterMs === null ? BATCH_MS : Math.max(retryAfterMs, RETRY_MS));
    return true;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#batch ??= this.#take();
    if (this.#batch && this.send(this.#batch)) this.#after(ANSWER_MAX_MS);
  }

  #after(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#batch || this.#taps > 0) this.#timer = setTimeout(() => this.#next(), milliseconds);
  }

  #take(): Command | null {
    if (this.#taps === 0) return null;
    const count = Math.min(this.#taps, BATCH_TAPS_MAX);
    this.#taps -= count;
    this.#n += 1;
    return {
      v: 1,
      type: "like",
      ref: `l${this.#n}`,
      body: { count, session: this.#session, n: this.#n },
    };
  }
}
