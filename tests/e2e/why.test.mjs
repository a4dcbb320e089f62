// Why is a room late: the first bad hop, named within ten seconds of a fault.

import assert from "node:assert/strict";
import test from "node:test";

import { push } from "./harness/encoder.mjs";
import { watch } from "./harness/flv.mjs";
import { stutter, tcpPath, udpPath } from "./harness/forwarder.mjs";
import { edge, fleet, origin } from "./harness/node.mjs";
import { run } from "./harness/process.mjs";
import { BINARY } from "./harness/settings.mjs";
import { until } from "./harness/wait.mjs";

const ROOM = "show";
/** A baseline is ten seconds, older than the newest ten. */
const BASELINE_SECONDS = 12;
const NAMED_SECONDS = 10;

/** An origin and an edge, with paths in between that can be made worse, and FLV viewers. */
async function scene(t) {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const uplink = await tcpPath(t, top.address("rtmp.listen"));
  const relay = await udpPath(t, top.address("relay.listen"));
  const http = { send_buffer_bytes: 65_536 };
  const leaf = await edge(t, certificates, [{ address: () => relay.address }], { http });
  const host = push(t, `rtmp://${uplink.address}/live/${ROOM}`);
  await until("the room is live", async () => {
    return (await fetch(`${leaf.http}/live/${ROOM}/index.m3u8`)).ok;
  });
  const viewers = [1, 2, 3].map(() => watch(t, leaf.address("http.listen"), `/live/${ROOM}.flv`));
  const why = async () => {
    const response = await fetch(`${leaf.admin}/api/v1/rooms/${ROOM}/why`);
    return response.ok ? response.json() : null;
  };
  const fine = () => until("the room is fine", async () => {
    const answer = await why();
    return answer?.verdict.state === "fine" && answer;
  }, { seconds: 40, everyMs: 500 });
  await until("there is a baseline", async () => {
    return (await why())?.baseline_seconds >= BASELINE_SECONDS;
  }, { seconds: 60, everyMs: 500 });
  return { top, leaf, host, uplink, relay, viewers, why, fine };
}

/** Injects a fault and answers the first verdict that is not fine. */
async function named(scene, inject) {
  await scene.fine();
  const mend = inject();
  try {
    return await until("a hop is named", async () => {
      const answer = await scene.why();
      return answer && answer.verdict.state !== "fine" && answer;
    }, { seconds: NAMED_SECONDS, everyMs: 250 });
  } finally {
    mend();
  }
}

test("a slow link and a host that pauses are named", { timeout: 150_000 }, async (t) => {
  const network = await scene(t);
  const slow = await named(network, () => {
    network.relay.delayMs = 150;
    return () => (network.relay.delayMs = 0);
  });
  assert.equal(slow.verdict.hop, "relay", JSON.stringify(slow));
  assert.equal(slow.verdict.affected_viewers, slow.viewers.flv + slow.viewers.hls);
  assert.deepEqual(slow.hops.filter(({ bad }) => bad).map(({ hop }) => hop), ["relay"]);

  const paused = await named(network, () => stutter(network.host.child, 450));
  assert.equal(paused.verdict.hop, "host", JSON.stringify(paused));

  const command = ["why", ROOM, "--edge", network.leaf.admin];
  const told = await run(t, BINARY, command);
  assert.match(told.stdout, /origin-\d+ → edge-\d+/);
  assert.match(told.stdout, /usual p95/);
  const unknown = await run(t, BINARY, ["why", "nobody", "--edge", network.leaf.admin]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /404/);
});

test("a thin uplink and a viewer who reads slowly are named", { timeout: 150_000 }, async (t) => {
  const network = await scene(t);
  // First: a burst after the thin uplink makes the kernel widen the viewers' receive buffers, which
  // then hold more than ten seconds.
  const lagging = await named(network, () => {
    network.viewers.forEach(({ socket }) => socket.pause());
    return () => network.viewers.forEach(({ socket }) => socket.resume());
  });
  assert.equal(lagging.verdict.hop, "last_mile", JSON.stringify(lagging));
  assert.ok(lagging.verdict.affected_viewers > 0);

  const thin = await named(network, () => {
    network.uplink.bytesPerSecond = 40_000;
    return () => (network.uplink.bytesPerSecond = Infinity);
  });
  assert.equal(thin.verdict.hop, "uplink", JSON.stringify(thin));
});

test("a node that is short of CPU is named, origin and edge", { timeout: 150_000 }, async (t) => {
  const network = await scene(t);
  for (const [node, hop] of [[network.top, "origin"], [network.leaf, "edge"]]) {
    const short = await named(network, () => stutter(node.process.child, 400));
    assert.equal(short.verdict.hop, hop, JSON.stringify(short));
  }
});
