// One process takes another one's place while people watch.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import test from "node:test";

import { buy, watchFlv, watchHls } from "./harness/crowd.mjs";
import { push } from "./harness/encoder.mjs";
import { renditions } from "./harness/hls.mjs";
import { Merchant } from "./harness/merchant.mjs";
import { edge, event, fleet, origin } from "./harness/node.mjs";
import { run } from "./harness/process.mjs";
import { isOpen, someone } from "./harness/room.mjs";
import { CROWD, PYTHON } from "./harness/settings.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "sale";
const UPGRADE_SECONDS = 9;
/** A third of the time is taken to end live bodies, a second is kept for the end. */
const QUIET_MS = 4_000;

/** A port that is free now. A successor finds only sockets of addresses that it is told. */
function somePort() {
  const server = createServer();
  return new Promise((done) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(`127.0.0.1:${port}`));
    });
  });
}

/** An origin with a show, and an edge at fixed addresses. */
async function network(t) {
  const merchant = await Merchant.open(t);
  const webhook = { url: merchant.url, secret: merchant.secret, timeout_ms: 1_000 };
  const certificates = fleet(t);
  const top = await origin(t, certificates, { orders: { webhook } });
  const near = await edge(t, certificates, [top], {
    http: { listen: await somePort(), tls_listen: await somePort() },
    admin: { listen: await somePort() },
    relay: { listen: await somePort() },
    drain: { upgrade_seconds: UPGRADE_SECONDS },
  });
  push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  await renditions(near.http, ROOM);
  await isOpen(ROOM, near);
  return { near, merchant };
}

/** Asks over a new connection every few milliseconds; `faults` holds what went wrong. */
function knock(t, base) {
  const knocker = { count: 0, faults: [], running: true };
  const once = () => new Promise((done) => {
    const request = http.get(new URL("/rooms", base), { agent: false }, (response) => {
      if (response.statusCode !== 200) knocker.faults.push(response.statusCode);
      response.resume();
      response.on("end", done);
    });
    request.on("error", (error) => {
      knocker.faults.push(error.message);
      done();
    });
  });
  knocker.done = (async () => {
    for (; knocker.running; knocker.count += 1) {
      await once();
      await sleep(5);
    }
  })();
  t.after(() => (knocker.running = false));
  return knocker;
}

/** What the process says that answers a new connection to the admin port. */
function state(node) {
  return new Promise((done, fail) => {
    http.get(`${node.admin}/api/v1/node`, { agent: false }, async (response) => {
      let text = "";
      for await (const piece of response.setEncoding("utf8")) text += piece;
      done(JSON.parse(text));
    }).on("error", fail);
  });
}

/** Asks for a successor, and answers its process id once it has taken over. */
async function upgrade(t, node) {
  node.process.child.kill("SIGUSR2");
  const { pid } = await until("a successor starts", () => event(node.process, "a successor was started"));
  t.after(() => {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  });
  await until("it takes over", () => event(node.process, "took the place of the process before"), {
    seconds: 30,
  });
  return pid;
}

test("an upgrade in place: no failed request, no dropped viewer", { timeout: 120_000 }, async (t) => {
  const { near, merchant } = await network(t);
  const flv = Array.from({ length: CROWD / 2 }, () => watchFlv(t, near.http, ROOM));
  const hls = Array.from({ length: CROWD / 2 }, () => watchHls(t, near.http, ROOM));
  const buyers = Array.from({ length: Math.max(2, CROWD / 5) }, () =>
    buy(t, [near.http], ROOM, someone(), { everyMs: Math.max(100, CROWD) }));
  const knocker = knock(t, near.http);
  const viewers = [...flv, ...hls];
  await until("all of them watch and buy", () =>
    viewers.every(({ frames }) => frames.length > 3) && buyers.every(({ keys }) => keys.length > 1), {
    seconds: 60,
  });
  const { started_ms: started } = await state(near);

  const pid = await upgrade(t, near);
  const taken = performance.now();
  const node = await state(near);
  assert.ok(node.started_ms > started && node.ready, "the new process answers");
  await sleep(QUIET_MS);
  for (const { cuts } of flv) assert.deepEqual(cuts, [], "HTTP-FLV is served on by the old process");

  const { code } = await near.process.exited;
  t.diagnostic(`the old process ended after ${Math.round(performance.now() - taken)} ms`);
  assert.equal(code, 0, near.process.tail());
  const counts = viewers.map(({ frames }) => frames.length);
  await until("everybody watches the new process", () =>
    viewers.every(({ frames }, i) => frames.length > counts[i] + 3));
  knocker.running = false;
  await knocker.done;
  await Promise.all([...viewers, ...buyers].map((one) => one.stop()));

  assert.deepEqual(knocker.faults, [], `of ${knocker.count} requests`);
  for (const viewer of viewers) {
    assert.deepEqual(viewer.faults, []);
    assert.ok(viewer.longestWait < 3_000, `a wait of ${viewer.longestWait} ms`);
  }
  for (const { cuts } of flv) assert.ok(cuts.length <= 1);
  for (const buyer of buyers) assert.deepEqual(buyer.faults, []);
  const keys = buyers.flatMap((buyer) => buyer.keys);
  await until("the merchant has every order", () => keys.every((key) => merchant.book.has(key)));
  t.diagnostic(`${knocker.count} requests, ${keys.length} orders`);

  const url = `https://localhost:${near.address("http.tls_listen").split(":")[1]}/rooms`;
  const { stdout, stderr } = await run(t, PYTHON, [
    new URL("./harness/http3_get.py", import.meta.url).pathname,
    url,
  ]);
  assert.match(stdout, /200/, `HTTP/3 reaches the new process: ${stderr}`);
  process.kill(pid, "SIGTERM");
});

test("a successor that cannot start changes nothing", { timeout: 60_000 }, async (t) => {
  const { near } = await network(t);
  const viewer = watchFlv(t, near.http, ROOM);
  await until("it plays", () => viewer.frames.length > 3);
  writeFileSync(near.file, "nonsense = 1\n");
  near.process.child.kill("SIGUSR2");
  await until("the fault is shown", async () => {
    const response = await fetch(`${near.admin}/readyz`);
    return (await response.text()).includes("upgrade");
  });
  const { length } = viewer.frames;
  await until("it plays on", () => viewer.frames.length > length + 10);
  assert.deepEqual([viewer.cuts, viewer.faults], [[], []]);
});
