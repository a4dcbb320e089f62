// LL-HLS through the browser's own player: Safari, where it knows best.

import type { Playhead } from "../sdk/held";
import { delayOf, type Delay, type Engine, type Reports } from "./engine";

interface SafariVideo extends HTMLVideoElement {
  getStartDate(): Date;
}

/** Plays by `video.src`. */
export class NativeEngine implements Engine {
  readonly name = "AVPlayer";
  readonly #listeners = new AbortController();

  /** Whether this is Safari; other browsers that read HLS lack its low-latency mode. */
  static supported(video: HTMLVideoElement): video is SafariVideo {
    return (
      "getStartDate" in video &&
      "webkitSetPresentationMode" in video &&
      video.canPlayType("application/vnd.apple.mpegurl") !== ""
    );
  }

  constructor(
    private readonly video: SafariVideo,
    url: string,
    reports: Reports,
  ) {
    const { signal } = this.#listeners;
    video.addEventListener("ended", () => reports.ended(), { signal });
    video.addEventListener("error", () => reports.failed(failureOf(video.error)), { signal });
    video.src = url;
  }

  delay(): Delay | null {
    const wall = this.playhead()?.wall_ms;
    return delayOf(wall === undefined ? null : new Date(wall), this.edgeDistance());
  }

  playhead(): Playhead | null {
    const started = this.video.getStartDate().getTime();
    return Number.isNaN(started) ? null : { wall_ms: started + this.video.currentTime * 1000 };
  }

  edgeDistance(): number | null {
    const { seekable, currentTime } = this.video;
    return seekable.length > 0 ? seekable.end(seekable.length - 1) - currentTime : null;
  }

  bitrate(): number | null {
    return null; // the browser does not say
  }

  toLive(): void {
    const { seekable } = this.video;
    if (seekable.length > 0) this.video.currentTime = seekable.end(seekable.length - 1);
  }

  destroy(): void {
    this.#listeners.abort();
    this.video.removeAttribute("src");
    this.video.load();
  }
}

function failureOf(error: MediaError | null): { kind: "network" | "media"; detail: string } {
  const network = error?.code === MediaError.MEDIA_ERR_NETWORK;
  return { kind: network ? "network" : "media", detail: error?.message ?? "unknown" };
}
