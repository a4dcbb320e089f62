// What a node gives up, held at each level by the operator: in the declared order, visible, undone.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";

import { push } from "./harness/encoder.mjs";
import { parse, renditions } from "./harness/hls.mjs";
import { edge, fleet, origin } from "./harness/node.mjs";
import { isOpen, someone } from "./harness/room.mjs";
import { open } from "./harness/stranger.mjs";
import { until } from "./harness/wait.mjs";

const ROOM = "show";
const LEVELS = [
  "stretch_likes", "sample_comments", "drop_top_rung", "plain_hls", "join_queue", "redirect",
];

const hold = async (node, level, seconds = 60) => {
  const body = JSON.stringify({ level, seconds });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${node.admin}/api/v1/shed`, { method: "POST", headers, body });
  assert.equal(response.status, 200);
  return response.json();
};
const get = (url) => fetch(url, { redirect: "manual" });

test("each level does what it says, and nothing to orders", { timeout: 120_000 }, async (t) => {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const far = await edge(t, certificates, [top]);
  const near = await edge(t, certificates, [top], { shed: { peers: [far.http] } });
  push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  await Promise.all([near, far].map((node) => renditions(node.http, ROOM)));
  await isOpen(ROOM, near);
  const index = `${near.http}/live/${ROOM}/index.m3u8`;
  const order = async () => {
    const response = await fetch(`${near.http}/rooms/${ROOM}/orders?user=${someone("u")}`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": randomUUID() },
      body: JSON.stringify({ sku: "tea", quantity: 1 }),
    });
    assert.equal(response.status, 202);
  };

  await t.test("an order is taken at every level", async () => {
    for (const level of LEVELS) {
      assert.equal((await hold(near, level)).level, level);
      await order();
      const metrics = await (await fetch(`${near.admin}/metrics`)).text();
      assert.ok(metrics.includes(`rushlane_shed_level ${LEVELS.indexOf(level) + 1}`), level);
      const ready = await fetch(`${near.admin}/readyz`);
      assert.equal(ready.status, level === "redirect" ? 503 : 200);
      assert.match(await ready.text(), new RegExp(`shedding: ${level} \\(operator\\)`));
    }
  });

  await t.test("new sessions are given plain HLS, and it plays", async () => {
    await hold(near, "plain_hls");
    const text = await (await get(index)).text();
    const media = text.match(/^#EXT-X-STREAM-INF[^\n]*\n([^#\n]+)/m)[1];
    assert.match(media, /\/plain\.m3u8$/);
    const url = new URL(media, index).href;
    const plain = await (await get(url)).text();
    assert.doesNotMatch(plain, /PART|BLOCK-RELOAD|PRELOAD/);
    const { segments, maps } = parse(plain, url);
    for (const object of [maps[0], segments.at(-1).url]) {
      assert.equal((await get(object)).status, 200, object);
    }
    await until("it goes on", async () => {
      const { last } = parse(await (await get(url)).text(), url);
      return last > segments.at(-1).msn;
    });
    // Who plays with low latency already goes on so.
    const low = parse(await (await get(url.replace("plain", "media"))).text(), url);
    assert.ok(low.parts.length > 0);
  });

  await t.test("new viewers wait for their turn and are told the truth", async () => {
    await hold(near, "join_queue");
    const asked = Array.from({ length: 60 }, () => get(index));
    const answers = await Promise.all(asked);
    const waiting = answers.filter(({ status }) => status === 503);
    assert.ok(waiting.length > 0, "some wait for longer than a request is held");
    assert.ok(answers.every(({ status }) => status === 200 || status === 503));
    const told = await Promise.all(waiting.map((answer) => answer.json()));
    const last = told.reduce((a, b) => (a.place > b.place ? a : b));
    const header = Number(waiting[told.indexOf(last)].headers.get("retry-after"));
    assert.equal(header, last.retry_after_s);
    assert.ok(last.place > 0 && last.ticket.length > 20);
    const again = await get(`${index}?queue=${last.ticket}`);
    const kept = again.status === 200 || (await again.json()).place <= last.place;
    assert.ok(kept, "a ticket keeps its place");
  });

  await t.test("new viewers are sent to the other edge, once", async () => {
    await hold(near, "redirect");
    const sent = await get(`${index}?quality=high`);
    assert.equal(sent.status, 307);
    const location = new URL(sent.headers.get("location"));
    assert.equal(location.origin, new URL(far.http).origin);
    assert.equal(location.pathname, `/live/${ROOM}/index.m3u8`);
    assert.equal(location.searchParams.get("quality"), "high");
    assert.equal((await fetch(location)).status, 200);
    const back = await get(new URL(location.pathname + location.search, near.http));
    assert.notEqual(back.status, 307, "who was sent here is not sent on");
    const flv = await new Promise((done) => {
      const socket = open(t, near.address("http.listen"), { onData: (bytes) => done(String(bytes)) });
      socket.write(`GET /live/${ROOM}.flv HTTP/1.1\r\nhost: viewer\r\n\r\n`);
    });
    assert.match(flv, /^HTTP\/1\.1 307 /);
  });

  await t.test("and all is undone", async () => {
    const status = await hold(near, null);
    assert.equal(status.level, "normal");
    assert.equal((await get(index)).status, 200);
    assert.match(await (await get(index)).text(), /media\.m3u8/);
    const metrics = await (await fetch(`${near.admin}/metrics`)).text();
    assert.match(metrics, /rushlane_shed_steps_total\{[^}]*direction="down"[^}]*\} [1-9]/);
  });
});
