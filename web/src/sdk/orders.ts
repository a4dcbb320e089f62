// Orders that survive: the key is stored before the order is sent, and the order is sent again,
// with the same key, until it is answered.

import type { Bodies, Command, OrderState } from "./envelope";
import { ulid } from "./ulid";

/** What to buy. `attributes`: anything else that the merchant wants to know. */
export interface Wish {
  sku: string;
  quantity?: number;
  attributes?: Record<string, unknown>;
}

/**
 * One order. `pending`: not answered yet; `refused`: the room did not take it, and why; the rest is
 * the merchant's word.
 */
export interface Order {
  key: string;
  sku: string;
  quantity: number;
  attributes: Record<string, unknown>;
  state: OrderState | "pending" | "refused";
  reason?: string;
  /** When it was placed, by this device's clock in milliseconds. */
  placed_at: number;
  /** Whose it is; null until the room has said who we are. */
  buyer: string | null;
}

/** Where orders are kept; `localStorage` fits. */
export type Shelf = Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">;

/** What the book asks of its room. */
export interface Outside {
  /** False when there is nobody to send to. */
  send(command: Command): boolean;
  /** An answer is overdue. */
  late(): void;
  changed(order: Order): void;
}

/** The edge waits up to 10 s for the origin before it says 503. */
const ANSWER_MAX_MS = 12_000;
/** How long the room knows a key: an older order would be taken for a new one. */
const KEY_LIFETIME_MS = 24 * 3600 * 1000;
/** The room looks up as many when we come. */
const ASKED_MAX = 16;
const IN_FLIGHT_MS = 1_000;
const RETRY_MS = 2_000;
/** Older ones that are settled make room. */
const KEPT_MAX = 100;

/** A state never goes back: events may come late or twice. */
const RANK: Record<Order["state"], number> = {
  pending: 0,
  received: 1,
  accepted: 2,
  forwarded: 3,
  unknown: 4,
  confirmed: 5,
  rejected: 5,
  refused: 5,
};

const UNDECIDED: ReadonlySet<Order["state"]> = new Set([
  "received",
  "accepted",
  "forwarded",
  "unknown",
]);
/** The room is not open here just now, is too slow, or has too much to do. */
const AGAIN: ReadonlySet<number> = new Set([404, 408, 429]);

/** The orders of this browser in one room. Without a shelf they live as long as the page. */
export class OrderBook {
  readonly #orders = new Map<string, Order>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #prefix: string;
  #buyer: string | null = null;

  constructor(
    room: string,
    private readonly shelf: Shelf | null,
    private readonly outside: Outside,
  ) {
    this.#prefix = `rushlane.order.${room}.`;
    this.#load();
  }

  /** Oldest first. */
  list(): Order[] {
    const ours = [...this.#orders.values()].filter((order) => this.#isOurs(order));
    return ours.toSorted((a, b) => a.placed_at - b.placed_at);
  }

  /** Some order waits for its answer. */
  hasPending(): boolean {
    return this.list().some(({ state }) => state === "pending");
  }

  /** The keys of the newest orders that the merchant has yet to decide, to be asked for. */
  undecided(): string[] {
    const open = this.list().filter(({ state }) => UNDECIDED.has(state));
    return open.slice(-ASKED_MAX).map(({ key }) => key);
  }

  /** Stores, then sends. */
  place({ sku, quantity = 1, attributes = {} }: Wish): Order {
    const now = Date.now();
    const order: Order = {
      ...{ key: ulid(now), sku, quantity, attributes },
      ...{ state: "pending", placed_at: now, buyer: this.#buyer },
    };
    this.#keep(order);
    this.#send(order);
    return order;
  }

  /** There is a link, and we are `buyer`: what is unanswered goes out again. */
  connected(buyer: string): void {
    this.#buyer = buyer;
    for (const order of this.list()) {
      if (order.state === "pending") this.#send({ ...order, buyer });
      else this.outside.changed(order);
    }
  }

  /** The link is gone: the next one is waited for. */
  disconnected(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Takes the answer to an order, or news of one. False when `key` is of no order here. */
  hear(key: string, said: Bodies["order"]): boolean {
    const { status = 200 } = said;
    const order = this.#orders.get(key) ?? this.#fromElsewhere(key, said);
    if (!order) return false;
    this.#stopTimer(key);
    const wait = waitOf(said);
    if (wait !== null) this.#sendLater(order, wait);
    else if (status >= 400) this.#become(order, "refused", said.detail ?? said.reason);
    else this.#become(order, said.state ?? "received", said.reason);
    return true;
  }

  #become(order: Order, state: Order["state"], reason?: string): void {
    if (!(RANK[state] >= RANK[order.state])) return; // nor to one that this version does not know
    this.#keep({ ...order, state, ...(reason === undefined ? {} : { reason }) });
  }

  #send(order: Order): void {
    if (Date.now() - order.placed_at > KEY_LIFETIME_MS) return this.#become(order, "unknown");
    const { key, sku, quantity, attributes, buyer } = order;
    if (buyer !== null && this.#orders.get(key)?.buyer !== buyer) this.#keep(order);
    const body = { key, sku, quantity, attributes };
    if (!this.outside.send({ v: 1, type: "order", ref: key, body })) return;
    this.#setTimer(key, ANSWER_MAX_MS, () => this.outside.late());
  }

  /** Up to twice `milliseconds`, so that buyers who were told the same do not come in step. */
  #sendLater({ key }: Order, milliseconds: number): void {
    this.#setTimer(key, milliseconds * (1 + Math.random()), () => {
      const order = this.#orders.get(key);
      if (order?.state === "pending") this.#send(order);
    });
  }

  #setTimer(key: string, milliseconds: number, then: () => void): void {
    this.#stopTimer(key);
    this.#timers.set(key, setTimeout(then, milliseconds));
  }

  #stopTimer(key: string): void {
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
  }

  /** An order of this member that another device placed. */
  #fromElsewhere(key: string, { status, state, sku, quantity = 1 }: Bodies["order"]): Order | null {
    if (status !== undefined || state === undefined || sku === undefined) return null;
    const order = { key, sku, quantity, attributes: {}, placed_at: Date.now(), buyer: this.#buyer };
    return { ...order, state: "pending" };
  }

  #isOurs({ buyer }: Order): boolean {
    return buyer === null || this.#buyer === null || buyer === this.#buyer;
  }

  #keep(order: Order): void {
    this.#orders.set(order.key, order);
    try {
      this.shelf?.setItem(this.#prefix + order.key, JSON.stringify(order));
    } catch {
      // A full or forbidden shelf must not keep anybody from buying; the page remembers.
    }
    this.#makeRoom();
    this.outside.changed(order);
  }

  #makeRoom(): void {
    if (this.#orders.size <= KEPT_MAX) return;
    const oldest = [...this.#orders.values()]
      .filter(({ state }) => state !== "pending")
      .reduce<Order | null>((a, b) => (a && a.placed_at <= b.placed_at ? a : b), null);
    if (oldest) this.#forget(oldest.key);
  }

  #forget(key: string): void {
    this.#orders.delete(key);
    this.shelf?.removeItem(this.#prefix + key);
  }

  #load(): void {
    const { shelf } = this;
    if (!shelf) return;
    const keys = Array.from({ length: shelf.length }, (_, i) => shelf.key(i));
    for (const name of keys) {
      if (!name?.startsWith(this.#prefix)) continue;
      const order = read(shelf.getItem(name));
      if (order && this.#prefix + order.key === name) this.#orders.set(order.key, order);
    }
    for (const { key, state, placed_at } of this.#orders.values()) {
      const old = Date.now() - placed_at > KEY_LIFETIME_MS;
      if (old && state !== "pending") this.#forget(key);
    }
  }
}

/** How long to wait before the same order is sent again; null: the answer stands. */
function waitOf({ status = 200, retry_after_s: seconds = 0 }: Bodies["order"]): number | null {
  if (status === 409) return IN_FLIGHT_MS;
  return AGAIN.has(status) || status >= 500 ? seconds * 1000 || RETRY_MS : null;
}

function read(text: string | null): Order | null {
  try {
    const order = JSON.parse(text ?? "null") as Partial<Order> | null;
    const sound = typeof order?.key === "string" && typeof order.sku === "string";
    const dated = typeof order?.placed_at === "number" && (order.state ?? "") in RANK;
    return sound && dated ? (order as Order) : null;
  } catch {
    return null;
  }
}
