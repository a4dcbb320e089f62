// The figures beside the picture, and the choice of protocol.

import { byId, element, setText } from "../dom";
import type { Basis, Protocol } from "../player/engine";
import type { Stats } from "../watch";
import { text, type Key } from "../text";

const NAMES: Record<Protocol, string> = { hls: "LL-HLS", flv: "HTTP-FLV" };
const HISTORY = 90;

/** The name of a protocol as viewers read it. */
export function protocolName(protocol: Protocol): string {
  return NAMES[protocol];
}

const FIGURES = ["buffer", "picture", "bitrate", "start", "stalls", "dropped", "edge", "player"] as const;
type Figure = (typeof FIGURES)[number];

/** Builds the panel and refreshes it. */
export class Panel {
  readonly #choices = new Map<Protocol, HTMLInputElement>();
  readonly #delay = element("output", { class: "delay-value" });
  readonly #basis = element("span", { class: "delay-basis" });
  readonly #trace = new Trace();
  readonly #values = new Map<Figure, HTMLElement>();

  constructor(choose: (protocol: Protocol) => void) {
    const list = element("dl", { class: "figures" });
    for (const figure of FIGURES) {
      const value = element("dd", {}, "–");
      this.#values.set(figure, value);
      list.append(element("div", {}, element("dt", {}, text(figure)), value));
    }
    byId("panel", HTMLElement).append(
      this.#switch(choose),
      element(
        "section",
        { class: "delay", "aria-label": text("delay") },
        element("h2", {}, text("delay")),
        element("p", {}, this.#delay, this.#basis),
        this.#trace.node,
      ),
      list,
    );
  }

  /** Marks the protocol in use. */
  mark(protocol: Protocol): void {
    for (const [name, input] of this.#choices) input.checked = name === protocol;
    this.#trace.clear();
  }

  /** Shows the newest figures. */
  refresh(stats: Stats): void {
    const { latency_s: delay, latency_basis: basis } = stats;
    const playing = stats.state === "playing" && delay !== null && basis !== null;
    setText(this.#delay, playing ? `${delay.toFixed(2)} s` : "–");
    setText(this.#basis, playing ? text(subtitle(basis)) : "");
    this.#basis.title = playing ? text(`delay_${basis}`) : "";
    if (playing) this.#trace.add(delay);
    this.#set("buffer", seconds(stats.buffer_s));
    this.#set("picture", stats.height ? `${stats.width}×${stats.height}` : "–");
    this.#set("bitrate", stats.bitrate_bps ? rate(stats.bitrate_bps) : "–");
    this.#set("start", stats.startup_ms === null ? "–" : `${Math.round(stats.startup_ms)} ms`);
    this.#set("stalls", stalls(stats));
    this.#set("dropped", `${stats.frames_dropped} / ${stats.frames_decoded}`);
    this.#set("edge", stats.node ?? "–");
    this.#set("player", stats.engine ?? "–");
  }

  #set(figure: Figure, value: string): void {
    const node = this.#values.get(figure);
    if (node) setText(node, value);
  }

  #switch(choose: (protocol: Protocol) => void): HTMLElement {
    const group = element("fieldset", { class: "switch" });
    group.append(element("legend", { class: "unseen" }, text("protocol")));
    for (const protocol of ["hls", "flv"] as const) {
      const input = element("input", { type: "radio", name: "protocol", value: protocol });
      input.addEventListener("change", () => choose(protocol));
      this.#choices.set(protocol, input);
      group.append(element("label", {}, input, element("span", {}, NAMES[protocol])));
    }
    return group;
  }
}

/** The delay over the last minute and a half, as a line. */
class Trace {
  readonly node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  readonly #line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  readonly #values: number[] = [];

  constructor() {
    this.node.setAttribute("class", "trace");
    this.node.setAttribute("viewBox", `0 0 ${HISTORY - 1} 40`);
    this.node.setAttribute("preserveAspectRatio", "none");
    this.node.setAttribute("aria-hidden", "true");
    this.node.append(this.#line);
  }

  add(delay: number): void {
    this.#values.push(delay);
    if (this.#values.length > HISTORY) this.#values.shift();
    const top = Math.max(2, ...this.#values) * 1.15;
    const first = HISTORY - this.#values.length;
    const points = this.#values.map((value, i) => `${first + i},${40 - (value / top) * 40}`);
    this.#line.setAttribute("points", points.join(" "));
  }

  clear(): void {
    this.#values.length = 0;
    this.#line.removeAttribute("points");
  }
}

function subtitle(basis: Basis): Key {
  return `delay_sub_${basis}`;
}

function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}

function rate(bitsPerSecond: number): string {
  return bitsPerSecond >= 1e6
    ? `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`
    : `${Math.round(bitsPerSecond / 1e3)} kbit/s`;
}

function stalls({ stalls: count, stalled_ms }: Stats): string {
  return count === 0 ? "0" : `${count} (${(stalled_ms / 1000).toFixed(1)} s)`;
}
