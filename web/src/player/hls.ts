// LL-HLS through hls.js, with the settings that docs/PLAYERS.md gives.

import Hls, {
  ErrorTypes,
  Events,
  type ErrorData,
  type FragBufferedData,
  type HlsConfig,
} from "hls.js";

import { delayOf, type Delay, type Engine, type Reports } from "./engine";

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

const BITRATE_WINDOW_S = 10;
const MEDIA_RECOVERIES_MAX = 2;

/** Plays through Media Source Extensions. */
export class HlsEngine implements Engine {
  readonly name = `hls.js ${Hls.version}`;
  readonly #hls = new Hls(PRESET);
  readonly #loaded: { type: string; bits: number; seconds: number }[] = [];
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
    this.#hls.on(Events.ERROR, (_, data) => this.#failed(data));
    this.#hls.on(Events.FRAG_BUFFERED, (_, data) => this.#measure(data));
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

  edgeDistance(): number | null {
    const { latency } = this.#hls;
    return latency > 0 ? latency : null;
  }

  bitrate(): number | null {
    let total = 0;
    for (const type of ["main", "audio"]) {
      const parts = this.#loaded.filter((part) => part.type === type);
      const seconds = parts.reduce((sum, part) => sum + part.seconds, 0);
      if (seconds > 0) total += parts.reduce((sum, part) => sum + part.bits, 0) / seconds;
    }
    return total || null;
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

  /** Keeps the sizes of what arrived lately, per track. */
  #measure({ frag, part, stats }: FragBufferedData): void {
    const seconds = (part ?? frag).duration;
    if (frag.sn === "initSegment" || !(seconds > 0)) return;
    this.#loaded.push({ type: frag.type, bits: stats.total * 8, seconds });
    const sameType = this.#loaded.filter((entry) => entry.type === frag.type);
    const kept = sameType.reduce((sum, entry) => sum + entry.seconds, 0);
    const oldest = sameType[0];
    if (oldest && kept - oldest.seconds > BITRATE_WINDOW_S) {
      this.#loaded.splice(this.#loaded.indexOf(oldest), 1);
    }
  }
}
