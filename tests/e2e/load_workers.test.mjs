// Several load machines under one coordinator: what they plan together, and what is said when one is gone.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";

import { folder } from "./harness/node.mjs";
import { Process, run } from "./harness/process.mjs";
import { BINARY, CLIP, LOAD } from "./harness/settings.mjs";
import { until } from "./harness/wait.mjs";

const SCENARIO = (seconds) => `name = "shared"
seconds = ${seconds}
rate_max = 200
[local]
relays = 0
edges = 2
[hosts.anchor]
room = "sale"
clip = "${CLIP}"
[viewers.flv]
room = "sale"
protocol = "flv"
count = 5
[viewers.hls]
room = "sale"
count = 3
[members.crowd]
room = "sale"
count = 7
comments_per_second = 3
like_batches_per_second = 5
[buyers.rush]
room = "sale"
count = 9
orders_per_second = 7
at_seconds = 6
for_seconds = 9
[gates]
start_p95_ms = 3000
live_p95_ms = 4000
wake_p99_ms = 500
comment_p95_ms = 1500
ack_p99_ms = 1500
[machine]
lag_p99_ms = 1000
`;

/** A scenario, secrets, and two workers that wait; `load` starts a coordinator with the words for it. */
async function crew(t, seconds) {
  const place = folder(t);
  const file = (name, text) => {
    writeFileSync(`${place}/${name}`, text);
    return `${place}/${name}`;
  };
  const key = file("load.key", `load:${"k".repeat(40)}\n`);
  const secret = file("secret", "a secret of all load machines\n");
  const scenario = file("shared.toml", SCENARIO(seconds));
  const work = ["worker", "--listen", "127.0.0.1:0", "--secret-file", secret, "--key-file", key];
  const workers = [1, 2].map(() => new Process(t, LOAD, work));
  const listens = (worker) => worker.stderr.join("\n").match(/listen=(127\.0\.0\.1:\d+)/)?.[1];
  await until("both workers wait", () => workers.every(listens), { seconds: 20 });
  const addresses = workers.map(listens);
  const words = (report, proof = secret) => [
    ...["run", scenario, "--workers", addresses.join(","), "--secret-file", proof],
    ...["--key-file", key, "--rushlane", BINARY, "--report", report],
  ];
  return { place, file, workers, addresses, words };
}

const report = (place) => JSON.parse(readFileSync(`${place}/report.json`, "utf8"));
const says = (process, text) => process.stderr.some((line) => line.includes(text));

test("two workers carry a load as one machine would", { timeout: 120_000 }, async (t) => {
  const { place, file, workers, addresses, words } = await crew(t, 25);
  const strange = file("strange", "a secret of somebody else\n");
  const refused = await run(t, LOAD, words(`${place}/none`, strange));
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(refused.stderr, /worker 127\.0\.0\.1:\d+: refused: the secrets differ/);

  const { code, stdout, stderr } = await run(t, LOAD, words(place), { seconds: 90 });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  for (const address of addresses) {
    assert.match(stdout, new RegExp(`worker ${address}: its clock is [-0-9.]+ ms ahead, ± `));
  }
  const { verdict, books, gates, groups, workers: machines } = report(place);
  assert.equal(verdict, "go");
  assert.deepEqual(books, { acknowledged: 63, lost: 0, changed: 0 });
  const gate = (name) => gates.find((found) => found.name === name).value;
  assert.equal(gate("orders_doubled"), 0);
  for (const { name, value } of gates) assert.notEqual(value, null, `${name} was not measured`);
  const group = (name) => groups.find((found) => found.name === name);
  for (const [name, people] of [["flv", 5], ["hls", 3], ["crowd", 7]]) {
    assert.equal(Math.max(...group(name).seconds.map(({ present }) => present)), people, name);
  }
  const counts = Object.fromEntries(group("rush").counts);
  assert.deepEqual([counts.Orders, counts.OrdersAcked], [63, 63]);
  assert.deepEqual(machines.map(({ rate_max }) => rate_max), [100, 100]);
  for (const { seconds } of machines) assert.ok(seconds.length >= 24, "each second was told");
  for (const worker of workers) assert.ok(says(worker, "the load is over"), worker.tail());
});

test("a worker that is killed is named, and the others end at once", { timeout: 90_000 }, async (t) => {
  const { place, workers, addresses, words } = await crew(t, 600);
  const load = new Process(t, LOAD, words(place));
  await until("the load begins", () => says(load, "the load begins"), { seconds: 60 });
  const busy = await run(t, LOAD, words(`${place}/busy`));
  assert.equal(busy.code, 2);
  assert.match(busy.stderr, /busy with the run of another coordinator/);
  workers[1].child.kill("SIGKILL");
  const { code } = await load.exited;
  assert.equal(code, 2, load.tail());
  const { verdict, reasons } = report(place);
  assert.equal(verdict, "none");
  assert.ok(reasons.some((why) => why.startsWith(`worker ${addresses[1]} is lost: `)), `${reasons}`);
  assert.ok(!reasons.some((why) => why.includes(addresses[0])), `${reasons}`);
  await until("the other worker ends its load", () => says(workers[0], "the load is over"));
});

test("a machine that stands still is as good as gone", { timeout: 90_000 }, async (t) => {
  const { place, workers, addresses, words } = await crew(t, 600);
  const begins = (load) => until("the load begins", () => says(load, "the load begins"), { seconds: 60 });
  const silent = new Process(t, LOAD, words(`${place}/silent`));
  await begins(silent);
  await silent.suspend();
  for (const worker of workers) {
    await until("a worker ends its load", () => says(worker, "the load is over"), { seconds: 8 });
    assert.ok(says(worker, "the coordinator is silent"), worker.tail());
  }
  await silent.stop("SIGKILL");
  const load = new Process(t, LOAD, words(place));
  await begins(load);
  await workers[0].suspend();
  const { code } = await load.exited;
  assert.equal(code, 2, load.tail());
  const lost = `worker ${addresses[0]} is lost: silent for 5 s`;
  assert.ok(report(place).reasons.includes(lost), `${report(place).reasons}`);
  workers[0].child.kill("SIGKILL");
});

test("whoever is stopped ends the load of all at once", { timeout: 90_000 }, async (t) => {
  const { place, workers, addresses, words } = await crew(t, 600);
  const begins = (load) => until("the load begins", () => says(load, "the load begins"), { seconds: 60 });
  const over = (worker) => worker.stderr.filter((line) => line.includes("the load is over")).length;
  for (const [times, signal] of [[1, "SIGKILL"], [2, "SIGINT"]]) {
    const coordinator = new Process(t, LOAD, words(place));
    await begins(coordinator);
    await coordinator.stop(signal);
    for (const worker of workers) {
      await until(`a worker ends after ${signal}`, () => over(worker) === times, { seconds: 3 });
    }
  }
  assert.match(report(place).reasons[0], /^cut short after/);
  assert.ok(!report(place).reasons.some((why) => why.includes("worker")), "all told what they had");
  const last = new Process(t, LOAD, words(place));
  await begins(last);
  await workers[0].stop("SIGINT");
  const { code } = await last.exited;
  assert.equal(code, 2, last.tail());
  const lost = `worker ${addresses[0]} is lost: it ended: it was stopped there`;
  assert.ok(report(place).reasons.includes(lost), `${report(place).reasons}`);
});
