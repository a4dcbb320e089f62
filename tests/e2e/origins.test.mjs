// Where shows come from: encoders in pairs, hosts at edges, origins that stand by for each other,
// and operators who cut.

import assert from "node:assert/strict";
import test from "node:test";

import { browser, stats, watch } from "./harness/browser.mjs";
import { push } from "./harness/encoder.mjs";
import { watch as watchFlv } from "./harness/flv.mjs";
import { playlist, playlistOf, renditions } from "./harness/hls.mjs";
import { edge, fleet, origin } from "./harness/node.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "show";
/** Of the demo clip. */
const KEY_INTERVAL_MS = 1000;
const DECIDED_MS = 2000;
/** What a busy machine may add to a wait. */
const SLACK_MS = 700;

const at = (node, key = ROOM) => `rtmp://${node.address("rtmp.listen")}/live/${key}`;

/** What the admin API says of the room's encoders. */
async function ingest(node) {
  const response = await fetch(`${node.admin}/api/v1/rooms/${ROOM}`);
  return response.ok ? (await response.json()).ingest : null;
}

/** Waits until exactly the encoder in `seat` feeds the room. */
function onAir(node, seat, options) {
  return until(`the ${seat} encoder is on air`, async () => {
    const encoders = (await ingest(node))?.publishers.filter(({ on_air }) => on_air);
    return encoders?.length === 1 && encoders[0].seat === seat;
  }, options);
}

async function cut(node, body) {
  const headers = { "content-type": "application/json" };
  const url = `${node.admin}/api/v1/rooms/${ROOM}/cut`;
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

/** The longest step of a viewer's pictures, in milliseconds. */
function longestStep(times) {
  return Math.max(...times.slice(1).map((time, i) => time - times[i]));
}

/** Collects what a player would see go wrong: numbers that go back, another epoch. */
function watchNumbers(t, url) {
  const seen = { last: -1, first: -1, faults: [], discontinuities: 0, ended: false };
  let going = true;
  const looking = (async () => {
    while (going) {
      const now = await playlist(url).catch(() => null);
      if (now) {
        if (now.last < seen.last) seen.faults.push(`${now.last} after ${seen.last}`);
        if (now.first < seen.first) seen.faults.push(`starts at ${now.first}, then ${seen.first}`);
        seen.discontinuities = now.discontinuities + now.discontinuitySequence;
        Object.assign(seen, { last: now.last, first: now.first, ended: now.ended });
      }
      await sleep(200);
    }
  })();
  t.after(() => {
    going = false;
    return looking;
  });
  return seen;
}

test("a backup encoder goes on within two seconds and a key interval", { timeout: 120_000 }, async (t) => {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const leaf = await edge(t, certificates, [top]);
  const primary = push(t, at(top));
  await onAir(top, "primary");
  push(t, at(top, `${ROOM}?backup=1`));
  const { video } = await renditions(leaf.http, ROOM);
  const numbers = watchNumbers(t, video);
  const viewer = watchFlv(t, leaf.address("http.listen"), `/live/${ROOM}.flv`);
  await until("pictures", () => viewer.times.length > 60);
  assert.equal((await ingest(top)).publishers.length, 2);

  // It hangs: its connection stays and nothing comes.
  await primary.suspend();
  t.after(() => primary.child.kill("SIGCONT"));
  const stopped = performance.now();
  await onAir(top, "backup", { everyMs: 50 });
  const decided = performance.now() - stopped;
  assert.ok(decided <= DECIDED_MS + KEY_INTERVAL_MS + SLACK_MS, `on air after ${decided} ms`);
  const before = numbers.last;
  await until("the show goes on", () => numbers.last > before + 2);
  const step = longestStep(viewer.times);
  assert.ok(step <= DECIDED_MS + KEY_INTERVAL_MS + SLACK_MS, `${step} ms without a picture`);
  assert.deepEqual(numbers.faults, []);
  assert.equal(numbers.discontinuities, 1);

  // It is back and steady: the air is its own again.
  primary.child.kill("SIGCONT");
  await onAir(top, "primary", { seconds: 25 });
  assert.deepEqual(numbers.faults, []);
});

test("an operator cuts a room from every edge", { timeout: 90_000 }, async (t) => {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const leaf = await edge(t, certificates, [top]);
  const host = push(t, at(top));
  const { video } = await renditions(leaf.http, ROOM);
  const viewer = watchFlv(t, leaf.address("http.listen"), `/live/${ROOM}.flv`);
  await until("pictures", () => viewer.times.length > 10);
  let closed = false;
  viewer.socket.on("close", () => (closed = true));

  const asked = performance.now();
  assert.deepEqual(await cut(top, { block_seconds: 4 }), {
    status: 200,
    body: { room: ROOM, cut: true, blocked_seconds: 4 },
  });
  await until("the edge has let go of it", async () => {
    const { status } = await fetch(video);
    return closed && (status === 410 || status === 404);
  }, { seconds: 5, everyMs: 50 });
  const took = performance.now() - asked;
  assert.ok(took <= 2000 + SLACK_MS, `gone after ${took} ms`);
  assert.notEqual((await host.exited).code, null);

  const second = push(t, at(top));
  await second.exited;
  assert.match(second.tail(), /cut by an operator/);
  assert.equal((await cut(top, {})).status, 404);
  await sleep(4000);
  push(t, at(top));
  const again = await renditions(leaf.http, ROOM);
  assert.notEqual(again.video, video, "another show");
});

test("a host publishes at an edge, viewers everywhere see it", { timeout: 90_000 }, async (t) => {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const near = await edge(t, certificates, [top], { rtmp: { listen: "127.0.0.1:0" } });
  const far = await edge(t, certificates, [top]);
  push(t, at(near));
  const indexes = await Promise.all([near, top, far].map((node) => renditions(node.http, ROOM)));
  assert.equal(new Set(indexes.map(({ text }) => text)).size, 1);
  const { video } = indexes[2];
  const { last } = await playlist(video);
  assert.ok((await playlistOf(video, last + 1)).last > last);
  const refused = push(t, at(top));
  await refused.exited;
  assert.match(refused.tail(), /published to from another encoder/);
});

test("an origin dies and the one that stands by goes on", { timeout: 180_000 }, async (t) => {
  const certificates = fleet(t);
  const first = await origin(t, certificates);
  const relay = { peers: [first.address("relay.listen")], server_name: "localhost" };
  const second = await origin(t, certificates, { relay: { listen: "127.0.0.1:0", ...relay } });
  const leaf = await edge(t, certificates, [first, second]);
  push(t, at(first));
  const { video } = await renditions(leaf.http, ROOM);
  await until("the second origin follows", async () => (await ingest(second))?.feed);
  push(t, at(second));
  await until("its encoder stands by", async () => (await ingest(second)).publishers.length === 1);

  const numbers = watchNumbers(t, video);
  const page = await (await browser(t)).newPage();
  const player = await watch(page, `${leaf.http}/watch/${ROOM}`);
  const viewer = watchFlv(t, leaf.address("http.listen"), `/live/${ROOM}.flv`);
  await until("pictures", () => viewer.times.length > 60);

  await first.process.stop("SIGKILL");
  await onAir(second, "primary", { everyMs: 50 });
  const before = numbers.last;
  // What was silent is listed as gaps, numbered too; the discontinuity is where pictures begin.
  await until("the show goes on", () => numbers.discontinuities > 0 && numbers.last > before + 2, {
    seconds: 20,
  });
  const step = longestStep(viewer.times);
  t.diagnostic(`${step} ms without a picture`);
  assert.ok(step <= DECIDED_MS + KEY_INTERVAL_MS + SLACK_MS, `${step} ms without a picture`);
  assert.ok(!viewer.socket.destroyed, "the viewer's connection stays");
  assert.deepEqual(numbers.faults, []);
  assert.equal(numbers.discontinuities, 1);
  assert.ok(!numbers.ended);
  const { position_s } = await stats(page);
  await until("hls.js goes on by itself", async () => {
    const now = await stats(page);
    return now.state === "playing" && now.position_s > Math.max(position_s, player.position_s) + 4;
  }, { seconds: 25 });
});

test("an encoder that reconnects to the other origin continues its show", {
  timeout: 120_000,
}, async (t) => {
  const certificates = fleet(t);
  const first = await origin(t, certificates);
  const relay = { peers: [first.address("relay.listen")], server_name: "localhost" };
  const second = await origin(t, certificates, { relay: { listen: "127.0.0.1:0", ...relay } });
  const leaf = await edge(t, certificates, [first, second]);
  push(t, at(first));
  const { video } = await renditions(leaf.http, ROOM);
  await until("the second origin follows", async () => (await ingest(second))?.feed);
  const numbers = watchNumbers(t, video);
  await playlistOf(video, (await playlist(video)).last + 2);
  await first.process.stop("SIGKILL");
  await sleep(1000);
  push(t, at(second));
  await onAir(second, "primary");
  const before = numbers.last;
  await until("the show goes on", () => numbers.last > before + 2, { seconds: 20 });
  assert.deepEqual(numbers.faults, []);
  assert.equal((await renditions(leaf.http, ROOM)).video, video, "the same epoch");
});
