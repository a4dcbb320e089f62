// Hosts and their encoders: who may publish, how, and what happens when they come back.

import assert from "node:assert/strict";
import test from "node:test";

import { push, pushEncoded } from "./harness/encoder.mjs";
import { playlist, playlistOf, renditions } from "./harness/hls.mjs";
import { dev, fleet, origin } from "./harness/node.mjs";
import { run } from "./harness/process.mjs";
import { until } from "./harness/wait.mjs";

const streamOf = (urls, room) => urls.rtmp.replace(/[^/]+$/, room);

test("a host may publish over TLS", { timeout: 60_000 }, async (t) => {
  const node = await origin(t, fleet(t));
  push(t, `rtmps://${node.address("rtmp.tls_listen")}/live/secret`);
  const { video } = await renditions(node.http, "secret");
  assert.ok((await playlist(video)).text.includes("#EXT-X-PART:"));
});

test("hosts", { timeout: 240_000 }, async (t) => {
  const node = await dev(t);
  const { urls } = node;
  const base = new URL(urls.rooms).origin;

  await t.test("a host who reconnects goes on with the same show", async (t) => {
    const first = push(t, streamOf(urls, "again"));
    const { video } = await renditions(base, "again");
    const before = await playlistOf(video, (await playlist(video)).last + 2);
    await first.stop("SIGKILL");
    push(t, streamOf(urls, "again"));
    const after = await until("the show goes on", async () => {
      const now = await playlist(video);
      const came = now.discontinuities + now.discontinuitySequence;
      return came > 0 && now.maps.length > 1 && now.last > before.last + 3 && now;
    }, { seconds: 30 });
    assert.ok(!after.ended);
    assert.notEqual(after.maps.at(-1), before.maps.at(-1), "a new init after the reconnect");
    assert.equal((await renditions(base, "again")).video, video, "the same epoch");
  });

  await t.test("a second host is refused with a reason, the first goes on", async (t) => {
    push(t, streamOf(urls, "busy"));
    const { video } = await renditions(base, "busy");
    const second = push(t, streamOf(urls, "busy"));
    const { code } = await second.exited;
    assert.notEqual(code, 0);
    assert.match(second.tail(), /busy|already|in use/i);
    const { last } = await playlist(video);
    assert.ok((await playlistOf(video, last + 1)).last > last);
  });

  await t.test("a bad room name is refused with a reason", async (t) => {
    const host = push(t, streamOf(urls, "not%20a%20room!"));
    const { code } = await host.exited;
    assert.notEqual(code, 0);
    assert.match(host.tail(), /room name|not a room|a-z/i);
  });

  const x265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"];
  const av1 = ["-c:v", "libsvtav1", "-preset", "11", "-crf", "40", "-svtav1-params", "pred-struct=1"];
  const x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"];
  const shows = [
    { room: "hevc", video: x265, audio: ["-c:a", "aac"], listed: /hvc1\./, names: ["aac", "hevc"] },
    { room: "av1", video: av1, audio: ["-c:a", "libopus"], listed: /av01\./, names: ["av1", "opus"] },
    { room: "b-frames", video: x264, audio: ["-c:a", "aac"], listed: /avc1\./, names: ["aac", "h264"] },
  ];
  for (const { room, video, audio, listed, names } of shows) {
    await t.test(`ffmpeg 9 publishes ${names.join(" + ")} (${room})`, async (t) => {
      const host = pushEncoded(t, streamOf(urls, room), { video, audio });
      const found = await renditions(base, room).catch((error) => {
        throw new Error(`${error.message}\n${host.tail()}`);
      });
      assert.match(found.text.match(/CODECS="([^"]+)"/)[1], listed);
      await playlistOf(found.video, (await playlist(found.video)).last + 2);
      const args = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"];
      const { code, stdout, stderr } = await run(t, "ffprobe", [...args, found.index]);
      assert.equal(code, 0, stderr);
      assert.deepEqual([...new Set(stdout.trim().split(/\s+/))].toSorted(), names);
    });
  }
});
