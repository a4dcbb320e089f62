// Tokens: strangers stay out at every door, players go on with the token of their first URL, and who is
// denied is out on every edge within seconds.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";

import { browser, playing } from "./harness/browser.mjs";
import { closed, get } from "./harness/closed.mjs";
import { push } from "./harness/encoder.mjs";
import { Hook } from "./harness/hook.mjs";
import { fleet } from "./harness/node.mjs";
import { enter } from "./harness/room.mjs";
import { open } from "./harness/stranger.mjs";
import { until } from "./harness/wait.mjs";

const DENIED_SECONDS_MAX = 5;

test("strangers stay out, and players go on with their first token", { timeout: 150_000 }, async (t) => {
  const { near, top, token, ingest, publish } = await closed(t);
  const stranger = push(t, ingest);
  await until("the host without a token is refused", () => !stranger.alive, { seconds: 30 });
  const wrong = push(t, `${ingest}?token=${token("play")}`);
  await until("a play token publishes nothing", () => !wrong.alive, { seconds: 30 });
  await publish();
  const play = token("play");

  await t.test("every door has its refusal", async () => {
    const other = token("play", "other");
    for (const [path, status] of [
      ["/rooms", 401],
      ["/live/show/index.m3u8", 401],
      ["/live/show.flv", 401],
      ["/rooms/show/snapshot", 401],
      ["/nothing/here", 401],
      [`/live/show.flv?token=${other}`, 403],
      [`/t/${other}/live/show/index.m3u8`, 403],
      [`/live/show.flv?token=${play.slice(0, -2)}AA`, 403],
      [`/rooms/show/snapshot?token=${play}`, 403],
      [`/live/show.flv?token=${"a".repeat(4000)}`, 403],
    ]) {
      const answer = await get(near.http, path);
      assert.equal(answer.status, status, path);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
    }
    for (const path of ["/", "/watch/show"]) assert.equal((await get(near.http, path)).status, 200);
    const list = await get(near.http, `/rooms?token=${token("play", "*")}`);
    assert.deepEqual((await list.json()).rooms.map(({ room }) => room), ["show"]);
  });

  await t.test("ffmpeg plays HLS and FLV by a query token", async () => {
    for (const path of ["/live/show/index.m3u8", "/live/show.flv"]) {
      const url = new URL(`${path}?token=${play}`, near.http).href;
      const words = ["-hide_banner", "-loglevel", "fatal", "-t", "2", "-i", url, "-f", "null", "-"];
      await promisify(execFile)("ffmpeg", words, { timeout: 40_000 });
    }
  });

  await t.test("hls.js plays in Chromium by a query token", async (t) => {
    const page = await (await browser(t)).newPage();
    await page.goto(new URL(`/watch/show?token=${token("interact")}&engine=hls`, near.http).href);
    await playing(page, { seconds: 30 });
  });

  const lines = [...near.process.stderr, ...top.process.stderr].join("\n");
  assert.ok(!lines.includes(play), "a token in the log");
});

test("who is denied is out on the edge within seconds", { timeout: 120_000 }, async (t) => {
  const { near, top, token, publish, deny } = await closed(t);
  const host = await publish();
  const leaked = token("play", "show", "--id", "leaked-1");
  const flv = open(t, new URL(near.http).host, { onData: () => {} });
  let ended = false;
  flv.on("close", () => (ended = true));
  flv.write(`GET /live/show.flv?token=${leaked} HTTP/1.1\r\nhost: a\r\n\r\n`);
  await until("FLV flows", () => flv.bytesRead > 100_000);
  const noisy = token("interact", "show", "--sub", "u_noisy");
  const member = await enter(t, near.http, "show", { token: noisy });
  let sentAway;
  member.ended.then((end) => (sentAway = end));
  const kept = await enter(t, near.http, "show", { token: token("interact", "show", "--sub", "u_kind") });

  const started = performance.now();
  const { id } = await deny({ token: leaked, reason: "leaked" });
  await deny({ sub: "u_noisy", room: "show" });
  await until("the viewer's stream ends", () => ended, { seconds: DENIED_SECONDS_MAX });
  await until("the member is sent away", () => sentAway, { seconds: DENIED_SECONDS_MAX });
  const seconds = (performance.now() - started) / 1000;
  t.diagnostic(`both were out after ${seconds.toFixed(2)} s`);
  assert.ok(seconds <= DENIED_SECONDS_MAX);
  assert.equal(sentAway.code, 4403);
  assert.equal((await kept.say("still here")).type, "comment");
  assert.equal((await get(near.http, `/live/show.flv?token=${leaked}`)).status, 403);
  assert.equal((await get(near.http, `/rooms/show/snapshot?token=${noisy}`)).status, 403);
  assert.equal((await fetch(new URL("/api/v1/deny", near.admin), { method: "POST", body: "{}" })).status, 400);

  const gone = await fetch(new URL(`/api/v1/deny/${id}`, top.admin), { method: "DELETE" });
  assert.equal(gone.status, 200);
  await until("the token is good again", async () =>
    (await get(near.http, `/t/${leaked}/live/show/index.m3u8`)).status === 200, { seconds: 5 });
  await deny({ address: "127.0.0.0/8" });
  await until("the encoder is cut off", () => !host.alive, { seconds: 10 });
});

test("tenants sign in their own ways", { timeout: 90_000 }, async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const jwks = join(fleet(t).folder, "jwks.json");
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "ed-1" }] }));
  const secret = "aliyuncdnexp1234";
  const tenants = [
    { name: "jwt", rooms: ["show"], scheme: "jwt", jwks, audience: "cdn" },
    { name: "aliyun", rooms: ["show"], scheme: "aliyun-a", keys: [{ id: "a1", secret }] },
  ];
  const { near, publish } = await closed(t, { auth: { tenants } });
  await publish();

  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 60;
  const jwt = (claims) => {
    const message = `${part({ alg: "EdDSA", kid: "ed-1" })}.${part(claims)}`;
    return `${message}.${sign(null, Buffer.from(message), privateKey).toString("base64url")}`;
  };
  const claims = { aud: "cdn", scope: "play", room: "show", exp };
  const status = async (token) => (await get(near.http, `/t/${token}/live/show/index.m3u8`)).status;
  assert.equal(await status(jwt(claims)), 200);
  assert.equal(await status(jwt({ ...claims, aud: "other" })), 403);
  assert.equal(await status(jwt({ ...claims, exp: exp - 3600 })), 403);

  const path = "/live/show/index.m3u8";
  const { createHash } = await import("node:crypto");
  const hash = createHash("md5").update(`${path}-${exp}-0-0-${secret}`).digest("hex");
  const moved = await get(near.http, `${path}?auth_key=${exp}-0-0-${hash}`);
  assert.equal(moved.status, 302);
  const playlist = await get(near.http, moved.headers.get("location"));
  assert.equal(playlist.status, 200);
  assert.match(await playlist.text(), /#EXTM3U/);
  assert.equal((await get(near.http, `${path}?auth_key=${exp + 1}-0-0-${hash}`)).status, 403);
});

test("callbacks decide who publishes and plays", { timeout: 90_000 }, async (t) => {
  const hook = await Hook.open(t);
  const seen = [];
  let allows = true;
  hook.answer = async (event) => {
    seen.push(event);
    return { status: 200, body: { decision: allows ? "allow" : "deny", reason: "closed today" } };
  };
  const url = hook.url;
  const hooks = { secret: hook.secret, on_publish: url, on_unpublish: url, on_play: url, timeout_ms: 2000 };
  const { near, token, ingest, publish } = await closed(t, { hooks });
  const host = await publish();
  assert.equal(seen.filter(({ type }) => type === "on_publish").length, 1);
  const play = await get(near.http, `/t/${token("play")}/live/show/index.m3u8`);
  const media = (await play.text()).match(/^[^#\n].*$/m)[0];
  const before = seen.length;
  assert.equal((await get(near.http, `/t/${token("play")}/live/show/${media}`)).status, 200);
  assert.equal(seen.length, before, "a media playlist begins nothing");
  allows = false;
  const refused = await get(near.http, `/t/${token("play")}/live/show/index.m3u8`);
  assert.deepEqual([refused.status, (await refused.json()).detail], [403, "closed today"]);
  host.child.kill("SIGKILL");
  await until("the end is told", () => seen.some(({ type }) => type === "on_unpublish"), { seconds: 15 });
  const again = push(t, `${ingest}?token=${token("publish")}`);
  await until("the host is refused", () => !again.alive, { seconds: 20 });
  assert.deepEqual(hook.faults, []);
});
