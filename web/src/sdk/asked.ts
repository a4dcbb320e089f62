// Commands that somebody waits for.

import type { RoomEvent } from "./envelope";

/** Why a command was not carried out. `status` as in HTTP; 0: the answer is lost. */
export class Refused extends Error {
  override readonly name = "Refused";

  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(detail);
  }

  /** Nobody knows whether it was carried out. */
  static lost(): Refused {
    return new Refused(0, "lost", "The connection is lost.");
  }
}

const ANSWER_MAX_MS = 12_000;
const ASKED_MAX = 64;

interface One {
  resolve: (event: RoomEvent) => void;
  reject: (error: Refused) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** The commands without an answer, by `ref`. */
export class Asked {
  readonly #waiting = new Map<string, One>();
  #count = 0;

  /** Calls `send` with a new `ref`; answers what comes back for it. */
  ask(send: (ref: string) => boolean): Promise<RoomEvent> {
    this.#count += 1;
    const ref = `r${this.#count}`;
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= ASKED_MAX) {
        return reject(new Refused(429, "busy", "Too much at once."));
      }
      if (!send(ref)) return reject(Refused.lost());
      const timer = setTimeout(() => this.reject(ref, Refused.lost()), ANSWER_MAX_MS);
      this.#waiting.set(ref, { resolve, reject, timer });
    });
  }

  /** False when nobody waits for it. */
  resolve(ref: string, event: RoomEvent): boolean {
    const one = this.#take(ref);
    one?.resolve(event);
    return one !== undefined;
  }

  /** False when nobody waits for it. */
  reject(ref: string, error: Refused): boolean {
    const one = this.#take(ref);
    one?.reject(error);
    return one !== undefined;
  }

  /** The link is gone, and with it all answers. */
  rejectAll(): void {
    for (const ref of [...this.#waiting.keys()]) this.reject(ref, Refused.lost());
  }

  #take(ref: string): One | undefined {
    const one = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    clearTimeout(one?.timer);
    return one;
  }
}
