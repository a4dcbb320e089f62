// Keeps one member in one room: chooses edge and transport, and comes back after each loss.

import { Backoff } from "../player/backoff";
import type { Command, EventOf, RoomEvent } from "./envelope";
import type { Address, Ending, Link, Reports } from "./link";
import { SocketLink } from "./socket";
import { StreamLink } from "./stream";

/** How the member stands to the room. */
export type State =
  | { name: "connecting" }
  | { name: "open"; edge: string; transport: Transport }
  | { name: "waiting"; milliseconds: number; reason: string }
  /** There is no such room at present; it is asked for again. */
  | { name: "absent" }
  /** The token or a ban forbids it: trying again would not help. */
  | { name: "refused"; reason: string }
  | { name: "closed" };

/** What carries the room. */
export type Transport = "websocket" | "events";

/** What the connection asks of its room. */
export interface Owner {
  /** The query of the next try: who, and where to resume. */
  query(): URLSearchParams;
  /** An order waits for its answer: no time to lose. */
  hasHaste(): boolean;
  event(event: RoomEvent): void;
  stateChanged(state: State): void;
}

/** All members of an edge that dies come at once: they spread over so much for each edge lost. */
const SPREAD_MS = 5_000;
/** A link that lived this long was good: the next wait is short again. */
const STABLE_MS = 8_000;
/** Failures in a row on one transport before the other gets its turn. */
const FAILURES_EACH = 2;
const ABSENT_MS = 3_000;
/** Edges that are tried in turn, with those that edges have named. */
const EDGES_MAX = 32;

const MUST_STAY_OUT: ReadonlySet<number> = new Set([4400, 4401, 4403]);
const NO_ROOM = 4404;
/** The edge is well, and this link was not: it may come back at once. */
const SAME_EDGE: ReadonlySet<number> = new Set([4408, 4900]);
/** Ours: an event is missing between two that came. */
const GAP: Ending = { code: 4900, reason: "an event is missing" };
/** Ours: a command got no answer, so the link is dead without knowing it. */
const SILENCE: Ending = { code: 1006, reason: "no answer" };

/** The connection of one member, over as many links as it takes. */
export class Connection {
  readonly #backoff = new Backoff();
  #link: Link | null = null;
  #edges: string[];
  #state: State = { name: "connecting" };
  #edge = 0;
  #failures = 0;
  #openedAt: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    edges: string[],
    private readonly room: string,
    private readonly owner: Owner,
  ) {
    this.#edges = edges;
    addEventListener("online", this.#online);
  }

  get state(): State {
    return this.#state;
  }

  /** Tries now. */
  open(): void {
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#openedAt = null;
    const edge = this.#here();
    const turn = Math.floor(this.#failures / FAILURES_EACH) % 2;
    const transport: Transport = turn === 0 ? "websocket" : "events";
    const address: Address = { edge, room: this.room, query: this.owner.query() };
    const reports: Reports = {
      event: (event) => {
        if (event.type === "hello") this.#opened(edge, transport);
        if (event.type === "notice") this.#noticed(event);
        this.owner.event(event);
      },
      ended: (ending) => this.#ended(ending),
    };
    this.#show({ name: "connecting" });
    this.#link =
      transport === "websocket"
        ? new SocketLink(address, reports)
        : new StreamLink(address, reports);
  }

  /** Sends, if there is somebody to send to. */
  send(command: Command): boolean {
    if (this.#state.name !== "open" || !this.#link) return false;
    this.#link.send(command);
    return true;
  }

  /** An event is missing: what the edge keeps of the past is asked for by coming anew. */
  refill(): void {
    this.#ended(GAP);
  }

  /** The link swallowed a command. */
  giveUpLink(): void {
    if (this.#state.name === "open") this.#ended(SILENCE);
  }

  close(): void {
    removeEventListener("online", this.#online);
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#link = null;
    this.#show({ name: "closed" });
  }

  #online = (): void => {
    const { name } = this.#state;
    if (name === "waiting" || name === "absent") this.open();
  };

  #opened(edge: string, transport: Transport): void {
    this.#failures = 0;
    this.#openedAt = performance.now();
    this.#show({ name: "open", edge, transport });
  }

  #here(): string {
    return this.#edges[this.#edge % this.#edges.length] ?? "";
  }

  /**
   * An edge that goes down says where to go: these edges come first from now on, it comes last.
   * What has a number is the room's word: hosts do not send members around.
   */
  #noticed({ seq, ref, body }: EventOf<"notice">): void {
    if (seq !== undefined || ref !== undefined || !Array.isArray(body.alternates)) return;
    const named = body.alternates.filter((edge) => typeof edge === "string");
    // Not all to the same one.
    const first = Math.floor(Math.random() * named.length);
    const here = this.#here();
    const all = [...named.slice(first), ...named.slice(0, first), ...this.#edges];
    const others = [...new Set(all)].filter((edge) => edge !== here);
    this.#edges = [...others.slice(0, EDGES_MAX - 1), here];
    this.#edge = this.#edges.length - 1;
  }

  #ended({ code, reason, retryAfterMs = 0 }: Ending): void {
    const opened = this.#openedAt;
    this.#link?.close();
    this.#link = null;
    if (MUST_STAY_OUT.has(code)) return this.#show({ name: "refused", reason });
    if (opened === null) this.#failures += 1;
    else if (performance.now() - opened > STABLE_MS) this.#backoff.reset();
    if (!SAME_EDGE.has(code) && code !== NO_ROOM) this.#edge += 1;
    const follows = opened === null || SAME_EDGE.has(code) || this.owner.hasHaste();
    const spread = follows ? 0 : (Math.random() * SPREAD_MS) / this.#edges.length;
    const wait = Math.max(
      retryAfterMs,
      this.#backoff.next() + spread,
      code === NO_ROOM ? ABSENT_MS : 0,
    );
    this.#show(
      code === NO_ROOM ? { name: "absent" } : { name: "waiting", milliseconds: wait, reason },
    );
    this.#timer = setTimeout(() => this.open(), wait);
  }

  #show(state: State): void {
    this.#state = state;
    this.owner.stateChanged(state);
  }
}
