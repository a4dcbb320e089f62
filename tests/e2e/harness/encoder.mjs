// Hosts: ffmpeg pushing over RTMP.

import { Process } from "./process.mjs";
import { CLIP, FFMPEG9 } from "./settings.mjs";

/** Pushes the demo clip in a loop, by Debian's ffmpeg 5. */
export function push(t, url, { extra = [] } = {}) {
  const input = ["-re", "-stream_loop", "-1", "-i", CLIP];
  return new Process(t, "ffmpeg", [
    ...["-hide_banner", "-nostdin", "-loglevel", "info", "-nostats"],
    ...input,
    ...["-c", "copy", ...extra, "-f", "flv", url],
  ]);
}

/** Pushes a small synthetic show with the given codecs, by ffmpeg 9. */
export function pushEncoded(t, url, { video, audio, extra = [] }) {
  return new Process(t, FFMPEG9, [
    ...["-hide_banner", "-nostdin", "-loglevel", "info", "-nostats", "-re"],
    ...["-f", "lavfi", "-i", "testsrc2=s=320x180:r=30"],
    ...["-f", "lavfi", "-i", "sine=440:sample_rate=48000"],
    ...["-pix_fmt", "yuv420p", ...video, "-g", "30"],
    ...[...audio, "-ac", "2", "-b:a", "64k", ...extra, "-f", "flv", url],
  ]);
}
