// The last minutes of each figure that is drawn, kept by this page alone.

const POINTS_MAX = 450; // 15 minutes at one point every two seconds
const SERIES_MAX = 400; // rooms and nodes come and go; the page may stay open for days

/** Times in seconds, and as many values. */
export interface Points {
  times: number[];
  values: number[];
}

/** Values by name. */
export class History {
  readonly #series = new Map<string, Points>();

  /** Adds the value of `name` at `time`, in seconds. */
  add(name: string, time: number, value: number): void {
    const points = this.#series.get(name) ?? { times: [], values: [] };
    points.times.push(time);
    points.values.push(value);
    if (points.times.length > POINTS_MAX) {
      points.times.shift();
      points.values.shift();
    }
    // Those that were not heard of for the longest time come first, and go first.
    this.#series.delete(name);
    this.#series.set(name, points);
    const [oldest] = this.#series.keys();
    if (this.#series.size > SERIES_MAX && oldest !== undefined) this.#series.delete(oldest);
  }

  /** What is known of `name`. */
  get(name: string): Points {
    return this.#series.get(name) ?? { times: [], values: [] };
  }
}
