// Another configuration under a running node: no viewer notices, a wrong one changes nothing.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import test from "node:test";

import { push } from "./harness/encoder.mjs";
import { watch } from "./harness/flv.mjs";
import { renditions } from "./harness/hls.mjs";
import { edge, event, fleet, origin } from "./harness/node.mjs";
import { enter, isOpen, someone } from "./harness/room.mjs";
import { until } from "./harness/wait.mjs";

const ROOM = "show";

const about = async (node) => (await fetch(`${node.admin}/api/v1/node`)).json();
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
/** Puts `text` in the place of the file at once, as tools that care do. */
const replace = (node, text) => {
  writeFileSync(`${node.file}.new`, text);
  renameSync(`${node.file}.new`, node.file);
};

test("a configuration is read again under a running viewer", { timeout: 120_000 }, async (t) => {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const near = await edge(t, certificates, [top], {
    rooms: { visible_per_second: 30 },
    moderation: { links: "refuse" },
  });
  push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  await renditions(near.http, ROOM);
  await isOpen(ROOM, near);
  const viewer = watch(t, near.address("http.listen"), `/live/${ROOM}.flv`);
  let isClosed = false;
  viewer.socket.on("close", () => (isClosed = true));
  await until("the viewer has pictures", () => viewer.times.length > 30);
  const first = readFileSync(near.file, "utf8");
  assert.equal((await about(near)).config.sha256, sha256(first));

  await t.test("a file that is replaced is in force within seconds", async () => {
    const member = await enter(t, near.http, ROOM, { user: someone() });
    const refused = await member.say("see https://elsewhere.example/x");
    assert.equal(refused.type, "error");
    const text = first.replace('links = "refuse"', 'links = "allow"');
    replace(near, text);
    await until("it is in force", async () => (await about(near)).config.sha256 === sha256(text));
    const other = await enter(t, near.http, ROOM, { user: someone() });
    const said = await other.say("see https://elsewhere.example/y");
    assert.equal(said.type, "comment");
  });

  await t.test("SIGHUP reads it at once, and keys that have to wait are named", async () => {
    const before = await about(near);
    const text = readFileSync(near.file, "utf8")
      .replace("[shed]\n", "[live]\nwindow_seconds = 45\n\n[shed]\ncpu_percent = 80\n");
    writeFileSync(near.file, text);
    near.process.child.kill("SIGHUP");
    const after = await until("it is read", async () => {
      const now = await about(near);
      return now.config.sha256 !== before.config.sha256 && now;
    });
    assert.deepEqual(after.config.restart, ["live.window_seconds"]);
    assert.deepEqual(after.config.faults, []);
    assert.ok(event(near.process, "this key has another value after a restart only"));
  });

  await t.test("a wrong, a half-written and a vanished file change nothing", async () => {
    const good = readFileSync(near.file, "utf8");
    const { config: before } = await about(near);
    for (const [what, spoil] of [
      ["wrong", () => writeFileSync(near.file, `${good}\n[rooms.limits]\ncommands_burts = 1\n`)],
      ["half-written", () => writeFileSync(near.file, good.slice(0, good.length - 7))],
      ["vanished", () => rmSync(near.file)],
    ]) {
      spoil();
      const refused = await until(`${what}: it is refused`, async () => {
        const now = await about(near);
        return now.config.faults.length > 0 && now;
      });
      assert.equal(refused.config.sha256, before.sha256);
      assert.equal(refused.conditions[0].name, "configuration");
      const ready = await fetch(`${near.admin}/readyz`);
      assert.equal(ready.status, 200, "the node keeps serving");
      assert.match(await ready.text(), /^ready\nconfiguration: refused/);
      const metrics = await (await fetch(`${near.admin}/metrics`)).text();
      assert.match(metrics, /rushlane_node_condition\{condition="configuration"\} 1/);
      replace(near, good);
      await until("the good one is back", async () => {
        const now = await about(near);
        return now.config.faults.length === 0 && now.conditions.length === 0;
      });
    }
  });

  const seen = viewer.times.length;
  await until("the viewer goes on", () => viewer.times.length > seen + 30);
  assert.equal(isClosed, false);
  const gaps = viewer.times.slice(1).map((time, i) => time - viewer.times[i]);
  assert.ok(Math.max(...gaps) < 200, `no picture is missing: ${Math.max(...gaps)} ms`);
});
