// What the player asks of a library that turns one URL into a picture.

import type { Playhead } from "../sdk/held";

/** A way to play a room, as the page's `?protocol=` names it. */
export type Protocol = "hls" | "flv";

/** How a delay was computed: against the capture clock, the playlist's edge, or the buffer alone. */
export type Basis = "clock" | "edge" | "buffer";

/** How far the picture is behind. */
export interface Delay {
  seconds: number;
  basis: Basis;
}

/**
 * Why an attempt ended. `media`: this browser or this stream; `network`: worth another try;
 * `silence`: nothing came, and the host may be the one who is silent.
 */
export interface Failure {
  kind: "network" | "media" | "silence";
  detail: string;
}

/** What an engine tells its player. After `failed` or `ended` it says nothing more. */
export interface Reports {
  failed(failure: Failure): void;
  ended(): void;
}

/** One attempt to play one URL in one video element. */
export interface Engine {
  /** The library's name, for the panel. */
  readonly name: string;
  /** Null while unknown. */
  delay(): Delay | null;
  /** Bits per second of the media over the last seconds, or null while unknown. */
  bitrate(): number | null;
  /** What the picture shows at this moment, or null while there is none. */
  playhead(): Playhead | null;
  /** Distance of the playhead from the playlist's live edge in seconds, for LL-HLS only. */
  edgeDistance(): number | null;
  /** Moves the playhead to the live edge. */
  toLive(): void;
  /** Ends all requests and leaves the video element empty. */
  destroy(): void;
}

const DELAY_MAX_S = 60;
const CLOCK_SKEW_MAX_S = 3;

/**
 * The delay against the capture clock, when the viewer's clock can be believed: it must put the
 * picture after the playlist's edge by no more than `CLOCK_SKEW_MAX_S`.
 */
export function delayOf(captured: Date | null, edge: number | null): Delay | null {
  if (captured) {
    const seconds = (Date.now() - captured.getTime()) / 1000;
    const plausible = seconds > 0 && seconds < DELAY_MAX_S;
    if (plausible && (edge === null || Math.abs(seconds - edge) < CLOCK_SKEW_MAX_S)) {
      return { seconds, basis: "clock" };
    }
  }
  return edge === null ? null : { seconds: edge, basis: "edge" };
}

/** Seconds that wait in the buffer ahead of the playhead. */
export function bufferAhead(video: HTMLVideoElement): number {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    // A playhead may stand a little before the range that it is about to enter.
    if (buffered.start(i) <= currentTime + 0.1 && currentTime <= buffered.end(i)) {
      return buffered.end(i) - currentTime;
    }
  }
  return 0;
}
