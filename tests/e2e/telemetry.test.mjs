// What a node tells of itself: the access log, what players report, and the names that alerts and
// dashboards ask for.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { browser, watch } from "./harness/browser.mjs";
import { bytes, playlist, renditions } from "./harness/hls.mjs";
import { Hook } from "./harness/hook.mjs";
import { dev, folder } from "./harness/node.mjs";
import { until } from "./harness/wait.mjs";

const DEPLOY = fileURLToPath(new URL("../../deploy/", import.meta.url));
const TOKEN = "secret-token-of-a-viewer";

/** The lines of an access log. */
const lines = (path) => readFileSync(path, "utf8").trim().split("\n").map((line) => JSON.parse(line));

test("one line a request, with what the player told and without its token", { timeout: 90_000 }, async (t) => {
  const path = join(folder(t), "access.log");
  const { urls } = await dev(t, { host: true, set: { "access_log.path": path } });
  const base = new URL(urls.watch).origin;
  const { video } = await renditions(base, "demo");
  const list = await playlist(video, `?token=${TOKEN}`);
  const part = list.parts.filter(({ gap }) => !gap).at(-1).url;
  const cmcd = encodeURIComponent('sid="s-1",cid="demo",bl=900,bs,mtp=8000,sf=h,st=ll');
  const size = (await bytes(`${part}?CMCD=${cmcd}`)).length;
  const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  await fetch(`${base}/live/nobody.flv`, { headers: { traceparent: caller } });
  const event = `v=2,e=ps,sta=p,sid="s-1",cid="demo",sn=1\n`;
  for (const _ of [1, 2]) {
    const told = await fetch(`${base}/cmcd`, { method: "POST", body: event });
    assert.equal(told.status, 204);
  }

  const found = await until("all is written", () => {
    const all = lines(path);
    return all.some(({ class: name }) => name === "event") && all;
  });
  const of = (name) => found.filter((line) => line.class === name);
  const [asked] = of("part").filter(({ sid }) => sid === "s-1");
  assert.equal(asked.bytes, size);
  assert.equal(asked.room, "demo");
  assert.deepEqual([asked.cmcd.bl, asked.cmcd.bs, asked.cmcd.mtp], [900, true, 8000]);
  const [missing] = of("flv");
  assert.deepEqual([missing.status, missing.trace], [404, caller.split("-")[1]]);
  assert.equal(of("event").length, 1, "a report that came twice counts once");
  assert.ok(of("playlist").length > 0);
  assert.ok(!readFileSync(path, "utf8").includes(TOKEN));

  const metrics = await (await fetch(urls.metrics)).text();
  assert.match(metrics, /^rushlane_delivery_player_starvations_total 1$/m);
  assert.match(metrics, /^rushlane_delivery_start_seconds_count\{protocol="hls"\} 1$/m);
});

test("replies tell players of the object and of the node", { timeout: 60_000 }, async (t) => {
  const { urls } = await dev(t, { host: true });
  const base = new URL(urls.watch).origin;
  const { index, video } = await renditions(base, "demo");
  const list = await playlist(video);
  const objects = [
    [index, /^ot=m,sf=h,st=ll$/],
    [video, /^ot=m,sf=h,st=ll$/],
    [list.maps[0], /^ot=i,sf=h,st=ll$/],
    [list.parts.filter(({ gap }) => !gap).at(-1).url, /^br=\d+,d=\d+,ot=v,sf=h,st=ll$/],
  ];
  for (const [url, expected] of objects) {
    for (const method of ["GET", "HEAD"]) {
      const { headers } = await fetch(url, { method });
      assert.match(headers.get("cmsd-static"), expected, url);
      assert.match(headers.get("cmsd-dynamic"), /^"[^"]+";rd=\d+;etp=\d+;rtt=\d+$/, url);
      assert.match(headers.get("access-control-expose-headers"), /cmsd-dynamic, cmsd-static/);
    }
  }
  assert.equal((await fetch(`${base}/live/nobody/index.m3u8`)).headers.get("cmsd-static"), null);
});

test("players that report too much are told to stop, and all where nobody listens", { timeout: 60_000 }, async (t) => {
  const { urls } = await dev(t);
  const post = async (base, body) => (await fetch(`${base}/cmcd`, { method: "POST", body })).status;
  const base = new URL(urls.rooms).origin;
  const flood = (sid) => (_, i) => {
    const events = Array.from({ length: 100 }, (_, j) => `v=2,e=t,sid="${sid}",sn=${i * 100 + j}`);
    return post(base, events.join("\n"));
  };
  const statuses = await Promise.all(Array.from({ length: 130 }, flood("busy")));
  assert.equal(statuses[0], 204);
  assert.ok(statuses.includes(410), `${statuses}`);
  assert.equal(await post(base, `v=2,e=t,sid="busy",sn=99999`), 410);
  assert.equal(await post(base, `v=2,e=t,sid="other",sn=1`), 204);

  const silent = await dev(t, { set: { "delivery.player_reports": false } });
  assert.equal(await post(new URL(silent.urls.rooms).origin, `v=2,e=t,sid="s",sn=1`), 410);
});

test("services are called in the viewer's trace", { timeout: 60_000 }, async (t) => {
  const hook = await Hook.open(t);
  const traces = [];
  hook.answer = async (event, headers) => {
    traces.push(headers.traceparent);
    return { status: 204 };
  };
  const { urls } = await dev(t, { host: true, set: { "hooks.on_play": hook.url, "hooks.secret": hook.secret } });
  const base = new URL(urls.watch).origin;
  const { index } = await renditions(base, "demo");
  const id = "4bf92f3577b34da6a3ce929d0e0e4736";
  await fetch(index, { headers: { traceparent: `00-${id}-00f067aa0ba902b7-01` } });
  assert.match(traces.at(-1), new RegExp(`^00-${id}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`));
  assert.match(traces[0], /^00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.deepEqual(hook.faults, []);
});

test("the player of the page tells of itself", { timeout: 90_000 }, async (t) => {
  const path = join(folder(t), "access.log");
  const { urls } = await dev(t, { host: true, set: { "access_log.path": path } });
  const page = await (await browser(t)).newPage();
  await watch(page, `${urls.watch}?protocol=hls`);
  const line = await until("a part is asked for with CMCD", () => {
    return lines(path).find(({ class: name, cid }) => name === "part" && cid === "demo");
  }, { seconds: 40 });
  assert.ok(line.sid.length > 8);
  assert.equal(line.cmcd.sf, "h");
});

test("every name that alerts and dashboards ask for is there", { timeout: 60_000 }, async (t) => {
  const { urls } = await dev(t, { host: true });
  const base = new URL(urls.watch).origin;
  await renditions(base, "demo");
  const scrapes = [urls.metrics, new URL("/metrics", urls.origin).href];
  const texts = await Promise.all(scrapes.map(async (url) => (await fetch(url)).text()));
  const known = new Set(texts.join("\n").match(/^rushlane_[a-z0-9_]+/gm));

  const files = ["prometheus/rules", "grafana"].flatMap((name) => {
    return readdirSync(join(DEPLOY, name)).map((file) => join(DEPLOY, name, file));
  });
  const asked = new Map();
  for (const file of files) {
    for (const [name] of readFileSync(file, "utf8").matchAll(/\brushlane_[a-z0-9_]+/g)) {
      asked.set(name, file);
    }
  }
  assert.ok(asked.size > 30);
  const unknown = [...asked].filter(([name]) => !known.has(name));
  assert.deepEqual(unknown, [], "nothing has these names");
});
