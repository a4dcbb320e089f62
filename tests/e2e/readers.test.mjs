// Players and clients that are not ours read what we serve.

import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { WebSocket } from "ws";

import { browser } from "./harness/browser.mjs";
import { push } from "./harness/encoder.mjs";
import { bytes, playlist, playlistOf, renditions } from "./harness/hls.mjs";
import { dev, folder } from "./harness/node.mjs";
import { run } from "./harness/process.mjs";
import { BINARY, PYTHON } from "./harness/settings.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "show";
const MPEGTS = new URL("../../web/node_modules/mpegts.js/dist/mpegts.js", import.meta.url).pathname;

test("readers of one show", { timeout: 180_000 }, async (t) => {
  const { urls } = await dev(t);
  const base = new URL(urls.rooms).origin;
  push(t, urls.rtmp.replace(/[^/]+$/, ROOM));
  const { index, video, audio } = await renditions(base, ROOM);
  const flv = `${base}/live/${ROOM}.flv`;
  const secure = new URL(urls.https).origin;
  await until("six segments", async () => (await playlist(video)).segments.length >= 6, {
    seconds: 30,
  });

  // A plain join of HTTP-FLV opens with a burst whose frames share milliseconds, for players that
  // catch up; `start=live` has the timing of the host from its first frame.
  for (const [name, url] of [["LL-HLS", index], ["HTTP-FLV", `${flv}?start=live`]]) {
    await t.test(`ffprobe names the streams of ${name}`, async (t) => {
      const fields = "stream=codec_name,width,height,sample_rate";
      const args = ["-v", "error", "-show_entries", fields, "-of", "json", url];
      const { code, stdout, stderr } = await run(t, "ffprobe", args);
      assert.equal(code, 0, stderr);
      const { streams } = JSON.parse(stdout);
      const codecs = streams.map(({ codec_name }) => codec_name).toSorted();
      assert.deepEqual([...new Set(codecs)], ["aac", "h264"]);
      assert.ok(streams.some(({ width, height }) => width === 1280 && height === 720));
    });

    await t.test(`ffmpeg decodes ${name} without a complaint`, async (t) => {
      const args = ["-v", "warning", "-xerror", "-t", "4", "-i", url, "-f", "null", "-"];
      const { code, stderr } = await run(t, "ffmpeg", args);
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stderr, /non-monoton|invalid|corrupt|error/i);
    });
  }

  await t.test("HTTP-FLV opens at once, with a key frame and a clock that never goes back", async (t) => {
    const fields = "packet=dts_time,flags,stream_index";
    const args = ["-v", "error", "-select_streams", "v", "-show_entries", fields];
    const window = ["-read_intervals", "%+3", "-of", "json", flv];
    const { code, stdout, stderr } = await run(t, "ffprobe", [...args, ...window]);
    assert.equal(code, 0, stderr);
    const { packets } = JSON.parse(stdout);
    assert.match(packets[0].flags, /K/);
    const times = packets.map(({ dts_time }) => Number(dts_time));
    assert.ok(times.every((time, i) => i === 0 || time >= times[i - 1]), `${times}`);
  });

  for (const base of [flv, `${secure}/live/${ROOM}.flv`]) {
    const url = `${base.replace(/^http/, "ws")}?start=live`;
    await t.test(`the messages of ${url.split(":")[0]}: are one FLV file`, async (t) => {
      const file = join(folder(t), "show.flv");
      writeFileSync(file, await messages(t, url, { seconds: 3 }));
      const args = ["-v", "warning", "-xerror", "-i", file, "-f", "null", "-"];
      const { code, stderr } = await run(t, "ffmpeg", args);
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stderr, /non-monoton|invalid|corrupt|error/i);
    });
  }

  await t.test("mpegts.js plays by WebSocket", async (t) => {
    const page = await (await browser(t)).newPage();
    await page.goto(base, { waitUntil: "domcontentloaded" });
    await page.addScriptTag({ path: MPEGTS });
    await page.evaluate((url) => {
      document.body.innerHTML = "<video muted></video>";
      const player = window.mpegts.createPlayer({ type: "flv", isLive: true, url });
      player.attachMediaElement(document.querySelector("video"));
      player.load();
      void player.play();
    }, flv.replace(/^http/, "ws"));
    await until("three seconds are played", () =>
      page.evaluate(() => document.querySelector("video").getVideoPlaybackQuality().totalVideoFrames > 90),
    );
  });

  await t.test("FLV without video carries sound only", async (t) => {
    const url = `${flv}?audio=only`;
    const args = ["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", url];
    const { code, stdout, stderr } = await run(t, "ffprobe", args);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trim(), "audio");
  });

  await t.test("curl gets the playlist over HTTP/1.1 and HTTP/2, gzipped when it asks", async (t) => {
    const path = new URL(index).pathname;
    for (const [flag, version] of [["--http1.1", "1.1"], ["--http2", "2"]]) {
      const args = ["-sSk", flag, "--compressed", "-D", "-", "-o", "/dev/null"];
      const format = ["-w", "%{http_version} %{http_code} %{content_type}"];
      const { code, stdout, stderr } = await run(t, "curl", [...args, ...format, secure + path]);
      assert.equal(code, 0, stderr);
      assert.ok(stdout.endsWith(`${version} 200 application/vnd.apple.mpegurl`), stdout);
      assert.match(stdout, /content-encoding: gzip/i);
      assert.match(stdout, /alt-svc: h3=/i);
    }
  });

  await t.test("HTTP/3 gives the same bytes as HTTP/1.1", async (t) => {
    const listed = await playlistOf(video, (await playlist(video)).last);
    const paths = [listed.parts[0].url, listed.segments.at(-1).url, listed.maps[0]];
    const held = `${new URL(video).pathname}?_HLS_msn=${listed.last}`;
    const asked = [held, ...paths.map((url) => new URL(url).pathname)].map((path) => secure + path);
    const script = new URL("harness/http3_get.py", import.meta.url).pathname;
    const { code, stdout, stderr } = await run(t, PYTHON, [script, ...asked]);
    assert.equal(code, 0, stderr);
    const answers = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(answers.length, asked.length);
    for (const { headers } of answers) assert.equal(headers[":status"], "200");
    assert.match(Buffer.from(answers[0].body, "base64").toString(), /#EXT-X-PART-INF/);
    for (const [i, path] of paths.entries()) {
      const same = Buffer.from(answers[i + 1].body, "base64").equals(await bytes(path));
      assert.ok(same, `${path} differs`);
    }
  });

  await t.test("parts put together are the segment", async () => {
    for (const url of [video, audio]) {
      const listed = await playlist(url);
      const { url: segment } = listed.segments.at(-1);
      const stem = segment.replace(/m4s$/, "");
      const parts = listed.parts.filter((part) => part.url.startsWith(stem));
      assert.ok(parts.length > 1, `${segment} has ${parts.length} parts`);
      const together = Buffer.concat(await Promise.all(parts.map((part) => bytes(part.url))));
      assert.ok(together.equals(await bytes(segment)), `${segment} differs from its parts`);
    }
  });

  await t.test("rushlane probe finds nothing to complain about", async (t) => {
    const { code, stdout, stderr } = await run(t, BINARY, ["probe", index], { seconds: 60 });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
  });

  await t.test("a room that is not there is 404 with a problem document", async () => {
    const response = await fetch(`${base}/live/nobody/index.m3u8`);
    assert.equal(response.status, 404);
    assert.match(response.headers.get("content-type"), /^application\/problem\+json/);
  });
});

/** The bytes of the binary messages of `seconds`. */
async function messages(t, url, { seconds }) {
  const socket = new WebSocket(url, { rejectUnauthorized: false });
  t.after(() => socket.terminate());
  const got = [];
  socket.on("message", (data, isBinary) => got.push(isBinary ? data : Buffer.from("a text")));
  await once(socket, "message", { signal: AbortSignal.timeout(10_000) });
  await sleep(seconds * 1000);
  socket.close();
  await once(socket, "close", { signal: AbortSignal.timeout(10_000) });
  return Buffer.concat(got);
}
