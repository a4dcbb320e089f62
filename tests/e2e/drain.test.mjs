// A node that goes down: who goes where, and what goes on meanwhile.

import assert from "node:assert/strict";
import test from "node:test";

import { buy, watchFlv, watchHls } from "./harness/crowd.mjs";
import { Merchant } from "./harness/merchant.mjs";
import { network } from "./harness/network.mjs";
import { enter, isOpen, send, someone } from "./harness/room.mjs";
import { CROWD } from "./harness/settings.mjs";
import { until } from "./harness/wait.mjs";

const ROOM = "sale";
const DEADLINE_SECONDS = 8;
/** Live bodies are ended within a third of the deadline; then everybody has five seconds. */
const MOVED_SECONDS = DEADLINE_SECONDS / 3 + 5;

test("a drain hands viewers and buyers to the other edge", { timeout: 120_000 }, async (t) => {
  const merchant = await Merchant.open(t);
  const webhook = { url: merchant.url, secret: merchant.secret, timeout_ms: 1_000 };
  const net = await network(t, { relay: false, origin: { orders: { webhook } } });
  const { near, far } = net;
  await net.publish(ROOM);
  await isOpen(ROOM, near, far);

  const flv = Array.from({ length: CROWD / 2 }, () => watchFlv(t, near.http, ROOM));
  const hls = Array.from({ length: CROWD / 2 }, () => watchHls(t, near.http, ROOM));
  const viewers = [...flv, ...hls];
  const buyers = Array.from({ length: Math.max(4, CROWD / 5) }, () =>
    buy(t, [near.http, far.http], ROOM, someone(), { everyMs: Math.max(100, CROWD) }));
  const member = await enter(t, near.http, ROOM, { user: someone() });
  await until("all of them watch and buy", () =>
    viewers.every(({ frames }) => frames.length > 3) && buyers.every(({ keys }) => keys.length > 1), {
    seconds: 60,
  });

  const begun = performance.now();
  const answer = await send(`${near.admin}/api/v1/drain`, {
    deadline_seconds: DEADLINE_SECONDS,
    alternates: [far.http],
  });
  assert.equal(answer.status, 202, answer.text);
  assert.equal(answer.json.state, "draining");
  assert.equal(answer.json.onward, "alternates");

  const ready = await fetch(`${near.admin}/readyz`);
  assert.deepEqual([ready.status, await ready.text()], [503, "draining\n"]);
  const newcomer = await fetch(`${near.http}/live/${ROOM}/index.m3u8?token=x`, { redirect: "manual" });
  assert.equal(newcomer.status, 307);
  assert.equal(newcomer.headers.get("location"), `${far.http}/live/${ROOM}/index.m3u8?token=x`);
  assert.equal(newcomer.headers.get("access-control-allow-origin"), "*");
  const { code } = await member.ended;
  assert.equal(code, 1012);
  assert.deepEqual(member.events.at(-1).body, { alternates: [far.http] });

  const there = new URL(far.http).host;
  await until("every viewer plays on the other edge", () => viewers.every(({ node }) => node === there), {
    seconds: MOVED_SECONDS,
  });
  t.diagnostic(`all moved within ${Math.round(performance.now() - begun)} ms`);
  const { code: exit } = await near.process.exited;
  assert.equal(exit, 0, near.process.tail());
  t.diagnostic(`the node ended after ${Math.round(performance.now() - begun)} ms`);

  await Promise.all([...viewers, ...buyers].map((one) => one.stop()));
  for (const viewer of viewers) {
    assert.deepEqual(viewer.faults, []);
    assert.ok(viewer.longestWait < 3_000, `a wait of ${viewer.longestWait} ms`);
  }
  for (const buyer of buyers) assert.deepEqual(buyer.faults, []);
  const waits = viewers.map(({ longestWait }) => longestWait).sort((a, b) => a - b);
  t.diagnostic(`${viewers.length} viewers; the longest wait ${Math.round(waits.at(-1))} ms`);
  const keys = buyers.flatMap((buyer) => buyer.keys);
  t.diagnostic(`${keys.length} orders, ${buyers.reduce((sum, { again }) => sum + again, 0)} sent again`);
  await until("the merchant has every order once", () => keys.every((key) => merchant.book.has(key)));
});

test("SIGTERM lets requests end and turns newcomers away", { timeout: 60_000 }, async (t) => {
  const net = await network(t, { relay: false });
  const { near } = net;
  await net.publish(ROOM);
  const viewer = watchFlv(t, near.http, ROOM);
  await until("it plays", () => viewer.frames.length > 3);
  const { code, signal } = await near.process.stop("SIGTERM");
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, near.process.tail());
});

test("a drain that makes no sense is refused", { timeout: 60_000 }, async (t) => {
  const { near } = await network(t, { relay: false });
  for (const body of ['{"alternates":["far"]}', '{"deadline_seconds":0}', '{"when":1}', "{"]) {
    const { status, json } = await send(`${near.admin}/api/v1/drain`, body);
    assert.equal(status, 400, body);
    assert.ok(json.detail.length > 0);
  }
  const { json } = await send(`${near.admin}/api/v1/drain`, undefined, {}, "GET");
  assert.equal(json.state, "serving");
});
