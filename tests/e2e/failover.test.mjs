// An edge below two parents: viewers notice nothing of the loss of one of them.

import assert from "node:assert/strict";
import test from "node:test";

import { push } from "./harness/encoder.mjs";
import { watch } from "./harness/flv.mjs";
import { playlist, playlistOf, renditions } from "./harness/hls.mjs";
import { namespace } from "./harness/namespace.mjs";
import { edge, fleet, origin } from "./harness/node.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "show";
const FLV_VIEWERS = 8;
const FRAME_MS = 1000 / 30;

/**
 * An origin, two nodes below it, an edge below both, and its viewers. `machine`: a namespace for the first of
 * the two.
 */
async function stage(t, machine) {
  const certificates = fleet(t);
  const listen = (address) => ({ listen: `${address}:0` });
  const top = await origin(t, certificates, machine && { relay: listen(machine.outside) });
  const away = { ...certificates, within: machine?.within };
  const parents = [
    await edge(t, away, [top], machine && { relay: listen(machine.inside) }),
    await edge(t, certificates, [top]),
  ];
  const leaf = await edge(t, certificates, parents, { relay: { return_seconds: 1 } });
  push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  const { video } = await renditions(leaf.http, ROOM);
  const viewers = Array.from({ length: FLV_VIEWERS }, () => {
    return watch(t, leaf.address("http.listen"), `/live/${ROOM}.flv`);
  });
  await until("all viewers play", () => viewers.every(({ times }) => times.length > 30));
  await until("both parents are linked", async () => (await links(leaf)).length === 2);
  return { parents, leaf, video, viewers };
}

async function links(node) {
  const response = await fetch(`${node.admin}/api/v1/peers`);
  return (await response.json()).parents;
}

/** Follows the media playlist by blocking reloads until `stop()`; answers how each went. */
function follow(url) {
  const reloads = [];
  let on = true;
  const done = (async () => {
    let { last } = await playlist(url);
    while (on) {
      const list = await playlistOf(url, last + 1);
      reloads.push({ last: list.last, gaps: list.parts.filter(({ gap }) => gap).length });
      last = list.last;
    }
  })();
  return { reloads, stop: async () => { on = false; await done; return reloads; } };
}

/** Every viewer has every frame once: times grow by one frame, and the connection stands. */
function assertWhole(viewers) {
  for (const { socket, times } of viewers) {
    assert.ok(!socket.destroyed && !socket.readableEnded, "a viewer's connection is lost");
    const steps = times.slice(1).map((time, i) => time - times[i]);
    const odd = steps.filter((step) => step <= 0 || step > 1.5 * FRAME_MS);
    assert.deepEqual(odd, [], "frames are missing or come twice");
  }
}

test("kill -9 of the active parent: no connection and no frame is lost", { timeout: 90_000 }, async (t) => {
  const { leaf, parents, video, viewers } = await stage(t);
  const player = follow(video);
  const before = viewers.map(({ times }) => times.length);
  await parents[0].process.stop("SIGKILL");
  await until("all viewers play on", () => {
    return viewers.every(({ times }, i) => times.length > before[i] + 90);
  });
  assertWhole(viewers);
  const reloads = await player.stop();
  assert.ok(reloads.length > 0);
  assert.ok(reloads.every(({ gaps }) => gaps === 0), "a part is a gap");
  const [link] = await links(leaf);
  assert.deepEqual([link.peer, link.standing], [parents[1].name, "active"]);
});

test("packets to the active parent are lost: nothing says so, and no frame is missing", { timeout: 90_000 }, async (t) => {
  const machine = namespace(t);
  if (!machine) return void t.skip("no network namespaces here");
  const { leaf, parents, video, viewers } = await stage(t, machine);
  await until("frames come through the namespace", async () => {
    return (await links(leaf)).some(({ peer, standing }) => peer === parents[0].name && standing === "active");
  });
  const player = follow(video);
  const before = viewers.map(({ times }) => times.length);
  machine.cut();
  await until("all viewers play on", () => {
    return viewers.every(({ times }, i) => times.length > before[i] + 90);
  });
  assertWhole(viewers);
  const reloads = await player.stop();
  assert.ok(reloads.every(({ gaps }) => gaps === 0), "a part is a gap");
  const pauses = viewers.map(({ arrivals }, i) => {
    const since = arrivals.slice(before[i] - 1);
    return Math.max(...since.slice(1).map((time, k) => time - since[k]));
  });
  assert.ok(Math.max(...pauses) < 1500, `no picture for ${Math.max(...pauses)} ms`);
  assert.equal((await links(leaf))[0].peer, parents[1].name);
});

test("a parent that drains hands its children over", { timeout: 120_000 }, async (t) => {
  const { leaf, parents, viewers } = await stage(t);
  const stopped = parents[0].process.stop("SIGTERM");
  const { code } = await stopped;
  assert.equal(code, 0);
  await until("frames come over the other one", async () => {
    const [link] = await links(leaf);
    return link.peer === parents[1].name && link.standing === "active";
  });
  const before = viewers.map(({ times }) => times.length);
  await until("all viewers play on", () => {
    return viewers.every(({ times }, i) => times.length > before[i] + 30);
  });
  await sleep(200);
  assertWhole(viewers);
});
