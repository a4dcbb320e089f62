// One line over time, drawn by uPlot in the colours of the page.

import "uplot/dist/uPlot.min.css";

import uPlot from "uplot";

import { element } from "../dom";
import type { Points } from "./history";

const HEIGHT = 132;
/** The time that a chart shows: what is known, between these. */
const WINDOW_S = { min: 120, max: 15 * 60 };

/** A shorter time has seconds on its axis. */
const PRECISE_S = 5 * 60;

/** A chart with its heading; `unit` writes values of the axis. */
export class Chart {
  readonly node: HTMLElement;
  readonly #canvas = element("div", { class: "plot" });
  readonly #scheme = matchMedia("(prefers-color-scheme: light)");
  readonly #resized: ResizeObserver;
  #plot: uPlot | null = null;
  #points: Points = { times: [], values: [] };

  constructor(
    private readonly title: string,
    private readonly unit: (value: number) => string,
  ) {
    this.node = element("figure", { class: "chart" }, element("figcaption", {}, title), this.#canvas);
    this.#canvas.setAttribute("role", "img");
    this.#resized = new ResizeObserver(() => this.#draw(true));
    this.#resized.observe(this.#canvas);
    this.#scheme.addEventListener("change", this.#repaint);
  }

  /** Shows `points`. */
  show(points: Points): void {
    this.#points = points;
    const newest = points.values.at(-1);
    const label = newest === undefined ? "no figures yet" : `now ${this.unit(newest)}`;
    this.#canvas.setAttribute("aria-label", `${this.title}: ${label}`);
    this.#draw(false);
  }

  /** Frees what it holds. */
  close(): void {
    this.#resized.disconnect();
    this.#scheme.removeEventListener("change", this.#repaint);
    this.#plot?.destroy();
  }

  #repaint = (): void => this.#draw(true);

  #draw(anew: boolean): void {
    const width = this.#canvas.clientWidth;
    if (width === 0) return;
    if (anew && this.#plot?.width === width && this.#plot.height === HEIGHT) anew = this.#recolours();
    const data: uPlot.AlignedData = [this.#points.times, this.#points.values];
    if (this.#plot && !anew) return this.#plot.setData(data);
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(width), data, this.#canvas);
    this.#plot.root.dataset.scheme = String(this.#scheme.matches);
  }

  /** So little is known that minutes would repeat on the axis. */
  #isYoung(): boolean {
    const { times } = this.#points;
    return (times.at(-1) ?? 0) - (times[0] ?? 0) < PRECISE_S;
  }

  #recolours(): boolean {
    return this.#plot?.root.dataset.scheme !== String(this.#scheme.matches);
  }

  #options(width: number): uPlot.Options {
    const colour = (name: string): string =>
      getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--soft"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width,
      height: HEIGHT,
      padding: [10, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 } },
      scales: {
        x: { range: (_, min, max) => [Math.max(Math.min(min, max - WINDOW_S.min), max - WINDOW_S.max), max] },
        y: { range: (_, __, max) => [0, Math.max(max * 1.15, 1)] },
      },
      axes: [
        { ...axis, space: 70, size: 26, values: (_, splits) => splits.map((at) => clock(at, this.#isYoung())) },
        { ...axis, size: 74, values: (_, splits) => splits.map((value) => this.unit(value)) },
      ],
      series: [
        {},
        {
          stroke: colour("--accent-ink"),
          fill: `color-mix(in oklab, ${colour("--accent-ink")} 14%, transparent)`,
          width: 2,
          points: { show: false },
        },
      ],
    };
  }
}

function clock(seconds: number, precise: boolean): string {
  const timeStyle = precise ? "medium" : "short";
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", { timeStyle });
}
