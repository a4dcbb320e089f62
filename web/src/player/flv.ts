// HTTP-FLV through mpegts.js: one long response, frames as they come.

import mpegts from "mpegts.js";

import type { Playhead } from "../sdk/held";
import { bufferAhead, type Delay, type Engine, type Reports } from "./engine";

/** The preset: no stash, and a little speed to close what a burst or a stall left in the buffer. */
export const PRESET: mpegts.Config = {
  isLive: true,
  enableWorker: true,
  enableStashBuffer: false,
  lazyLoad: false,
  deferLoadAfterSourceOpen: false,
  liveSync: true,
  liveSyncMaxLatency: 0.9,
  liveSyncTargetLatency: 0.5,
  liveSyncPlaybackRate: 1.1,
  autoCleanupSourceBuffer: true,
  autoCleanupMaxBackwardDuration: 60,
  autoCleanupMinBackwardDuration: 20,
};

const LIVE_MARGIN_S = 0.4;

/** Plays through Media Source Extensions. */
export class FlvEngine implements Engine {
  readonly name = `mpegts.js ${mpegts.version}`;
  readonly #player: mpegts.Player;
  #bitsPerSecond: number | null = null;
  /** What the element's time 0 is on the broadcast's timeline; undefined when the edge is silent. */
  #start: { media_ms?: number } | null = null;

  /** Whether this browser can play through this engine. */
  static supported(): boolean {
    return mpegts.isSupported() && mpegts.getFeatureList().mseLivePlayback;
  }

  constructor(
    private readonly video: HTMLVideoElement,
    url: string,
    reports: Reports,
  ) {
    mpegts.LoggingControl.applyConfig({ enableAll: false });
    // A worker has no page to resolve a path against.
    const absolute = new URL(url, location.href).href;
    this.#player = mpegts.createPlayer({ type: "flv", isLive: true, url: absolute }, PRESET);
    this.#player.on(mpegts.Events.ERROR, (type: string, detail: string) => {
      const kind = type === mpegts.ErrorTypes.NETWORK_ERROR ? "network" : "media";
      reports.failed({ kind, detail });
    });
    this.#player.on(mpegts.Events.LOADING_COMPLETE, () => reports.ended());
    this.#player.on(
      mpegts.Events.METADATA_ARRIVED,
      ({ mediastartms }: { mediastartms?: number }) => {
        this.#start = mediastartms === undefined ? {} : { media_ms: mediastartms };
      },
    );
    this.#player.on(mpegts.Events.STATISTICS_INFO, ({ speed }: { speed?: number }) => {
      if (speed) this.#bitsPerSecond = smooth(this.#bitsPerSecond, speed * 8 * 1024);
    });
    this.#player.attachMediaElement(video);
    this.#player.load();
  }

  delay(): Delay | null {
    return { seconds: bufferAhead(this.video), basis: "buffer" };
  }

  playhead(): Playhead | null {
    if (!this.#start || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    const { media_ms: start } = this.#start;
    return start === undefined ? {} : { media_ms: start + this.video.currentTime * 1000 };
  }

  edgeDistance(): number | null {
    return null;
  }

  bitrate(): number | null {
    return this.#bitsPerSecond;
  }

  toLive(): void {
    const { buffered } = this.video;
    if (buffered.length === 0) return;
    this.video.currentTime = Math.max(0, buffered.end(buffered.length - 1) - LIVE_MARGIN_S);
  }

  destroy(): void {
    this.#player.destroy();
  }
}

/** An average over the last ten reports or so: one report covers less than a second. */
function smooth(before: number | null, now: number): number {
  return before === null ? now : before * 0.9 + now * 0.1;
}
