// Hearts that rise over the picture: the own taps, and what the others tap.

import { byId, element, icon } from "../dom";

/** The shape of a heart. */
export const HEART =
  "M12 20.6 4.3 13a5.2 5.2 0 0 1 0-7.4 5.3 5.3 0 0 1 7.4 0l.3.3.3-.3a5.3 5.3 0 0 1 7.4 0 5.2 5.2 0 0 1 0 7.4z";

/** More at once would cost frames of the picture. */
const FLYING_MAX = 24;
/** However many tapped, one tick of the total shows at most this many. */
const EACH_TICK_MAX = 5;
const TICK_MS = 200;
const HUES = 5;

/** Draws them. */
export class Hearts {
  readonly #sky = byId("hearts", HTMLElement);
  #total: number | null = null;
  #own = 0;
  #next = 0;

  /** The viewer tapped. */
  tap(): void {
    this.#own += 1;
    this.#fly();
  }

  /** The total of all is `total` now. */
  show(total: number): void {
    const more = this.#total === null ? 0 : Math.max(0, total - this.#total);
    const ours = Math.min(this.#own, more); // these have flown
    this.#own -= ours;
    this.#total = total;
    const count = Math.min(EACH_TICK_MAX, more - ours);
    for (let i = 0; i < count; i += 1) setTimeout(() => this.#fly(), (i * TICK_MS) / count);
  }

  #fly(): void {
    if (document.hidden || this.#sky.childElementCount >= FLYING_MAX) return;
    this.#next += 1;
    const heart = element("i", { class: `heart hue-${this.#next % HUES}` }, icon(HEART));
    heart.style.setProperty("--drift", (Math.random() * 2 - 1).toFixed(2));
    heart.addEventListener("animationend", () => heart.remove());
    this.#sky.append(heart);
  }
}
