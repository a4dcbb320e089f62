// Keys that change, tokens that expire, and where neither may ever be found: under a running show.

import assert from "node:assert/strict";
import { generateKeyPairSync, sign as signWith } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import { join } from "node:path";
import test from "node:test";

import { closed, get, newKey, sign } from "./harness/closed.mjs";
import { push } from "./harness/encoder.mjs";
import { watch } from "./harness/flv.mjs";
import { event, fleet } from "./harness/node.mjs";
import { enter } from "./harness/room.mjs";
import { sleep, until } from "./harness/wait.mjs";

/** How far a token's time and a node's clock may differ: until then it is good. */
const SKEW_SECONDS = 30;
const now = () => Math.floor(Date.now() / 1000);
const INDEX = "/live/show/index.m3u8";

test("a key file that changes is taken up, one that is no use is not", { timeout: 120_000 }, async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const jwks = join(fleet(t).folder, "jwks.json");
  const write = (kid) => {
    const key = { ...publicKey.export({ format: "jwk" }), kid };
    writeFileSync(jwks, JSON.stringify({ keys: [key] }));
  };
  write("ed-1");
  const tenants = [{ name: "shop", rooms: ["show"], scheme: "jwt", jwks }];
  const { near, token, publish, keyFile } = await closed(t, { auth: { tenants } });
  await publish();
  const status = async (carried) => (await get(near.http, `/t/${carried}${INDEX}`)).status;
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const jwt = (kid) => {
    const claims = { scope: "play", room: "show", exp: now() + 600 };
    const message = `${part({ alg: "EdDSA", kid })}.${part(claims)}`;
    return `${message}.${signWith(null, Buffer.from(message), privateKey).toString("base64url")}`;
  };
  const text = async (path) => (await fetch(new URL(path, near.admin))).text();
  const first = token("play");
  const viewer = watch(t, new URL(near.http).host, `/live/show.flv?token=${first}`);
  await until("pictures", () => viewer.times.length > 10);

  await t.test("another key", async () => {
    newKey(keyFile, "k2");
    const second = token("play");
    assert.equal(await status(first), 200, "the old one until then");
    await until("the new one is in force", async () => (await status(second)) === 200);
    assert.equal(await status(first), 403);
  });

  await t.test("another JWKS", async () => {
    assert.deepEqual([await status(jwt("ed-1")), await status(jwt("ed-2"))], [200, 403]);
    write("ed-2");
    await until("it is in force", async () => (await status(jwt("ed-2"))) === 200);
    assert.equal(await status(jwt("ed-1")), 403);
  });

  await t.test("one wrong file changes no key at all", async () => {
    const good = readFileSync(jwks, "utf8");
    writeFileSync(jwks, good.slice(0, 20));
    newKey(keyFile, "k3");
    const third = token("play");
    await until("readiness tells", async () => /\nkeys: .*jwks/.test(await text("/readyz")));
    assert.equal((await fetch(new URL("/readyz", near.admin))).status, 200, "the node serves on");
    assert.ok(event(near.process, "the keys of tokens stay as they were"));
    const metrics = await text("/metrics");
    assert.match(metrics, /^rushlane_node_condition\{condition="keys"\} 1$/m);
    assert.match(metrics, /^rushlane_auth_key_reload_failures_total [1-9]/m);
    assert.deepEqual([await status(jwt("ed-2")), await status(third)], [200, 403]);
    writeFileSync(jwks, good);
    await until("all are in force", async () => (await status(third)) === 200);
    await until("readiness tells", async () => !/keys:/.test(await text("/readyz")));
  });

  const seen = viewer.times.length;
  await until("who was in notices nothing", () => viewer.times.length > seen + 30);
  for (const name of [keyFile, jwks]) {
    const secret = readFileSync(name, "utf8").trim().split(":").at(-1);
    assert.ok(!near.process.stderr.join("\n").includes(secret), "a secret in the log");
  }
});

test("a session outlasts its token, or ends with it", { timeout: 150_000 }, async (t) => {
  const lasting = await closed(t);
  const ending = await closed(t, { auth: { at_expiry: "end" } });
  await Promise.all([lasting.publish(), ending.publish()]);

  /** A viewer over HLS, one over FLV and a member, whose tokens expire after some seconds. */
  const begin = async ({ near, keyFile }, seconds) => {
    const exp = now() - SKEW_SECONDS + seconds;
    const token = sign(keyFile, { scope: "interact", room: "show", sub: "u_1", name: "Li", exp });
    const status = async (options) => (await get(near.http, `/t/${token}${INDEX}`, options)).status;
    assert.equal(await status(), 200);
    const viewer = watch(t, new URL(near.http).host, `/live/show.flv?token=${token}`);
    const member = await enter(t, near.http, "show", { token });
    let end;
    member.ended.then((told) => (end = told));
    await until("pictures", () => viewer.times.length > 10);
    return { token, status, viewer, member, end: () => end };
  };

  await t.test("it outlasts it", async () => {
    const session = await begin(lasting, 5);
    for (let second = 0; second < 12; second += 1) {
      assert.equal(await session.status(), 200, `after ${second} s`);
      await sleep(1000);
    }
    const url = new URL(`/t/${session.token}${INDEX}`, lasting.near.http);
    const elsewhere = await new Promise((done, fail) => {
      const asked = http.get(url, { localAddress: "127.0.0.2" }, (answer) => done(answer.statusCode));
      asked.on("error", fail);
    });
    assert.equal(elsewhere, 403, "who picks it up elsewhere begins nothing with it");
    assert.ok(!session.viewer.socket.destroyed);
    assert.equal(session.end(), undefined);
    await assert.rejects(enter(t, lasting.near.http, "show", { token: session.token }), /403/);
  });

  await t.test("it ends with it, where that is wanted", async () => {
    const exp = now() - SKEW_SECONDS + 12;
    const claims = { scope: "publish", room: "show2", exp };
    const ingest = ending.ingest.replace(/show$/, "show2");
    const host = push(t, `${ingest}?token=${sign(ending.keyFile, claims)}`);
    const session = await begin(ending, 8);
    assert.ok(host.alive, "it publishes meanwhile");
    let isClosed = false;
    session.viewer.socket.on("close", () => (isClosed = true));
    await until("the member is sent away", () => session.end(), { seconds: 15 });
    assert.equal(session.end().code, 4403);
    await until("the stream ends", () => isClosed, { seconds: 5 });
    assert.equal(await session.status(), 403);
    await until("the encoder is cut off", () => !host.alive, { seconds: 20 });
  });
});

test("a token leaves no trace", { timeout: 90_000 }, async (t) => {
  const traces = [];
  const collector = http.createServer((request, answer) => {
    request.on("data", (bytes) => traces.push(bytes));
    request.on("end", () => answer.end("{}"));
  });
  await new Promise((done) => collector.listen(0, "127.0.0.1", done));
  t.after(() => collector.close());
  const path = join(fleet(t).folder, "access.log");
  const otlp = `http://127.0.0.1:${collector.address().port}`;
  const everywhere = { node: { log: "debug" } };
  const edgeAlone = { ...everywhere, access_log: { path }, telemetry: { otlp, sample: 1 } };
  const { near, top, token, keyFile, ingest, publish } = await closed(t, { more: edgeAlone, all: everywhere });
  await publish();

  const claims = { scope: "play", room: "show", exp: now() + 600, jti: "01JDTRACELESS" };
  const good = sign(keyFile, claims);
  const carried = {
    good,
    forged: `${good.slice(0, -4)}AAAA`,
    expired: sign(keyFile, { ...claims, exp: now() - 600 }),
    "of another room": token("play", "other"),
    oversized: "x".repeat(3000),
  };
  const h2 = http2.connect(near.http);
  t.after(() => h2.destroy());
  const askH2 = (headers) => new Promise((done, fail) => {
    const request = h2.request(headers);
    request.on("response", (answer) => done(answer));
    request.on("error", fail);
    request.resume();
  });
  for (const [what, one] of Object.entries(carried)) {
    const isGood = what === "good";
    for (const [where, options] of [
      [`/t/${one}${INDEX}`],
      [`${INDEX}?token=${one}`],
      [INDEX, { headers: { authorization: `Bearer ${one}` } }],
      [`/rooms/show/snapshot?token=${one}`],
      [`/live/show/e0/video/1.m4s?token=${one}`],
    ]) {
      const answer = await get(near.http, where, options);
      const { status, headers } = answer;
      if (!isGood) assert.deepEqual([status, headers.get("cache-control")], [403, "no-store"], what);
      // A play token opens no room.
      if (isGood && !where.startsWith("/rooms")) assert.ok([200, 302, 404].includes(status), where);
      const body = await answer.text();
      assert.ok(isGood || !body.includes(one), `${what}: it is sent back`);
    }
    const answer = await askH2({ ":path": `/t/${one}${INDEX}`, authorization: `Bearer ${one}` });
    assert.equal(answer[":status"] === 200, isGood, what);
    assert.equal(answer[":status"] === 403, !isGood, what);
    await fetch(new URL("/api/v1/node", near.admin), { headers: { authorization: `Bearer ${one}` } });
  }
  const stranger = push(t, `${ingest}?token=${carried.forged}`);
  await until("it is refused", () => !stranger.alive, { seconds: 20 });

  const log = () => readFileSync(path, "utf8");
  await until("the access log is written", () => log().includes('"status":403'));
  for (const line of log().split("\n").slice(0, -1)) {
    const { proto, rtt_ms, loss, cwnd } = JSON.parse(line);
    assert.ok(rtt_ms > 0 && loss === 0 && cwnd > 1000, `over ${proto} the connection is known: ${line}`);
  }
  await until("traces are told", () => traces.length > 0);
  const places = {
    "the edge's log": near.process.stderr.join("\n"),
    "the origin's log": top.process.stderr.join("\n"),
    "the access log": log(),
    traces: Buffer.concat(traces).toString("latin1"),
    metrics: await (await fetch(new URL("/metrics", near.admin))).text(),
  };
  assert.ok(places["the edge's log"].includes('"level":"DEBUG"'));
  for (const [place, text] of Object.entries(places)) {
    for (const [what, one] of Object.entries(carried)) {
      for (const piece of one.split(".")) {
        assert.ok(!text.includes(piece), `${what}: in ${place}`);
      }
    }
  }
});
