// The pages in a real browser: what a viewer sees and feels.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import test from "node:test";

import { browser, playing, stats, watch } from "./harness/browser.mjs";
import { push } from "./harness/encoder.mjs";
import { renditions } from "./harness/hls.mjs";
import { dev, edge, fleet, origin } from "./harness/node.mjs";
import { OUT } from "./harness/settings.mjs";
import { sleep, until } from "./harness/wait.mjs";

const LATENCY_MAX_S = 1.6;
const SETTLE_SECONDS = 12;
const START_MAX_MS = 800;
const LONG_SECONDS = 60;

test("pages over one demo", { timeout: 240_000 }, async (t) => {
  const { urls } = await dev(t, { host: true });
  const chromium = await browser(t);
  const page = await chromium.newPage();
  mkdirSync(OUT, { recursive: true });

  await t.test("the front page lists the demo and leads to it", async () => {
    await page.goto(urls.rooms, { waitUntil: "domcontentloaded" });
    await page.getByRole("link", { name: /demo/ }).click({ timeout: 15_000 });
    await playing(page);
    assert.match(page.url(), /\/watch\/demo/);
  });

  await t.test("LL-HLS starts within 800 ms", async () => {
    const starts = [];
    for (let i = 0; i < 3; i += 1) starts.push((await watch(page, urls.watch)).startup_ms);
    assert.ok(Math.min(...starts) <= START_MAX_MS, `first frames after ${starts} ms`);
  });

  await t.test("LL-HLS plays for a minute, near live and without a stall", async () => {
    await watch(page, urls.watch);
    const distances = [];
    for (let i = 0; i < LONG_SECONDS; i += 1) {
      await sleep(1000);
      const now = await stats(page);
      // A slow start is made up for by playing a little faster.
      if (i >= SETTLE_SECONDS) distances.push(now.edge_distance_s);
    }
    distances.sort((a, b) => a - b);
    const end = await stats(page);
    const summary = `${JSON.stringify(end)} distances ${distances}`;
    t.diagnostic(`edge distance ${mean(distances).toFixed(2)} s, delay ${end.latency_s} s`);
    assert.equal(end.protocol, "hls", summary);
    assert.equal(end.stalls, 0, summary);
    assert.ok(distances[Math.floor(distances.length * 0.9)] <= LATENCY_MAX_S, summary);
    assert.ok(end.position_s > LONG_SECONDS - 5, summary);
    assert.ok(end.frames_decoded > LONG_SECONDS * 25, summary);
    assert.equal(end.height, 720);
  });

  await t.test("HTTP-FLV plays at the live edge without a stall", async () => {
    const first = await watch(page, `${urls.watch}?protocol=flv`);
    assert.ok(first.startup_ms <= START_MAX_MS, `first frame after ${first.startup_ms} ms`);
    await sleep(15_000);
    const end = await stats(page);
    assert.equal(end.protocol, "flv");
    assert.equal(end.stalls, 0, JSON.stringify(end));
    assert.ok(end.buffer_s < 1.5, JSON.stringify(end));
    assert.ok(end.frames_decoded > 15 * 25, JSON.stringify(end));
  });

  await t.test("the switch changes the protocol and the address", async () => {
    await page.getByRole("radio", { name: "LL-HLS" }).check({ force: true });
    const now = await until("HLS plays", async () => {
      const answer = await stats(page);
      return answer.protocol === "hls" && answer.state === "playing" && answer;
    });
    assert.match(now.engine, /^hls\.js/);
    assert.match(page.url(), /protocol=hls/);
  });

  await t.test("a protocol that fails gives way to the other, and says so", async () => {
    const broken = await chromium.newPage();
    await broken.route("**/*.flv", (route) => route.abort());
    const now = await watch(broken, `${urls.watch}?protocol=flv`);
    assert.equal(now.protocol, "hls");
    assert.equal(now.fallbacks.length, 1);
    await broken.getByText(/switched to LL-HLS/).waitFor({ timeout: 3_000 });
    await broken.close();
  });

  await t.test("keys: m gives sound, space pauses and returns to live", async () => {
    await watch(page, urls.watch);
    await page.keyboard.press("m");
    assert.equal((await stats(page)).muted, false);
    await page.keyboard.press(" ");
    await page.waitForFunction(() => document.querySelector("video").paused);
    await sleep(3_000);
    await page.keyboard.press(" ");
    await until("back at the live edge", async () => {
      const now = await stats(page);
      return now.state === "playing" && now.edge_distance_s < LATENCY_MAX_S;
    });
  });

  await t.test("a room that is not there is called so at once", async () => {
    await page.goto(urls.watch.replace(/demo$/, "nobody"), { waitUntil: "domcontentloaded" });
    await page.getByRole("heading", { name: "No such room" }).waitFor({ timeout: 5_000 });
  });

  await t.test("on a phone the page fits the screen", async (t) => {
    const phone = await browser(t, {
      viewport: { width: 390, height: 844 },
      isMobile: true,
      hasTouch: true,
      deviceScaleFactor: 2,
    });
    const small = await phone.newPage();
    await watch(small, urls.watch);
    await sleep(4_000);
    await small.screenshot({ path: `${OUT}/watch-phone.png` });
    const width = await small.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, 390);
    await small.goto(urls.rooms, { waitUntil: "domcontentloaded" });
    await small.getByRole("link", { name: /demo/ }).waitFor();
    await small.screenshot({ path: `${OUT}/front-phone.png` });
  });
});

test("the page follows a show from before its start to after its end", { timeout: 120_000 }, async (t) => {
  const { urls } = await dev(t, { set: { "publish.resume_seconds": 2 } });
  const page = await (await browser(t)).newPage();
  await page.goto(urls.watch.replace(/demo$/, "late"), { waitUntil: "domcontentloaded" });
  await page.getByRole("heading", { name: "No such room" }).waitFor({ timeout: 5_000 });

  const host = push(t, urls.rtmp.replace(/[^/]+$/, "late"));
  await playing(page, { seconds: 30 });

  await host.stop();
  await page.getByRole("heading", { name: "The show has ended" }).waitFor({ timeout: 30_000 });
});

test("the page comes back by itself after its edge died", { timeout: 120_000 }, async (t) => {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const first = await edge(t, certificates, [top]);
  push(t, `rtmp://${top.address("rtmp.listen")}/live/show`);
  await renditions(first.http, "show");
  const page = await (await browser(t)).newPage();
  await watch(page, `${first.http}/watch/show`);

  await first.process.stop("SIGKILL");
  await page.getByText(/Connection lost/).waitFor({ timeout: 30_000 });

  const listen = first.address("http.listen");
  await edge(t, certificates, [top], { http: { listen, tls_listen: "off" } });
  const back = await playing(page, { seconds: 40 });
  assert.deepEqual([back.protocol, back.fallbacks.length], ["hls", 0]);
});

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
