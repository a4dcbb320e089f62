// The state of a room, told as the events that made it: listeners need to know only events.

import type { EventOf, Kind, RoomEvent } from "./envelope";

/** In the order in which they are to be told. */
export function eventsOf({ id, at, body: state }: EventOf<"snapshot">): RoomEvent[] {
  const events: RoomEvent[] = [];
  const add = <K extends Kind>(type: K, number: 0 | 1 | 4, body: EventOf<K>["body"]): void => {
    const { media_ms, at: since = at } = body as { media_ms?: number; at?: number };
    const placed = media_ms === undefined ? {} : { media_ms };
    events.push({ v: 1, type, class: number, id, at: since, ...placed, body } as RoomEvent);
  };
  for (const card of state.cards ?? []) add("card", 1, card);
  if (state.pin) add("pin", 1, state.pin);
  if (state.pk) add("pk", 1, state.pk);
  if (state.sale) add("sale", 0, state.sale);
  for (const [sku, left] of Object.entries(state.stock ?? {})) add("stock", 0, { sku, left });
  if (state.likes !== undefined) add("like", 4, { total: state.likes });
  if (state.presence) add("presence", 4, state.presence);
  return events.concat(state.comments ?? []);
}
