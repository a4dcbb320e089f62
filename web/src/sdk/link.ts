// What a room asks of a connection to one edge, whatever carries it.

import type { Command, RoomEvent } from "./envelope";

/** Where and as whom to connect. `query` names the member and the place to resume from. */
export interface Address {
  /** The edge's URL, `https://HOST:PORT`. */
  edge: string;
  room: string;
  query: URLSearchParams;
}

/** Why a link ended. */
export interface Ending {
  /** The WebSocket close code; a refusal by HTTP status is 4000 and the status. */
  code: number;
  reason: string;
  /** The edge asked to stay away this long. */
  retryAfterMs?: number;
}

/** What a link tells. After `ended` it says nothing more. */
export interface Reports {
  event(event: RoomEvent): void;
  ended(ending: Ending): void;
}

/** One connection. It answers a command by an event with the command's `ref`, or it ends. */
export interface Link {
  send(command: Command): void;
  /** Ends it without a report. */
  close(): void;
}

/** The URL of one of the room's doors. */
export function doorUrl({ edge, room, query }: Address, door: string): URL {
  const url = new URL(
    `rooms/${encodeURIComponent(room)}/${door}`,
    edge.endsWith("/") ? edge : `${edge}/`,
  );
  url.search = query.toString();
  return url;
}
