// The bit rate of what was loaded lately, summed over tracks.

const WINDOW_S = 10;

/** Keeps the sizes of the last ten seconds of each track. */
export class Rate {
  readonly #tracks = new Map<string, { bits: number; seconds: number }[]>();

  /** One piece of media of a track arrived. */
  add(track: string, bits: number, seconds: number): void {
    if (!(seconds > 0)) return;
    const pieces = this.#tracks.get(track) ?? [];
    this.#tracks.set(track, pieces);
    pieces.push({ bits, seconds });
    let kept = pieces.reduce((sum, piece) => sum + piece.seconds, 0);
    while (kept > WINDOW_S && pieces.length > 1) kept -= pieces.shift()?.seconds ?? 0;
  }

  /** Null before the first piece. */
  bitsPerSecond(): number | null {
    let total = 0;
    for (const pieces of this.#tracks.values()) {
      const seconds = pieces.reduce((sum, piece) => sum + piece.seconds, 0);
      total += pieces.reduce((sum, piece) => sum + piece.bits, 0) / seconds;
    }
    return total > 0 ? total : null;
  }
}
