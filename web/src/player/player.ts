// Keeps one room playing: chooses a protocol, tries again, falls back, and knows when it is over.

import { mediaUrl, presence, type Presence, type Turn } from "../api";
import type { Playhead } from "../sdk/held";
import { Backoff } from "./backoff";
import type { Engine, Failure, Protocol, Reports } from "./engine";

/** What the viewer is looking at. */
export type State =
  | { name: "loading" }
  | { name: "playing" }
  | { name: "buffering" }
  | { name: "retrying"; seconds: number }
  | { name: "queued"; seconds: number; place: number | null }
  | { name: "absent" }
  | { name: "ended" }
  | { name: "failed"; detail: string };

/** What the page hears. */
export interface Listener {
  stateChanged(state: State): void;
  protocolChanged(protocol: Protocol): void;
  fellBack(from: Protocol, to: Protocol, detail: string): void;
}

/** No picture after this long: the attempt has failed. */
const START_MAX_MS = 12_000;
/** A picture that stands still this long is a failure even if the connection is open. */
const STALL_MAX_MS = 10_000;
/** Playing this long forgives the failures before. */
const STABLE_MS = 8_000;
/** How often an empty or finished room is asked for again. */
const ABSENT_POLL_MS = 3_000;
/** Those who are sent to another edge spread over this time. */
const SPREAD_MS = 800;
/** Network failures in a row on one protocol before the other gets its turn. */
const NETWORK_FAILURES_MAX = 3;

/** Plays `room` in `video`, from `edge`: `https://HOST:PORT`, or this page's own. */
export class Player {
  readonly #backoff = new Backoff();
  readonly #refused = new Set<Protocol>();
  #engine: Engine | null = null;
  #attempt = 0;
  #state: State = { name: "loading" };
  #played = false;
  #networkFailures = 0;
  #startTimer = 0;
  #stallTimer = 0;
  #stableTimer = 0;
  #waitTimer = 0;
  /** Keeps the place in an edge's queue. */
  #ticket = "";

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly room: string,
    private protocol: Protocol,
    private readonly listener: Listener,
    private edge = "",
  ) {
    video.addEventListener("playing", () => this.#advanced());
    video.addEventListener("waiting", () => this.#stalled());
    addEventListener("online", () => this.#isWaiting() && void this.start());
  }

  get state(): State {
    return this.#state;
  }

  get engine(): Engine | null {
    return this.#engine;
  }

  get current(): Protocol {
    return this.protocol;
  }

  /** What the picture shows at this moment, or null while there is none. */
  playhead(): Playhead | null {
    return this.#engine?.playhead() ?? null;
  }

  /** Starts, or starts over, with the current protocol. */
  async start(): Promise<void> {
    const attempt = this.#stop();
    this.#show({ name: "loading" });
    this.listener.protocolChanged(this.protocol);
    this.#startTimer = window.setTimeout(
      () => this.#failed(attempt, { kind: "silence", detail: "no picture" }),
      START_MAX_MS,
    );
    const reports: Reports = {
      failed: (failure) => void this.#failed(attempt, failure),
      ended: () => void this.#finished(attempt),
    };
    const url = mediaUrl(this.room, this.protocol, this.edge, this.#ticket);
    try {
      const engine = await open(this.protocol, this.video, url, reports);
      if (attempt !== this.#attempt) return engine.destroy();
      this.#engine = engine;
      void this.video.play().catch(() => {}); // a browser that wants a tap first shows our button
    } catch (error) {
      await this.#failed(attempt, { kind: "media", detail: String(error) });
    }
  }

  /** The viewer chose a protocol: what failed before may be tried again. */
  use(protocol: Protocol): void {
    this.#refused.clear();
    this.#networkFailures = 0;
    this.#backoff.reset();
    this.protocol = protocol;
    void this.start();
  }

  /** The playhead goes to the live edge and plays. */
  toLive(): void {
    this.#engine?.toLive();
    void this.video.play().catch(() => {});
  }

  async #failed(attempt: number, failure: Failure): Promise<void> {
    if (attempt !== this.#attempt) return;
    const turn = this.#stop();
    const found = await presence(this.room, this.edge, this.#ticket);
    if (turn !== this.#attempt) return;
    if (found.status === "absent" || found.status === "ended") return this.#gone(found);
    if (found.turn) return this.#queue(found.turn);

    // Silence after a picture is the host's pause: another protocol would not end it.
    const hostIsSilent = failure.kind === "silence" && this.#played;
    this.#networkFailures += failure.kind === "media" || hostIsSilent ? 0 : 1;
    const unplayable = failure.kind === "media" || this.#networkFailures >= NETWORK_FAILURES_MAX;
    if (found.status === "live" && unplayable) return this.#fallBack(failure);
    this.#wait(this.#backoff.next());
  }

  /** The stream came to its end; a host that reconnects is found by the next try. */
  async #finished(attempt: number): Promise<void> {
    if (attempt !== this.#attempt) return;
    const turn = this.#stop();
    const found = await presence(this.room, this.edge, this.#ticket);
    if (turn !== this.#attempt) return;
    // FLV ends with its connection, for whatever reason; LL-HLS says that it is over.
    if (found.turn) return this.#queue(found.turn);
    const unsure = this.protocol === "flv" && found.status === "live";
    if (unsure || found.status === "unreachable") return this.#wait(this.#backoff.next());
    this.#gone(found);
  }

  #fallBack(failure: Failure): void {
    const from = this.protocol;
    const to = from === "hls" ? "flv" : "hls";
    this.#refused.add(from);
    this.#networkFailures = 0;
    if (this.#refused.has(to)) {
      this.#refused.clear();
      if (failure.kind === "media") this.#show({ name: "failed", detail: failure.detail });
      else this.#wait(this.#backoff.next());
      return;
    }
    this.protocol = to;
    this.listener.fellBack(from, to, failure.detail);
    void this.start();
  }

  /** Shows that there is nothing to play, and looks for a new show until there is. */
  #gone(found: Presence): void {
    const over = found.status !== "absent" || this.#played;
    this.#show({ name: over ? "ended" : "absent" });
    const attempt = this.#attempt;
    this.#waitTimer = window.setTimeout(async () => {
      const now = await presence(this.room, this.edge, this.#ticket);
      if (attempt !== this.#attempt) return;
      // A show that has ended is still listed for a while: live alone does not make it new.
      if (now.status === "live" && now.show !== found.show) void this.start();
      else this.#gone(now.status === "unreachable" ? found : now);
    }, ABSENT_POLL_MS);
  }

  #wait(milliseconds: number): void {
    this.#show({ name: "retrying", seconds: Math.ceil(milliseconds / 1000) });
    this.#waitTimer = window.setTimeout(() => void this.start(), milliseconds);
  }

  /** Goes where the edge says, or waits as long as it says; with the ticket the place is kept. */
  #queue({ seconds, place, ticket, alternates }: Turn): void {
    const other = alternates.find((edge) => edge !== this.edge);
    if (other !== undefined) {
      this.edge = other;
      // All viewers of an edge that drains come at once.
      return this.#wait(Math.random() * SPREAD_MS);
    }
    this.#ticket = ticket ?? "";
    this.#countDown(seconds, place);
  }

  #countDown(seconds: number, place: number | null): void {
    if (seconds <= 0) return void this.start();
    this.#show({ name: "queued", seconds, place });
    this.#waitTimer = window.setTimeout(() => this.#countDown(seconds - 1, place), 1_000);
  }

  #isWaiting(): boolean {
    return this.#state.name === "retrying";
  }

  #advanced(): void {
    if (!this.#engine) return;
    this.#played = true;
    this.#ticket = "";
    clearTimeout(this.#startTimer);
    clearTimeout(this.#stallTimer);
    clearTimeout(this.#stableTimer);
    this.#stableTimer = window.setTimeout(() => {
      this.#networkFailures = 0;
      this.#refused.clear();
      this.#backoff.reset();
    }, STABLE_MS);
    this.#show({ name: "playing" });
  }

  #stalled(): void {
    if (!this.#engine || this.#state.name !== "playing") return;
    clearTimeout(this.#stableTimer);
    const attempt = this.#attempt;
    this.#stallTimer = window.setTimeout(
      () => this.#failed(attempt, { kind: "silence", detail: "the picture stands still" }),
      STALL_MAX_MS,
    );
    this.#show({ name: "buffering" });
  }

  /** Ends the attempt: nothing that it still says counts. Answers the number of the next. */
  #stop(): number {
    for (const timer of [this.#startTimer, this.#stallTimer, this.#stableTimer, this.#waitTimer]) {
      clearTimeout(timer);
    }
    this.#engine?.destroy();
    this.#engine = null;
    this.#attempt += 1;
    return this.#attempt;
  }

  #show(state: State): void {
    this.#state = state;
    this.listener.stateChanged(state);
  }
}

/** Loads the library of a protocol and starts it. Throws when this browser cannot play it. */
async function open(
  protocol: Protocol,
  video: HTMLVideoElement,
  url: string,
  reports: Reports,
): Promise<Engine> {
  if (protocol === "flv") {
    const { FlvEngine } = await import("./flv");
    if (!FlvEngine.supported()) throw new Error("no Media Source Extensions");
    return new FlvEngine(video, url, reports);
  }
  const { NativeEngine } = await import("./native");
  if (NativeEngine.supported(video)) return new NativeEngine(video, url, reports);
  const { HlsEngine } = await import("./hls");
  if (!HlsEngine.supported()) throw new Error("no Media Source Extensions");
  return new HlsEngine(video, url, reports);
}
