// One member in one room: says, likes, orders, and hears what the room says, each at its picture.

import { Asked, Refused } from "./asked";
import { Connection, type State } from "./connection";
import type { Command, EventOf, Kind, Member, Presence, ProgramKind, RoomEvent } from "./envelope";
import { Held, type Playhead } from "./held";
import { Likes } from "./likes";
import { OrderBook, type Order, type Shelf, type Wish } from "./orders";
import { eventsOf } from "./snapshot";
import { ulid } from "./ulid";

/** Which room, where, and who enters it. */
export interface Options {
  /** URLs of edges, the best first. */
  edges: string[];
  room: string;
  /** Proves who you are; without one the room has to be open. */
  token?: string;
  /** Without a token: 1 to 64 printable characters. Made up and kept when absent. */
  user?: string;
  /** Without a token: at most 32 characters. */
  name?: string;
  /** Where orders outlive the page; `localStorage` unless told otherwise, null for nowhere. */
  shelf?: Shelf | null;
}

/** What can be listened to: events of the room by type, orders and the state of the connection. */
export type Heard = { [K in Exclude<Kind, "order">]: EventOf<K> } & { order: Order; state: State };

/** What moderators do. Times in seconds. */
export type Moderation =
  | { action: "mute" | "ban"; user: string; seconds: number }
  | { action: "unmute" | "unban"; user: string }
  | { action: "retract"; id: string }
  | { action: "slow"; seconds: number };

/** The own echo and the room's copy of a comment have one id; so have those of a snapshot. */
const SEEN_MAX = 500;

/** Enters a room. It keeps itself connected until it is closed. */
export function createRoom(options: Options): Room {
  return new Room(options);
}

/** One member in one room. */
export class Room {
  readonly #connection: Connection;
  readonly #orders: OrderBook;
  readonly #likes = new Likes((command) => this.#connection.send(command));
  readonly #held = new Held(
    () => this.#playhead(),
    () => this.now(),
  );
  readonly #listeners = new Map<string, Set<(heard: never) => void>>();
  readonly #asked = new Asked();
  readonly #seen = new Set<string>();
  readonly #options: Options;
  #playhead: () => Playhead | null = () => ({});
  #epoch: string | null = null;
  /** The numbers of class 0 and 1 up to which we have everything. */
  #position: Record<string, number> = {};
  #you: Member | null = null;
  #presence: Presence | null = null;
  #clockOffset: number | null = null;

  constructor(options: Options) {
    const shelf = options.shelf === undefined ? localShelf() : options.shelf;
    this.#options =
      options.token || options.user ? options : { ...options, user: madeUpUser(shelf) };
    this.#connection = new Connection(options.edges, options.room, {
      query: () => this.#query(),
      hasHaste: () => this.#orders.hasPending(),
      event: (event) => this.#receive(event),
      stateChanged: (state) => this.#stateChanged(state),
    });
    this.#orders = new OrderBook(options.room, shelf, {
      send: (command) => this.#connection.send(command),
      late: () => this.#connection.giveUpLink(),
      changed: (order) => this.#tell("order", order),
    });
    // Listeners added right after the call that made us hear all.
    queueMicrotask(() => this.#connection.state.name === "connecting" && this.#connection.open());
  }

  /** Who we are, since the room has said so. */
  get you(): Member | null {
    return this.#you;
  }

  get state(): State {
    return this.#connection.state;
  }

  get presence(): Presence | null {
    return this.#presence;
  }

  /** The orders of this member in this room that this browser knows, oldest first. */
  get orders(): Order[] {
    return this.#orders.list();
  }

  /** The room's clock in milliseconds since 1970. */
  now(): number {
    return Date.now() + (this.#clockOffset ?? 0);
  }

  /** Events of class 1 wait for this playhead from now on; without one nothing waits. */
  follow(playhead: () => Playhead | null): void {
    this.#playhead = playhead;
  }

  /** Calls `listener` when the picture is at `at`. */
  whenAt(at: Playhead, listener: () => void): void {
    this.#held.until(at, listener);
  }

  /** Listens; the answer stops it. */
  on<K extends keyof Heard>(what: K, listener: (heard: Heard[K]) => void): () => void {
    const all = this.#listeners.get(what) ?? new Set();
    this.#listeners.set(what, all);
    all.add(listener);
    return () => all.delete(listener);
  }

  /** Says something; answers it as all will see it. Throws [`Refused`]. */
  comment(text: string): Promise<RoomEvent> {
    const { media_ms } = this.#playhead() ?? {};
    const at = media_ms === undefined ? {} : { media_ms: Math.round(media_ms) };
    return this.#ask("comment", { text, ...at });
  }

  /** One tap. Taps go out in batches and are counted once, whatever becomes of the connection. */
  like(): void {
    this.#likes.tap();
  }

  /** Buys. The order outlives this page and the edge; listen to `order` for what becomes of it. */
  order(wish: Wish): Order {
    return this.#orders.place(wish);
  }

  /** Hosts: shows something, at a media time or now. Throws [`Refused`]. */
  program(type: ProgramKind, body: object, media_ms?: number): Promise<RoomEvent> {
    return this.#ask(type, body, media_ms);
  }

  /** Moderators. Throws [`Refused`]. */
  moderate(what: Moderation): Promise<RoomEvent> {
    return this.#ask("mod", what);
  }

  /** Leaves. Orders without an answer are found again by the next page. */
  close(): void {
    this.#held.clear();
    this.#likes.stop();
    this.#connection.close();
  }

  #query(): URLSearchParams {
    const { token, user, name } = this.#options;
    const query = new URLSearchParams();
    if (token) query.set("token", token);
    else {
      if (user) query.set("user", user);
      if (name) query.set("name", name);
    }
    if (this.#epoch !== null) {
      query.set("epoch", this.#epoch);
      for (const each of ["0", "1"]) query.set(`c${each}`, String(this.#position[each] ?? 0));
    }
    const undecided = this.#orders.undecided();
    if (undecided.length > 0) query.set("orders", undecided.join(","));
    return query;
  }

  #stateChanged(state: State): void {
    if (state.name !== "open") {
      this.#orders.disconnected();
      this.#asked.rejectAll();
    }
    this.#tell("state", state);
  }

  #ask(type: Command["type"], body: object, media_ms?: number): Promise<RoomEvent> {
    const at = media_ms === undefined ? {} : { media_ms };
    return this.#asked.ask((ref) => this.#connection.send({ v: 1, type, ref, ...at, body }));
  }

  #receive(event: RoomEvent): void {
    if (event.ref === undefined) this.#setClock(event.at);
    if (event.type === "hello") return this.#welcomed(event);
    if (event.ref !== undefined && this.#isAnswer(event, event.ref)) return;
    if (!this.#isNext(event)) return;
    if (event.type === "order") void this.#orders.hear(event.body.key ?? event.id, event.body);
    else if (event.type === "snapshot") this.#restore(event);
    else this.#pass(event);
  }

  #welcomed(event: EventOf<"hello">): void {
    const { epoch, seq, you, resumed } = event.body;
    if (!resumed) this.#position = { ...seq };
    this.#epoch = epoch;
    this.#you = you;
    this.#tell("hello", event);
    this.#orders.connected(you.id);
    this.#likes.connected();
  }

  /** The quickest event so far is nearest to the truth: the way here only makes them late. */
  #setClock(at: number): void {
    this.#clockOffset = Math.max(this.#clockOffset ?? -Infinity, at - Date.now());
  }

  /** Whether a numbered event comes in its turn: not again, and not before what is missing. */
  #isNext({ class: number, seq }: RoomEvent): boolean {
    if (seq === undefined) return true;
    const last = this.#position[number] ?? 0;
    if (seq === last + 1) this.#position[number] = seq;
    else if (seq > last) this.#connection.refill();
    return seq === last + 1;
  }

  /** Brings an answer to who asked. True when nobody else has to know. */
  #isAnswer(event: RoomEvent, ref: string): boolean {
    if (event.type === "order") return this.#orders.hear(ref, event.body);
    if (event.type === "error") return this.#isRefusal(event, ref);
    this.#likes.answered(ref);
    const asked = this.#asked.resolve(ref, event);
    // A numbered event comes to everybody, us included, in its turn.
    return asked && (event.type === "notice" || event.seq !== undefined);
  }

  #isRefusal({ body }: EventOf<"error">, ref: string): boolean {
    const { status, code, detail, retry_after_s: seconds = null } = body;
    if (this.#orders.hear(ref, body)) return true;
    const again = status === 429 || status >= 500;
    if (this.#likes.answered(ref, again ? (seconds ?? 0) * 1000 : null)) return true;
    return this.#asked.reject(ref, new Refused(status, code, detail, seconds));
  }

  /** Tells the state of the room as the events that made it. */
  #restore(event: EventOf<"snapshot">): void {
    this.#held.clear();
    this.#tell("snapshot", event);
    for (const one of eventsOf(event)) this.#pass(one);
  }

  /** Tells an event, at its picture when it belongs to one. Class 0 never waits. */
  #pass(event: RoomEvent): void {
    if (event.type === "order" || (event.type === "comment" && !this.#isNew(event.id))) return;
    if (event.type === "presence") this.#presence = event.body;
    const { class: number, media_ms, body, type } = event;
    const tell = () => this.#tell(type, event);
    if (number !== 1 || media_ms === undefined) return tell();
    const { wall_ms } = body;
    this.#held.until({ media_ms, ...(typeof wall_ms === "number" ? { wall_ms } : {}) }, tell);
  }

  #isNew(id: string): boolean {
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > SEEN_MAX) this.#seen.delete(this.#seen.values().next().value ?? "");
    return true;
  }

  #tell<K extends keyof Heard>(what: K, heard: Heard[K]): void {
    for (const listener of this.#listeners.get(what) ?? []) {
      (listener as (heard: Heard[K]) => void)(heard);
    }
  }
}

/** Null where the browser forbids it. */
function localShelf(): Shelf | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

/** The same stranger at every visit, so that orders are found again. */
function madeUpUser(shelf: Shelf | null): string {
  const NAME = "rushlane.user";
  try {
    const user = shelf?.getItem(NAME) ?? `u_${ulid()}`;
    shelf?.setItem(NAME, user);
    return user;
  } catch {
    return `u_${ulid()}`;
  }
}
