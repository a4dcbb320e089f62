// LL-HLS through hls.js, with the settings that docs/PLAYERS.md gives.

import Hls, { ErrorTypes, Events, type ErrorData, type HlsConfig } from "hls.js";

import { delayOf, type Delay, type Engine, type Reports } from "./engine";
import type { Playhead } from "../sdk/held";
import { Rate } from "./rate";

/** The preset: low latency from the playlist's own PART-HOLD-BACK, gentle catch-up, quick starts. */
export const PRESET: Partial<HlsConfig> = {
  lowLatencyMode: true,
  maxLiveSyncPlaybackRate: 1.06, // drift is closed by speed, which nobody hears at 6 %
  abrEwmaDefaultEstimate: 4_000_000, // start on a good rung, not on the lowest
  capLevelToPlayerSize: true,
  backBufferLength: 20,
  maxBufferLength: 10,
  enableWorker: true,
  progressive: false,
};

const MEDIA_RECOVERIES_MAX = 2;

/** The room of `/live/ROOM/...`, whatever stands before it. */
function roomOf(url: string): string {
  return /\/live\/([^/?]+)\//.exec(url)?.[1] ?? "";
}

/** Plays through Media Source Extensions. */
export class HlsEngine implements Engine {
  readonly name = `hls.js ${Hls.version}`;
  readonly #hls: Hls;
  readonly #rate = new Rate();
  #recoveries = 0;
  #wasLive = false;

  /** Whether this browser can play through this engine. */
  static supported(): boolean {
    return Hls.isSupported();
  }

  constructor(
    private readonly video: HTMLVideoElement,
    url: string,
    private readonly reports: Reports,
  ) {
    // What the player tells the edge of itself (CMCD): in the query, as headers would cost each
    // request to another origin a preflight.
    this.#hls = new Hls({ ...PRESET, cmcd: { contentId: roomOf(url) } });
    this.#hls.on(Events.ERROR, (_, data) => this.#failed(data));
    this.#hls.on(Events.FRAG_BUFFERED, (_, { frag, part, stats }) => {
      this.#rate.add(frag.type, stats.total * 8, (part ?? frag).duration);
    });
    this.#hls.on(Events.LEVEL_LOADED, (_, { details }) => {
      // A playlist that was over before we came is not a show to watch from its beginning.
      if (!details.live && !this.#wasLive) this.reports.ended();
      this.#wasLive ||= details.live;
    });
    video.addEventListener("ended", this.#ended);
    this.#hls.loadSource(url);
    this.#hls.attachMedia(video);
  }

  delay(): Delay | null {
    return delayOf(this.#hls.playingDate, this.edgeDistance());
  }

  playhead(): Playhead | null {
    const { playingDate } = this.#hls;
    return playingDate && { wall_ms: playingDate.getTime() };
  }

  edgeDistance(): number | null {
    const { latency } = this.#hls;
    return latency > 0 ? latency : null;
  }

  bitrate(): number | null {
    return this.#rate.bitsPerSecond();
  }

  toLive(): void {
    const position = this.#hls.liveSyncPosition;
    if (position !== null) this.video.currentTime = position;
  }

  destroy(): void {
    this.video.removeEventListener("ended", this.#ended);
    this.#hls.destroy();
  }

  #ended = (): void => this.reports.ended();

  #failed(data: ErrorData): void {
    if (!data.fatal) return;
    const status = data.response?.code ? ` (${data.response.code})` : "";
    if (data.type !== ErrorTypes.MEDIA_ERROR) {
      this.reports.failed({ kind: "network", detail: data.details + status });
    } else if (this.#recoveries < MEDIA_RECOVERIES_MAX) {
      this.#recoveries += 1;
      this.#hls.recoverMediaError();
    } else {
      this.reports.failed({ kind: "media", detail: data.details });
    }
  }
}
