// What travels between a room and its members (docs/INTERACTION.md): types, and the check of what
// comes in.

/** What somebody may do; later ones may all that earlier ones may. */
export type Role = "viewer" | "buyer" | "moderator" | "host" | "admin";

/** Somebody in a room, as the others see them. */
export interface Member {
  id: string;
  name: string;
  role: Role;
}

/** What an order has come to. `unknown`: the merchant gave no answer and is not asked again. */
export type OrderState =
  "received" | "accepted" | "forwarded" | "confirmed" | "rejected" | "unknown";

/** Who is here; `unique` is an estimate. */
export interface Presence {
  online: number;
  unique?: number;
}

/** A product, or the end of its being shown. Everything but the id may be absent from a `hide`. */
export interface Card {
  id: string;
  action?: "show" | "hide";
  sku?: string;
  title?: string;
  price?: string | number;
  currency?: string;
  image?: string;
  url?: string;
  duration_ms?: number;
}

/** Something of the room's state inside a snapshot: the body, and where it belongs. */
export type Placed<B> = B & { media_ms?: number; wall_ms?: number | null; at?: number };

/** The bodies, by type of event. */
export interface Bodies {
  hello: {
    epoch: string;
    seq: Record<string, number>;
    you: Member;
    room: string;
    edge: string;
    resumed: boolean;
    heartbeat_s: number;
    batch_ms: number;
    limits?: Record<string, unknown>;
  };
  snapshot: {
    cards?: Placed<Card>[];
    pin?: Placed<Bodies["pin"]> | null;
    sale?: Placed<Bodies["sale"]> | null;
    stock?: Record<string, number>;
    pk?: Placed<Bodies["pk"]> | null;
    likes?: number;
    presence?: Presence;
    comments?: EventOf<"comment">[];
    slow_seconds?: number;
  };
  comment: { text: string; media_ms?: number };
  like: { total: number };
  card: Card;
  pin: { text: string | null };
  stock: { sku: string; left: number };
  sale: { id: string; action: "open" | "close"; sku?: string; title?: string };
  pk: Record<string, unknown>;
  order: {
    key?: string;
    state?: OrderState;
    status?: number;
    sku?: string;
    quantity?: number;
    reason?: string;
    code?: string;
    detail?: string;
    retry_after_s?: number;
  };
  /** `alternates`: the edge goes down, and names others. */
  notice: { text?: string; alternates?: string[] };
  mod: {
    action: "mute" | "unmute" | "ban" | "unban" | "retract" | "slow";
    user?: string;
    id?: string;
    seconds?: number;
  };
  presence: Presence;
  error: { status: number; code: string; detail: string; retry_after_s?: number };
}

/** What an event is about. */
export type Kind = keyof Bodies;

/** One event of a room. Times are milliseconds; `at` is the origin's clock. */
export interface EventOf<K extends Kind> {
  v: 1;
  type: K;
  class: 0 | 1 | 2 | 3 | 4;
  /** Counts from 1 without gaps in each epoch: class 0 and 1 only, and only what everybody gets. */
  seq?: number;
  id: string;
  at: number;
  /** The media time it belongs to, on the broadcast's timeline. */
  media_ms?: number;
  /** The command that it answers. */
  ref?: string;
  to?: string;
  from?: Member;
  /** `wall_ms`: when the picture at `media_ms` was captured; null without a picture. */
  body: Bodies[K] & { wall_ms?: number | null };
}

/** Any event. */
export type RoomEvent = { [K in Kind]: EventOf<K> }[Kind];

/** What a host can put into the program. */
export type ProgramKind = "card" | "pin" | "stock" | "sale" | "pk" | "notice";

/** One command of a member. */
export interface Command {
  v: 1;
  type: "comment" | "like" | "order" | "mod" | ProgramKind;
  ref: string;
  media_ms?: number;
  body: object;
}

/** All types of events. */
export const KINDS: readonly Kind[] = [
  "hello",
  "snapshot",
  "comment",
  "like",
  "card",
  "pin",
  "stock",
  "sale",
  "pk",
  "order",
  "notice",
  "mod",
  "presence",
  "error",
];

const known: ReadonlySet<string> = new Set(KINDS);

/** Reads one envelope. Null for what this version does not know: a newer edge may say more. */
export function parse(text: string): RoomEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isEvent(value) ? value : null;
}

function isEvent(value: unknown): value is RoomEvent {
  if (typeof value !== "object" || value === null) return false;
  const { type, id, at, body } = value as Record<string, unknown>;
  const named = typeof type === "string" && known.has(type) && typeof id === "string";
  return named && typeof at === "number" && typeof body === "object" && body !== null;
}

/** An event that this side makes up from an answer that came in another form. */
export function madeUp<K extends Kind>(
  type: K,
  fields: Pick<EventOf<K>, "class" | "id" | "at" | "body"> & Partial<EventOf<K>>,
): EventOf<K> {
  return { v: 1, type, ...fields };
}
