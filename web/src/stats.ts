// Counts what a viewer feels, from the video element alone: first frame, stalls, dropped frames.

import { bufferAhead } from "./player/engine";

/** What the meter counted so far. */
export interface Counts {
  startup_ms: number | null;
  stalls: number;
  stalled_ms: number;
  frames_decoded: number;
  frames_dropped: number;
}

/** Watches one video element for the life of the page. */
export class Meter {
  #askedAt = performance.now();
  #startupMs: number | null = null;
  #stalls = 0;
  #stalledMs = 0;
  #stalledAt: number | null = null;

  constructor(private readonly video: HTMLVideoElement) {
    video.addEventListener("waiting", () => {
      // Before the first frame it is loading; at a pause or a jump it is the viewer's wish.
      if (this.#startupMs === null || video.paused || video.seeking) return;
      this.#stalls += this.#stalledAt === null ? 1 : 0;
      this.#stalledAt ??= performance.now();
    });
    video.addEventListener("playing", () => this.#resumed());
    video.addEventListener("pause", () => this.#resumed());
  }

  /** A new attempt begins: the first frame is awaited again, the counts go on. */
  restart(): void {
    this.#resumed();
    this.#askedAt = performance.now();
    this.#startupMs = null;
    const asked = this.#askedAt;
    this.video.requestVideoFrameCallback(() => {
      if (asked === this.#askedAt) this.#startupMs = performance.now() - asked;
    });
  }

  counts(): Counts {
    const quality = this.video.getVideoPlaybackQuality();
    const running = this.#stalledAt === null ? 0 : performance.now() - this.#stalledAt;
    return {
      startup_ms: this.#startupMs,
      stalls: this.#stalls,
      stalled_ms: this.#stalledMs + running,
      frames_decoded: quality.totalVideoFrames,
      frames_dropped: quality.droppedVideoFrames,
    };
  }

  /** Seconds that wait in the buffer. */
  buffer(): number {
    return bufferAhead(this.video);
  }

  #resumed(): void {
    if (this.#stalledAt === null) return;
    this.#stalledMs += performance.now() - this.#stalledAt;
    this.#stalledAt = null;
  }
}
