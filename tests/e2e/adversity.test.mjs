// What goes wrong around a node: its certificate vanishes, its log's disk is full, its cluster is away,
// its configuration is cut off. It serves on, and says so where operators look.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import tls from "node:tls";

import { smallDisk } from "./harness/disk.mjs";
import { push } from "./harness/encoder.mjs";
import { watch } from "./harness/flv.mjs";
import { renditions } from "./harness/hls.mjs";
import { nats } from "./harness/nats.mjs";
import { edge, event, fleet, origin } from "./harness/node.mjs";
import { BINARY, NATS_AWAY_SECONDS } from "./harness/settings.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "show";

/** Waits until `node` says in all places that `name` is wrong, and serves on. */
async function says(node, name, detail) {
  const readiness = new RegExp(`^ready\n(.*\n)*${name}: .*${detail.source}`);
  const text = async (path) => (await fetch(`${node.admin}${path}`)).text();
  await until(`${name}: readiness tells`, async () => readiness.test(await text("/readyz")), { seconds: 20 });
  const { conditions } = JSON.parse(await text("/api/v1/node"));
  assert.ok(conditions.some((condition) => condition.name === name));
  assert.match(await text("/metrics"), new RegExp(`rushlane_node_condition\\{condition="${name}"\\} 1`));
  assert.ok(event(node.process, "something is wrong; the node goes on", (fields) => fields.condition === name));
}

const isRight = (node, name) => until(`${name}: right again`, async () => {
  return !(await (await fetch(`${node.admin}/readyz`)).text()).includes(`${name}:`);
}, { seconds: 20 });

/** The serial number of the certificate that `node` shows. */
const shown = (node) => new Promise((done, fail) => {
  const [host, port] = node.address("http.tls_listen").split(":");
  const socket = tls.connect({ host, port, rejectUnauthorized: false }, () => {
    done(socket.getPeerCertificate().serialNumber);
    socket.destroy();
  });
  socket.on("error", fail);
});

test("a show goes on whatever goes wrong around its nodes", { timeout: 150_000 }, async (t) => {
  const certificates = fleet(t);
  const disk = smallDisk(t, "1m");
  const top = await origin(t, certificates);
  const log = join(disk ?? certificates.folder, "access.log");
  const near = await edge(t, certificates, [top], { access_log: { path: log } });
  push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  const { video } = await renditions(near.http, ROOM);
  const viewer = watch(t, near.address("http.listen"), `/live/${ROOM}.flv`);
  await until("pictures", () => viewer.times.length > 10);

  await t.test("a certificate vanishes, and comes back", async () => {
    const { certificate } = certificates.http;
    const before = await shown(near);
    renameSync(certificate, `${certificate}.away`);
    await says(near, "certificate", /node\.pem/);
    assert.equal(await shown(near), before, "the old one is shown");
    renameSync(`${certificate}.away`, certificate);
    await isRight(near, "certificate");
    assert.equal(await shown(near), before);
  });

  await t.test("half a certificate is refused whole", async () => {
    const { certificate } = certificates.http;
    const good = readFileSync(certificate);
    writeFileSync(certificate, good.subarray(0, good.length / 2));
    await says(near, "certificate", /node\.pem/);
    await shown(near);
    writeFileSync(certificate, good);
    await isRight(near, "certificate");
  });

  await t.test("the disk of the access log is full", async (t) => {
    if (!disk) return void t.skip("no small file system here");
    const filler = join(disk, "filler");
    assert.throws(() => writeFileSync(filler, Buffer.alloc(2 << 20)), /ENOSPC/);
    const ask = async () => assert.equal((await fetch(video)).status, 200);
    const asking = setInterval(() => ask().catch(() => {}), 20);
    t.after(() => clearInterval(asking));
    await says(near, "access_log", /lines are lost/);
    await ask();
    rmSync(filler);
    await isRight(near, "access_log");
    const lost = await (await fetch(`${near.admin}/metrics`)).text();
    assert.match(lost, /rushlane_telemetry_access_records_total\{outcome="failed"\} [1-9]/);
  });

  assert.ok(!viewer.socket.destroyed);
  const seen = viewer.times.length;
  await until("the viewer goes on", () => viewer.times.length > seen + 30);
  const gaps = viewer.times.slice(1).map((time, i) => time - viewer.times[i]);
  assert.ok(Math.max(...gaps) < 200, `no picture is missing: ${Math.max(...gaps)} ms`);
});

test("a node starts without its NATS cluster, and serves", { timeout: 90_000 }, async (t) => {
  const certificates = fleet(t);
  // Nobody listens there.
  const registry = { backend: "nats", servers: ["nats://127.0.0.1:9"], host: "127.0.0.1" };
  const top = await origin(t, certificates, { registry });
  const near = await edge(t, certificates, [top], { registry });
  for (const node of [top, near]) await says(node, "registry", /NATS cluster is away/);
  push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  await renditions(near.http, ROOM);
});

const NATS_TIMEOUT = 110_000 + NATS_AWAY_SECONDS * 1000;

test("NATS dies in the middle of a show, for longer than any lease", { timeout: NATS_TIMEOUT }, async (t) => {
  const certificates = fleet(t);
  const cluster = await nats(t);
  const registry = { backend: "nats", servers: [cluster.url], host: "127.0.0.1", replicas: 1, lease_seconds: 3 };
  const top = await origin(t, certificates, { registry });
  const near = await edge(t, certificates, [top], { registry });
  const ingest = top.address("rtmp.listen");
  push(t, `rtmp://${ingest}/live/${ROOM}`);
  await renditions(near.http, ROOM);
  const viewer = watch(t, near.address("http.listen"), `/live/${ROOM}.flv`);
  await until("pictures", () => viewer.times.length > 10);

  await cluster.process.stop("SIGKILL");
  for (const node of [top, near]) await says(node, "registry", /NATS cluster is away/);
  await sleep(NATS_AWAY_SECONDS * 1000);
  const longest = () => viewer.times.slice(1).reduce((most, time, i) => Math.max(most, time - viewer.times[i]), 0);
  assert.ok(longest() < 200, `the show goes on: ${longest()} ms`);
  assert.ok(viewer.times.length > NATS_AWAY_SECONDS * 20, `all the time: ${viewer.times.length} pictures`);
  push(t, `rtmp://${ingest}/live/another`);
  await renditions(near.http, "another");

  await cluster.again();
  for (const node of [top, near]) await isRight(node, "registry");
  const seen = viewer.times.length;
  await until("the show goes on", () => viewer.times.length > seen + 30);
  assert.ok(longest() < 200);
});

test("a half-written configuration starts nothing and says where it ends", { timeout: 30_000 }, async (t) => {
  const certificates = fleet(t);
  const node = await origin(t, certificates);
  await node.process.stop("SIGTERM");
  const whole = readFileSync(node.file, "utf8");
  const cut = whole.slice(0, whole.lastIndexOf('"'));
  writeFileSync(node.file, cut);
  for (const words of [["origin", "-c", node.file], ["check", "-c", node.file]]) {
    const { status, stderr, stdout } = spawnSync(BINARY, words, { encoding: "utf8", timeout: 10_000 });
    assert.equal(status, 2, stderr);
    assert.match(`${stdout}${stderr}`, new RegExp(`${node.file}:\\d+:\\d+: `));
  }
  writeFileSync(node.file, whole);
  execFileSync(BINARY, ["check", "-c", node.file]);
});
