// Where the time of a frame goes: one bar a hop, each beginning where the one before it ended.

import { element, setText } from "../dom";
import type { Hop, Percentiles, RoomDetail, Why } from "./api";
import { milliseconds, span } from "./format";
import { Keyed, type Row } from "./keyed";

/** A hop with the place of its bar. */
interface Bar {
  hop: Hop;
  /** Where it begins, and how long the whole way is, in milliseconds at p95. */
  from: number;
  whole: number;
}

const NAMES: Record<Hop["hop"], string> = {
  host: "Host",
  uplink: "Uplink",
  origin: "Origin",
  relay: "Link",
  node: "Relay node",
  edge: "Edge",
  last_mile: "Last mile",
};

/** The waterfall of a room, with its verdict above. */
export class Waterfall {
  readonly #words = element("p", { class: "verdict", role: "status" });
  readonly #cause = element("p", { class: "cause" });
  readonly #list = element("ol", { class: "hops" });
  readonly #scale = element("p", { class: "scale" });
  readonly node = element(
    "section",
    { class: "block waterfall" },
    element("h2", {}, "Way of a frame"),
    this.#words,
    this.#cause,
    this.#list,
    this.#scale,
  );
  readonly #rows = new Keyed<Bar>(this.#list, ({ hop }) => `${hop.hop} ${hop.at}`, barRow);

  show(why: Why): void {
    const { verdict } = why;
    this.node.dataset.state = verdict.state;
    setText(this.#words, verdict.words);
    const affected = verdict.affected_viewers;
    const cause = [verdict.cause, affected > 0 && `${affected} viewers notice it.`];
    setText(this.#cause, cause.filter(Boolean).join(" "));
    this.#rows.show(barsOf(why.hops));
    this.node.classList.toggle("medians", why.medians === true);
    setText(this.#scale, scaleOf(why));
  }
}

function scaleOf({ medians, window_seconds: now, baseline_seconds: before, node }: Why): string {
  if (medians) return `Medians, as seen from ${node}; an edge sees the whole way.`;
  const usual = span(before * 1000);
  return `At the 95th percentile of ${now} s; the tick is that of ${usual}. Seen from ${node}.`;
}

function barsOf(hops: Hop[]): Bar[] {
  // A hop may seem to take less than nothing, by as much as the clocks are unsure: it is drawn as
  // nothing, and its figure says how unsure it is.
  const length = (hop: Hop): number => Math.max(0, hop.now?.p95_ms ?? 0);
  const reach = (hop: Hop): number => Math.max(length(hop), hop.baseline?.p95_ms ?? 0);
  let from = 0;
  const placed = hops.map((hop) => {
    const start = from;
    from += length(hop);
    return { hop, from: start, until: start + reach(hop) };
  });
  const whole = Math.max(1, ...placed.map(({ until }) => until));
  return placed.map(({ hop, from }) => ({ hop, from, whole }));
}

function barRow({ hop: first }: Bar): Row<Bar> {
  const where = element("span", { class: "where" });
  const name = element("span", { class: "hop" }, element("b", {}, NAMES[first.hop]), where);
  const tick = element("i", { class: "tick" });
  const fill = element("i", { class: "fill" });
  const track = element("span", { class: "track", "aria-hidden": "true" }, fill, tick);
  const p95 = element("output");
  const rest = element("span", { class: "rest" });
  const node = element("li", {}, name, track, element("span", { class: "took" }, p95, rest));
  return {
    node,
    update({ hop, from, whole }) {
      node.classList.toggle("bad", hop.bad);
      node.title = hop.what;
      setText(where, hop.at);
      setText(p95, hop.now ? milliseconds(hop.now.p95_ms) : "–");
      setText(rest, restOf(hop));
      const share = (value: number): string => String(Math.max(0, value) / whole);
      fill.style.setProperty("--from", share(from));
      fill.style.setProperty("--length", share(hop.now?.p95_ms ?? 0));
      tick.style.setProperty("--from", share(from + (hop.baseline?.p95_ms ?? 0)));
      tick.hidden = !hop.baseline;
    },
  };
}

function restOf({ now, baseline, bad, uncertainty_ms: unsure }: Hop): string {
  if (!now) return "no figures";
  const facts = [`p50 ${milliseconds(now.p50_ms)}`, `p99 ${milliseconds(now.p99_ms)}`];
  if (bad && baseline) facts.unshift(`was ${milliseconds(baseline.p95_ms)}`);
  if (unsure !== null && unsure >= 1) facts.push(`± ${milliseconds(unsure)}`);
  return facts.join(" · ");
}

/** What the room's own figures tell of the way, where nobody answers `why`. */
export function mediansOf(room: RoomDetail, node: string): Why | null {
  const video = room.tracks.find(({ kind }) => kind === "video") ?? room.tracks[0];
  const legs = video?.latency_ms;
  if (!legs) return null;
  const hop = (kind: Hop["hop"], at: string, what: string, median: number | null): Hop => {
    const now: Percentiles | null =
      median === null ? null : { p50_ms: median, p95_ms: median, p99_ms: median };
    const rest = { baseline: null, excess_ms: 0, uncertainty_ms: null, bad: false };
    return { hop: kind, at, what, now, ...rest };
  };
  const hops = [hop("host", "host", "from capture to the origin", legs.capture_to_ingest)];
  legs.relay.forEach(({ before_ms: before, link_ms: link }, i) => {
    const name = i === 0 ? "origin" : "node";
    hops.push(hop(name, `hop ${i}`, "from arrival to sending", before));
    hops.push(hop("relay", `link ${i + 1}`, "on the way", link));
  });
  return {
    node,
    window_seconds: 10,
    baseline_seconds: 60,
    medians: true,
    verdict: { state: "unknown", words: "Where the time goes", cause: null, affected_viewers: 0 },
    hops,
  };
}
