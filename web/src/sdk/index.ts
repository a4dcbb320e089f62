// The library, served by every edge as `/rushlane.js`: play a room and take part in it.

export { Refused } from "./asked";
export { createRoom, Room, type Heard, type Moderation, type Options } from "./room";
export type { State as ConnectionState, Transport } from "./connection";
export type * from "./envelope";
export type { Playhead } from "./held";
export type { Order, Shelf, Wish } from "./orders";
export { Player, type Listener, type State as PlayerState } from "../player/player";
export type { Delay, Engine, Protocol } from "../player/engine";
