// The load test's own program: what it says of a healthy fleet, of a broken one, of nonsense.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";

import { folder } from "./harness/node.mjs";
import { Process, run } from "./harness/process.mjs";
import { BINARY, CLIP, LOAD, ROOT } from "./harness/settings.mjs";
import { until } from "./harness/wait.mjs";

const fleet = (t) => ["--report", folder(t), "--rushlane", BINARY];
const report = (words) => JSON.parse(readFileSync(`${words[1]}/report.json`, "utf8"));

const SMALL = (more) => `name = "small"
seconds = 20
[local]
relays = 0
edges = 1
[hosts.anchor]
room = "sale"
clip = "${CLIP}"
[viewers.flv]
room = "sale"
protocol = "flv"
count = 4
[viewers.hls]
room = "sale"
count = 2
[machine]
lag_p99_ms = 1000
${more}`;

test("the smoke scenario is GO on a fleet of this machine", { timeout: 150_000 }, async (t) => {
  const words = fleet(t);
  const { code, stdout, stderr } = await run(t, LOAD, ["run", "loadtest/scenarios/smoke.toml", ...words], {
    seconds: 140,
    cwd: ROOT,
  });
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const { verdict, books, gates } = report(words);
  assert.equal(verdict, "go");
  assert.deepEqual(books, { acknowledged: 400, lost: 0, changed: 0 });
  for (const { name, value } of gates) assert.notEqual(value, null, `${name} was not measured`);
  const page = readFileSync(`${words[1]}/report.html`, "utf8");
  assert.match(page, /<title>GO: smoke/);
  assert.doesNotMatch(page, /(src|href)=/, "the page fetches nothing");
});

test("a fleet that dies under load is NO-GO", { timeout: 90_000 }, async (t) => {
  const words = fleet(t);
  const file = `${folder(t)}/death.toml`;
  writeFileSync(file, SMALL('[events.death]\nat_seconds = 8\nkill = "edge-1"\n'));
  const { code, stdout, stderr } = await run(t, LOAD, ["run", file, ...words], { seconds: 80 });
  assert.equal(code, 1, `${stdout}\n${stderr}`);
  const { verdict, gates, events } = report(words);
  assert.equal(verdict, "no-go");
  assert.match(events[0].what, /edge-1 killed/);
  const stalled = gates.find(({ name }) => name === "stall_percent");
  assert.ok(stalled.value > 20, `the screens stood still: ${stalled.value} %`);
});

test("a run that is interrupted has a report and no verdict", { timeout: 90_000 }, async (t) => {
  const words = fleet(t);
  const file = `${folder(t)}/cut.toml`;
  writeFileSync(file, SMALL("").replace("seconds = 20", "seconds = 600"));
  const load = new Process(t, LOAD, ["run", file, ...words]);
  const begun = () => load.stderr.some((line) => line.includes("the load begins"));
  await until("the load begins", begun, { seconds: 60 });
  const { code } = await load.stop("SIGINT");
  assert.equal(code, 2, load.tail());
  const { verdict, reasons } = report(words);
  assert.equal(verdict, "none");
  assert.match(reasons[0], /cut short after/);
  assert.match(readFileSync(`${words[1]}/report.html`, "utf8"), /<title>NO VERDICT/);
});

test("nonsense is named with its lines before any load starts", { timeout: 30_000 }, async (t) => {
  const file = `${folder(t)}/nonsense.toml`;
  writeFileSync(file, SMALL("").replace("count = 4", "count = 4\nspeed = 9").replace("edges = 1", "edges = 99"));
  const { code, stderr } = await run(t, LOAD, ["run", file]);
  assert.equal(code, 2);
  assert.match(stderr, /nonsense\.toml:13:1: viewers\.flv\.speed: unknown field/);
  writeFileSync(file, SMALL("").replace(CLIP, "/nowhere.flv").replace("edges = 1", "edges = 99"));
  const more = await run(t, LOAD, ["run", file]);
  assert.equal(more.code, 2);
  assert.match(more.stderr, /nonsense\.toml:5:9: local\.edges: 99: use 1 to 8/);
  assert.match(more.stderr, /nonsense\.toml:8:8: hosts\.anchor\.clip: \/nowhere\.flv is no file/);
});

test("orders for a real fleet need the load mark", { timeout: 30_000 }, async (t) => {
  const file = `${folder(t)}/real.toml`;
  writeFileSync(file, 'seconds = 9\n[fleet]\nedges = ["http://127.0.0.1:9"]\n[buyers.b]\nroom = "sale"\nfor_seconds = 2\n');
  const { code, stderr } = await run(t, LOAD, ["run", file]);
  assert.equal(code, 2);
  assert.match(stderr, /--key-file/);
});
