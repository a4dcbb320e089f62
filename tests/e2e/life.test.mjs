// Starting and stopping: exit codes, clear messages, nothing left behind.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { push } from "./harness/encoder.mjs";
import { playlist, renditions } from "./harness/hls.mjs";
import { dev, devArguments, event, folder } from "./harness/node.mjs";
import { Process, run } from "./harness/process.mjs";
import { BINARY } from "./harness/settings.mjs";
import { until } from "./harness/wait.mjs";

test("SIGTERM with a host and viewers on: drained, exit 0", { timeout: 60_000 }, async (t) => {
  const { process, urls } = await dev(t);
  const base = new URL(urls.rooms).origin;
  push(t, urls.rtmp.replace(/[^/]+$/, "show"));
  const { video } = await renditions(base, "show");
  const flv = await fetch(`${base}/live/show.flv`);
  const { last } = await playlist(video);
  const parked = fetch(`${video}?_HLS_msn=${last + 2}`).catch(() => "closed");
  assert.equal(flv.status, 200);

  const { code, signal } = await process.stop("SIGTERM");
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, process.tail());
  await parked;
  await flv.body?.cancel().catch(() => {});
});

test("a port that is taken: one line and exit 2", { timeout: 60_000 }, async (t) => {
  const first = await dev(t);
  const taken = new URL(first.urls.rooms).host;
  const { code, stderr } = await run(t, BINARY, devArguments({ set: { "http.listen": taken } }));
  assert.equal(code, 2, stderr);
  assert.match(stderr, new RegExp(taken));
});

test("check names every fault with its line and column, exit 2", { timeout: 30_000 }, async (t) => {
  const file = join(folder(t), "edge.toml");
  writeFileSync(file, '[http]\nlistn = "127.0.0.1:1"\n\n[node]\ngrace_seconds = "soon"\n');
  const { code, stderr } = await run(t, BINARY, ["check", "-c", file]);
  assert.equal(code, 2);
  assert.ok(stderr.includes(`${file}:2:1: http.listn: `), stderr);
  assert.match(stderr, /:5:\d+: node\.grace_seconds: /);
});

test("bad usage: exit 2", { timeout: 30_000 }, async (t) => {
  const { code } = await run(t, BINARY, ["edge"]);
  assert.equal(code, 2);
});

test("tokens never reach the log", { timeout: 60_000 }, async (t) => {
  const { process, urls } = await dev(t);
  const base = new URL(urls.rooms).origin;
  push(t, `${urls.rtmp.replace(/[^/]+$/, "show")}?token=very-secret`);
  const { index } = await renditions(base, "show");
  await fetch(`${index}?token=very-secret`);
  await process.stop();
  assert.ok(!process.stderr.some((line) => line.includes("very-secret")));
});

test("dev goes on when nobody reads the URLs that it prints", { timeout: 60_000 }, async (t) => {
  const node = new Process(t, BINARY, devArguments());
  node.child.stdout.destroy();
  await until("the edge finds its origin", () => event(node, "connected to the parent"));
  const { code } = await node.stop();
  assert.equal(code, 0, node.tail());
});
