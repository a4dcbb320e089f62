// Strangers: whatever they send, hold back or leave open, the show goes on and nothing is left.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import http2 from "node:http2";
import test from "node:test";

import { push } from "./harness/encoder.mjs";
import { watch } from "./harness/flv.mjs";
import { playlist, playlistOf, renditions } from "./harness/hls.mjs";
import { dev, event } from "./harness/node.mjs";
import { drip, knock, open, throwAt, throwDatagrams } from "./harness/stranger.mjs";
import { sleep, until } from "./harness/wait.mjs";

/** `RUSHLANE_PATHS=1000000` for the whole measure. */
const PATHS = Number(process.env.RUSHLANE_PATHS ?? 100_000);
const PATHS_WARM = 20_000;
const GROWTH_BYTES_MAX = 32 << 20;
const DESCRIPTORS = 160;
/** Longer than every limit on a peer that is slow to begin, with its lingering close. */
const LORIS_SECONDS_MAX = 18;

/** A `dev` node with the demo host on; `goesOn` waits for the next segment. */
async function show(t, options = {}) {
  const { process, urls } = await dev(t, { host: true, ...options });
  const base = new URL(urls.rooms).origin;
  const { video } = await renditions(base, "demo");
  const goesOn = () => until("the next segment", async () => {
    const { last } = await playlist(video);
    return (await playlistOf(video, last + 1)).last > last;
  });
  const panicked = () => process.stderr.find((line) => line.includes("panicked"));
  return { process, urls, base, video, goesOn, panicked, http: new URL(base).host };
}

const status = (process, field) =>
  Number(readFileSync(`/proc/${process.child.pid}/status`, "utf8").match(`${field}:\\s+(\\d+)`)[1]);
const residentBytes = (process) => status(process, "VmRSS") * 1024;
const descriptors = (process) => readdirSync(`/proc/${process.child.pid}/fd`).length;

async function metric(url, name) {
  const text = await (await fetch(url)).text();
  return Number(text.match(new RegExp(`^rushlane_${name} (\\S+)$`, "m"))?.[1]);
}

test("random paths get 404 at once and leave no trace", { timeout: 600_000 }, async (t) => {
  const { process, http, video, goesOn } = await show(t);
  const [, , , epoch] = new URL(video).pathname.split("/");
  const word = () => randomBytes(6).toString("hex");
  const number = () => 2 ** 20 + Math.floor(Math.random() * 2 ** 40);
  const paths = [
    () => `/${word()}`,
    () => `/assets/${word()}.js?${word()}`,
    () => `/live/${word()}/index.m3u8`,
    () => `/live/${word()}.flv`,
    () => `/live/${word()}/${epoch}/video/media.m3u8?_HLS_msn=${number()}`,
    () => `/live/demo/${word()}/video/media.m3u8`,
    () => `/live/demo/${epoch}/${word()}/${number()}.m4s`,
    () => `/live/demo/${epoch}/video/${number()}.m4s`,
    () => `/live/demo/${epoch}/video/${number()}.${number() % 9}.m4s`,
    () => `/live/demo/${epoch}/video/init-${number() % 2 ** 32}.mp4`,
    () => `/live/demo/${epoch}/video/media.m3u8?_HLS_msn=${number()}&token=${word()}`,
  ];
  const path = () => paths[Math.floor(Math.random() * paths.length)]();
  await knock(t, http, PATHS_WARM, path);
  const before = residentBytes(process);
  const start = performance.now();
  const statuses = await knock(t, http, PATHS, path);
  const grown = residentBytes(process) - before;
  const rate = Math.round(PATHS / ((performance.now() - start) / 1000));
  t.diagnostic(`${PATHS} paths, ${rate}/s, ${JSON.stringify(statuses)}, ${grown >> 10} KiB more`);
  assert.deepEqual(Object.keys(statuses).toSorted(), ["400", "404"]);
  assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more in memory`);
  await goesOn();
});

test("strangers around one show", { timeout: 180_000 }, async (t) => {
  // Small send buffers, so that a viewer that does not read is noticed soon.
  const node = await show(t, { set: { "http.send_buffer_bytes": 65_536 } });
  const { process, urls, http, goesOn, panicked } = node;
  const https = new URL(urls.https).host;
  const rtmp = urls.rtmp.match(/\/\/([^/]+)/)[1];
  const { listeners } = await (await fetch(new URL("/api/v1/node", urls.origin))).json();
  const listening = (key) => listeners[key];
  const handshake = Buffer.alloc(1 + 2 * 1536);
  handshake[0] = 3;

  await t.test("a slow beginning is closed, in every protocol", async (t) => {
    const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    const openings = {
      "HTTP head": drip(t, http, "GET / HTTP/1.1\r\nhost: a\r\nx-"),
      "HTTP/2 preface": drip(t, http, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      "TLS handshake": drip(t, https, hello),
      "RTMP handshake": drip(t, rtmp, handshake.subarray(0, 9)),
      "RTMP connect": drip(t, rtmp, handshake),
      "RTMPS handshake": drip(t, listening("rtmp.tls_listen"), hello),
      "admin head": drip(t, new URL(urls.metrics).host, "GET / HTTP/1.1\r\nx-"),
    };
    const names = Object.keys(openings);
    const late = sleep(LORIS_SECONDS_MAX * 1000).then(() => undefined);
    const seconds = await Promise.all(Object.values(openings).map((end) => Promise.race([end, late])));
    t.diagnostic(names.map((name, i) => `${name} ${seconds[i]?.toFixed(1)} s`).join(", "));
    assert.deepEqual(names.filter((_, i) => seconds[i] === undefined), [], "these are still open");
  });

  await t.test("a viewer that stops reading is skipped, then closed; its sibling misses nothing", async (t) => {
    const CLOSED = "delivery_flv_closed_slow_total";
    const path = "/live/demo.flv?start=live";
    const sibling = watch(t, http, path);
    const stuck = open(t, http);
    stuck.pause();
    stuck.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
    // Over HTTP/2 it may read the connection and yet open no window for the stream.
    const session = http2.connect(`http://${http}`, { settings: { initialWindowSize: 0 } });
    t.after(() => session.destroy());
    session.on("error", () => {});
    session.request({ ":path": path }).on("error", () => {});
    const both = async () => (await metric(urls.metrics, CLOSED)) === 2;
    await until("both are closed", both, { seconds: 40 });
    assert.ok((await metric(urls.metrics, "delivery_flv_skips_total")) > 0);
    assert.equal(await metric(urls.metrics, "delivery_flv_viewers"), 1);
    const steps = sibling.times.slice(1).map((time, i) => time - sibling.times[i]);
    assert.ok(steps.length > 200, `${steps.length} frames`);
    assert.deepEqual(steps.filter((step) => step < 33 || step > 34), [], "steps of 30 frames a second");
    sibling.socket.destroy();
  });

  await t.test("garbage on every port", async (t) => {
    const tcp = [http, https, rtmp, listening("rtmp.tls_listen"), new URL(urls.metrics).host];
    const begins = ["", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", handshake, "\x16\x03\x01\x02\x00"];
    const noise = (begin) => Buffer.concat([Buffer.from(begin), randomBytes(20_000)]);
    await Promise.all([
      ...tcp.flatMap((port) => begins.map((begin) => throwAt(t, port, noise(begin)))),
      throwDatagrams(listening("relay.listen"), 2_000),
      throwDatagrams(https, 2_000),
    ]);
    assert.ok(process.alive && !panicked(), process.tail());
    await goesOn();
  });

  await t.test("the admin port answers while the data ports are flooded", async (t) => {
    let flooded = true;
    const path = () => `/live/${flooded}.flv`;
    const flood = async () => {
      let count = 0;
      while (flooded) count += Object.values(await knock(t, http, 8_000, path))[0];
      return count;
    };
    const running = flood();
    const waits = [];
    for (let i = 0; i < 10; i += 1) {
      const start = performance.now();
      const health = await fetch(new URL("/healthz", urls.metrics), { signal: AbortSignal.timeout(5_000) });
      assert.equal(health.status, 200);
      waits.push(performance.now() - start);
      await sleep(200);
    }
    flooded = false;
    t.diagnostic(`${await running} requests; answers within ${Math.round(Math.max(...waits))} ms`);
    await goesOn();
  });

  assert.ok(!panicked(), panicked());
});

test("a log that cannot be written is lost, and nothing else", { timeout: 60_000 }, async (t) => {
  const full = openSync("/dev/full", "w");
  const spawn = { stdio: ["ignore", "pipe", full] };
  const { process, urls, goesOn } = await show(t, { spawn });
  closeSync(full);
  const rtmp = urls.rtmp.match(/\/\/([^/]+)/)[1];
  await Promise.all(Array.from({ length: 10 }, () => throwAt(t, rtmp, randomBytes(9_000))));
  await goesOn();
  assert.deepEqual(await process.stop("SIGTERM"), { code: 0, signal: null });
});

test("a host that is gone leaves nothing behind", { timeout: 120_000 }, async (t) => {
  const { process, urls } = await dev(t, {
    set: { "publish.resume_seconds": 2, "publish.linger_seconds": 2, "rtmp.idle_seconds": 3 },
  });
  const base = new URL(urls.rooms).origin;
  const metrics = new URL("/metrics", urls.origin);
  const lists = async (url) => {
    const { rooms } = await (await fetch(url)).json();
    return rooms.some(({ room }) => room === "show");
  };
  const open = descriptors(process);
  // Killed, its kernel says goodbye; stopped, nobody does.
  for (const signal of ["SIGKILL", "SIGSTOP"]) {
    const host = push(t, urls.rtmp.replace(/[^/]+$/, "show"));
    await renditions(base, "show");
    host.child.kill(signal);
    const gone = async () => !(await lists(urls.origin)) && !(await lists(urls.admin));
    await until(`the room is gone after ${signal}`, gone, { seconds: 45 });
    const connections = await metric(metrics, "ingest_rtmp_connections");
    assert.equal(connections, 0, `${connections} connections after ${signal}`);
    host.child.kill("SIGKILL");
  }
  // The harness itself keeps a few connections alive.
  await until("descriptors are given back", () => descriptors(process) <= open + 8, { seconds: 20 });
});

test("a node out of descriptors lives, and serves again", { timeout: 120_000 }, async (t) => {
  const { process, urls, http, goesOn, panicked } = await show(t, { shell: `ulimit -n ${DESCRIPTORS}` });
  const sockets = Array.from({ length: 2 * DESCRIPTORS }, () => open(t, http));
  const told = await until("accept fails", () => event(process, "cannot accept connections"));
  assert.match(told.error, /too many open files/i);
  const rtmp = urls.rtmp.match(/\/\/([^/]+)/)[1];
  for (let i = 0; i < 20; i += 1) sockets.push(open(t, rtmp));
  await sleep(2_000);
  assert.ok(process.alive && !panicked(), process.tail());
  const lines = process.stderr.length;
  assert.ok(lines < 500, `${lines} lines in the log`);
  for (const socket of sockets) socket.destroy();
  await goesOn();
});
