// Holds what belongs to a picture until the picture is there.

/** Where the picture stands; an engine tells at least one. */
export interface Playhead {
  /** When it was captured, in milliseconds since 1970, by the host's side's clock. */
  wall_ms?: number;
  /** Its time on the broadcast's timeline, in milliseconds; FLV's wraps at 2^32. */
  media_ms?: number;
}

/** Looks this often while something is held: a fraction of what viewers notice. */
const LOOK_MS = 30;
/** A picture this old is seen already, or will not be: a pause, another show, a wrong clock. */
const HOLD_MAX_MS = 30_000;
const HELD_MAX = 256;
const WRAP_MS = 2 ** 32;

interface Waiting {
  at: Playhead;
  /** By `now`. */
  deadline: number;
  deliver: () => void;
}

/** What waits for its picture. */
export class Held {
  #waiting: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `playhead` answers null while there is no picture; `now` is the room's clock. */
  constructor(
    private readonly playhead: () => Playhead | null,
    private readonly now: () => number,
  ) {}

  /** Calls `deliver` when the playhead is at `at`; at once when it is already. */
  until(at: Playhead, deliver: () => void): void {
    const deadline = (at.wall_ms ?? this.now()) + HOLD_MAX_MS;
    this.#waiting.push({ at, deadline, deliver });
    if (this.#waiting.length > HELD_MAX) this.#waiting.shift()?.deliver();
    this.#look();
  }

  /** Forgets all. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
  }

  #look(): void {
    clearTimeout(this.#timer);
    const head = this.playhead();
    const now = this.now();
    const due = this.#waiting.filter(
      ({ at, deadline }) => now > deadline || isReached(at, head, now),
    );
    this.#waiting = this.#waiting.filter((one) => !due.includes(one));
    this.#timer = this.#waiting.length > 0 ? setTimeout(() => this.#look(), LOOK_MS) : undefined;
    for (const { deliver } of due) deliver();
  }
}

/** Whether the playhead has come to `at`; when the two cannot be compared, the clock decides. */
export function isReached(at: Playhead, head: Playhead | null, now: number): boolean {
  if (head === null) return false;
  if (head.media_ms !== undefined && at.media_ms !== undefined) {
    return wrapped(at.media_ms - head.media_ms) <= 0;
  }
  return at.wall_ms === undefined || at.wall_ms <= (head.wall_ms ?? now);
}

/** The shortest way between two times that wrap. */
function wrapped(difference: number): number {
  const rest = ((difference % WRAP_MS) + WRAP_MS) % WRAP_MS;
  return rest >= WRAP_MS / 2 ? rest - WRAP_MS : rest;
}
