// Is the load test's verdict right? No GO for a fleet with a fault, no NO-GO for one without.
//
// In `make test` each fault is tried once, with the wide gates of a debug build. `make verdicts` tries them in turn
// with the default gates, and as many runs of a healthy fleet.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";

import { httpPath, stutter, udpPath } from "./harness/forwarder.mjs";
import { Merchant } from "./harness/merchant.mjs";
import { edge, folder } from "./harness/node.mjs";
import { network } from "./harness/network.mjs";
import { run } from "./harness/process.mjs";
import { CLIP, LOAD, VERDICTS } from "./harness/settings.mjs";

const SECONDS = 20;
const LIMITS = { connections_per_second: 0, handshakes_per_second: 0, requests_per_second: 0 };
const WIDE = `[gates]
start_p95_ms = 3000
live_p95_ms = 4000
wake_p99_ms = 500
comment_p95_ms = 1500
ack_p99_ms = 1500
[machine]
lag_p99_ms = 1000
cpu_percent = 100
`;

/** Each prepares its fault: answers how edges are reached, and begins it once the fleet is up. */
const FAULTS = {
  "a slow edge": {
    begin: (t, { near }) => t.after(stutter(near.process.child, 600)),
  },
  "a lossy link": {
    link: async (t, parent) => {
      const path = await udpPath(t, parent.address("relay.listen"));
      return Object.assign(path, { delayMs: 30 });
    },
    begin: (_, { path }) => (path.lost = 0.7),
  },
  "a broken part": {
    front: (t, near) => {
      let parts = 0;
      return httpPath(t, near.http, (_, body) => {
        parts += 1;
        if (parts % 60 !== 0) return { body };
        const ways = [{ status: 404, body: Buffer.alloc(0) }, { body: body.fill(0) }, { body: body.subarray(0, 900) }];
        return ways[(parts / 60) % ways.length];
      });
    },
  },
  "a dead merchant": {
    begin: (_, { merchant }) => merchant.shut(),
  },
};

/** What a broken part goes through, spoiling nothing. */
const HONEST = { front: (t, near) => httpPath(t, near.http, (_, body) => ({ body })) };

/** The verdict on a fleet of an origin, a relay and two edges, one of which has the fault. */
async function verdict(t, fault = {}) {
  const merchant = await Merchant.open(t);
  const orders = { "orders.webhook": { url: merchant.url, secret: merchant.secret } };
  const edges = { http: { listen: "127.0.0.1:0", tls_listen: "off", limits: LIMITS } };
  const net = await network(t, { origin: orders, edges });
  const { certificates, top, parent, far, at } = net;
  const path = await fault.link?.(t, parent);
  const near = path
    ? await edge(t, certificates, [{ address: () => path.address }], { auth: { keys: [{ file: at("k1.key") }] }, ...edges })
    : net.near;
  const first = (await fault.front?.(t, near)) ?? near.http;

  const report = folder(t);
  const file = `${report}/fleet.toml`;
  const list = (urls) => JSON.stringify(urls);
  const admins = [top, parent, near, far].map((node) => node.admin);
  writeFileSync(
    file,
    `origins = ["rtmp://${top.address("rtmp.listen")}/live"]\nedges = ${list([first, far.http])}\nadmins = ${list(admins)}\n`,
  );
  const scenario = `${report}/scenario.toml`;
  writeFileSync(scenario, SCENARIO);
  const begun = fault.begin && setTimeout(() => fault.begin(t, { near, path, merchant }), 6000);
  const words = ["run", scenario, "--fleet", file, "--key-file", at("k1.key"), "--report", report];
  const { code, stdout, stderr } = await run(t, LOAD, words, { seconds: 120 });
  clearTimeout(begun);
  assert.notEqual(code, 2, `${stdout}\n${stderr}`);
  const { verdict, reasons } = JSON.parse(readFileSync(`${report}/report.json`, "utf8"));
  return { verdict, reasons: reasons.join("; ") };
}

const SCENARIO = `name = "verdict"
seconds = ${SECONDS}
[hosts.anchor]
room = "sale"
clip = "${CLIP}"
[viewers.hls]
room = "sale"
count = 6
[viewers.flv]
room = "sale"
protocol = "flv"
count = 6
[members.crowd]
room = "sale"
count = 10
comments_per_second = 4
like_batches_per_second = 5
[buyers.rush]
room = "sale"
count = 10
orders_per_second = 5
at_seconds = 5
for_seconds = 10
${VERDICTS > 0 ? "[machine]\ncpu_percent = 100\n" : WIDE}`;

const names = Object.keys(FAULTS);
const rounds = VERDICTS > 0 ? Array.from({ length: VERDICTS }, (_, index) => names[index % names.length]) : names;

test("a fleet with a fault is never GO", { timeout: rounds.length * 90_000 }, async (t) => {
  for (const [index, name] of rounds.entries()) {
    await t.test(`${index + 1}: ${name}`, async (t) => {
      const found = await verdict(t, FAULTS[name]);
      t.diagnostic(found.reasons);
      assert.equal(found.verdict, "no-go", found.reasons);
    });
  }
});

test("a healthy fleet is GO", { timeout: VERDICTS * 90_000, skip: VERDICTS === 0 }, async (t) => {
  const wrong = [];
  for (let index = 0; index < VERDICTS; index += 1) {
    await t.test(`${index + 1}`, async (t) => {
      const found = await verdict(t, index % 2 ? HONEST : {});
      t.diagnostic(`${found.verdict} ${found.reasons}`);
      if (found.verdict !== "go") wrong.push(found.reasons);
    });
  }
  assert.ok(wrong.length <= VERDICTS / 20, wrong.join("\n"));
});
