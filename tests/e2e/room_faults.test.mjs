// Rooms when nodes die, and when members keep no rule.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";

import { network } from "./harness/network.mjs";
import { again } from "./harness/node.mjs";
import { push } from "./harness/encoder.mjs";
import { door, enter, isOpen, send, show, someone } from "./harness/room.mjs";
import { closed, open } from "./harness/stranger.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "show";
const RECOVER_SECONDS = 30;
const GROWTH_BYTES_MAX = 64 << 20;
const SEND_BUFFER_BYTES = 65_536;
/** How late an edge may tell which batches it has counted. */
const COUNTED_MS = 2_500;

const residentBytes = ({ process }) =>
  Number(readFileSync(`/proc/${process.child.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]) * 1024;
const panicked = ({ process }) => process.stderr.find((line) => line.includes("panicked"));
const text = (wanted) => ({ body }) => body.text === wanted;

/** The total of likes that this member was told last. */
const total = ({ events }) => events.findLast(({ type, ref }) => type === "like" && !ref)?.body.total;

test("likes outlive an edge, and room and totals an origin", { timeout: 120_000 }, async (t) => {
  const net = await network(t);
  const { top, near, far } = net;
  const host = await net.publish(ROOM);
  const session = someone("s");
  const first = await enter(t, near.http, ROOM, { user: "first" });
  const watcher = await enter(t, far.http, ROOM, { user: "watcher" });
  await show(top, ROOM, "pin", { text: "pinned" });

  await t.test("an edge that dies takes no like with it that was reported", async () => {
    await first.ask("like", { count: 100, session, n: 1 });
    await first.ask("like", { count: 10, session, n: 2 });
    await until("the other edge shows them", () => total(watcher) === 110);
    await sleep(COUNTED_MS);
    const { position } = first;
    await near.process.stop("SIGKILL");
    // The answer to the second batch might have been lost: it is sent again, and the next one.
    const back = await enter(t, far.http, ROOM, { user: "first", ...position });
    assert.equal(back.hello.body.resumed, true);
    await back.ask("like", { count: 10, session, n: 2 });
    await back.ask("like", { count: 1, session, n: 3 });
    await until("one more is shown", () => total(watcher) === 111);
    await sleep(1_500);
    assert.equal(total(watcher), 111);
    const next = await again(t, near);
    await isOpen(ROOM, next);
    const third = await enter(t, next.http, ROOM, { user: "third" });
    await third.ask("like", { count: 1, session: someone("s"), n: 1 });
    await until("the new edge counts", () => total(watcher) === 112);
  });

  await t.test("an origin that dies comes back with totals, pin and members", async () => {
    await sleep(1_500);
    await top.process.stop("SIGKILL");
    await host.exited;
    const next = await again(t, top);
    const entered = await until("the room is back", async () => {
      const member = await enter(t, far.http, ROOM, { user: someone() });
      return member.hello.body.epoch !== watcher.events[0].body.epoch && member;
    }, { seconds: RECOVER_SECONDS });
    const { body } = await entered.see("the state", ({ type }) => type === "snapshot");
    assert.equal(body.pin.text, "pinned");
    assert.equal(body.likes, 112);
    await entered.ask("like", { count: 3, session: someone("s"), n: 1 });
    await until("likes go on", () => total(entered) === 115, { seconds: RECOVER_SECONDS });

    // The member that stayed is told of the new epoch on the socket it has, or is sent to come anew.
    await show(next, ROOM, "notice", { text: "after the restart" });
    const isOver = await Promise.race([watcher.ended, sleep(100)]);
    t.diagnostic(`a member that stays: ${isOver ? `closed with ${isOver.code}` : "kept"}`);
    if (!isOver) {
      await watcher.see("the new epoch", text("after the restart"));
      assert.equal(watcher.hello.body.epoch, entered.hello.body.epoch);
    }
    const told = watcher.events.filter(({ type, ref }) => type === "like" && !ref);
    const totals = told.map(({ body: { total: sum } }) => sum);
    assert.deepEqual(totals, totals.toSorted((a, b) => a - b), "totals never fall");
    push(t, `rtmp://${next.address("rtmp.listen")}/live/${ROOM}`);
    assert.deepEqual(watcher.faults, []);
  });

  await t.test("an edge that stops sends its members away in order", async () => {
    const leaving = await enter(t, far.http, ROOM, { user: "leaving" });
    const stop = far.process.stop("SIGTERM");
    const { code } = await leaving.ended;
    assert.equal(code, 1012);
    assert.deepEqual(await stop, { code: 0, signal: null });
  });
});

test("members that keep no rule", { timeout: 120_000 }, async (t) => {
  const http = { send_buffer_bytes: SEND_BUFFER_BYTES };
  const { top, near } = await network(t, { relay: false, edges: { http } });
  await show(top, ROOM, "pin", { text: "open" });
  await isOpen(ROOM, near);
  const bystander = await enter(t, near.http, ROOM, { user: "bystander" });
  const before = residentBytes(near);
  const guest = (options) => enter(t, near.http, ROOM, { user: someone() }, options);
  const isError = ({ type }) => type === "error";

  await t.test("what can be named is answered by name, and nothing is closed", async () => {
    const member = await guest();
    for (const [type, body] of [
      ["comment", {}],
      ["comment", { text: "x".repeat(501) }],
      ["comment", { text: "好".repeat(700) }],
      ["like", { count: 0, session: "s", n: 1 }],
      ["order", { sku: "tea", quantity: 1 }],
      ["nothing", {}],
    ]) {
      const answer = await member.ask(type, body);
      assert.deepEqual([answer.type, answer.body.status], ["error", 400], `${type} ${JSON.stringify(body)}`);
    }
    assert.equal((await member.say("still here")).type, "comment");
  });

  await t.test("what makes no sense is told, and then closed with a reason", async () => {
    const raw = {
      "no JSON": [(socket) => socket.send("{"), 4400],
      "brackets": [(socket) => socket.send("[".repeat(30_000)), 4400],
      "nested JSON": [(socket) => socket.send(`{"a":${"[".repeat(20)}${"]".repeat(20)}}`), 4400],
      "no CBOR": [(socket) => socket.send(randomBytes(64)), 4400],
      "nested CBOR": [(socket) => socket.send(Buffer.alloc(5_000, 0x81)), 4400],
      "no UTF-8": [(socket) => socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false }), 1007],
      "too long": [(socket) => socket.send(" ".repeat(40_000)), 1009],
      "no mask": [(socket) => socket.send("{}", { mask: false }), 1002],
    };
    const ends = await Promise.all(Object.entries(raw).map(async ([what, [act, code]]) => {
      const member = await guest();
      act(member.link.socket);
      const end = await Promise.race([member.ended, sleep(10_000)]);
      const told = code === 4400 ? member.events.some(isError) : true;
      return [what, end?.code, told, code];
    }));
    for (const [what, code, told, wanted] of ends) {
      assert.equal(code, wanted, what);
      assert.ok(told, `${what}: an error came first`);
    }
  });

  await t.test("noise after the handshake is closed", async () => {
    const { host } = new URL(near.http);
    const upgrade = [
      `GET /rooms/${ROOM}/ws?user=noise HTTP/1.1`, "host: edge", "connection: upgrade",
      "upgrade: websocket", "sec-websocket-version: 13",
      `sec-websocket-key: ${randomBytes(16).toString("base64")}`, "", "",
    ].join("\r\n");
    await Promise.all(Array.from({ length: 20 }, async () => {
      const socket = open(t, host);
      socket.write(upgrade);
      socket.write(randomBytes(20_000));
      const seconds = await Promise.race([closed(socket), sleep(15_000)]);
      assert.ok(seconds < 15, "closed in time");
    }));
  });

  await t.test("posts are bounded as messages are", async () => {
    const url = door(near.http, ROOM, "comments", { user: someone() });
    assert.equal((await send(url, "{")).status, 400);
    assert.equal((await send(url, { text: 7 })).status, 400);
    assert.equal((await send(url, { text: "x".repeat(100_000) })).status, 413);
    assert.equal((await send(door(near.http, ROOM, "likes"), { count: 1 })).status, 400);
  });

  await t.test("who floods is told to wait, and then sent away", async () => {
    const member = await guest();
    for (let i = 0; i < 300; i += 1) {
      member.link.send({ v: 1, type: "like", ref: `f${i}`, body: { count: 1, session: "s", n: i + 1 } });
    }
    const error = await member.see("a refusal", isError);
    assert.equal(error.body.status, 429);
    assert.match(error.ref, /^f\d+$/);
    assert.ok(error.body.retry_after_s >= 1);
    assert.equal((await member.ended).code, 4429);
    const user = someone();
    const answers = await Promise.all(Array.from({ length: 200 }, () => {
      return send(door(near.http, ROOM, "likes", { user }), { count: 1, session: someone(), n: 1 });
    }));
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length > 50, `${refused.length} posts refused`);
    assert.ok(refused.every(({ headers }) => Number(headers.get("retry-after")) >= 1));
  });

  await t.test("one user has so many connections and no more", async () => {
    const user = someone();
    for (let i = 0; i < 8; i += 1) await enter(t, near.http, ROOM, { user });
    await assert.rejects(enter(t, near.http, ROOM, { user }), /429/);
  });

  await t.test("who does not read is closed, may resume, and costs the others nothing", async () => {
    const stuck = await guest();
    const { socket } = stuck.link;
    socket.pause();
    const CARDS = 300;
    const card = { id: "k", sku: "s", title: "t", action: "show", note: "x".repeat(3_500) };
    const AT_ONCE = 10;
    const cards = (member) => member.events.filter(({ type }) => type === "card");
    for (let n = AT_ONCE; n <= CARDS; n += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => show(top, ROOM, "card", card)));
      await until("the others have all", () => cards(bystander).length === n, { everyMs: 5 });
    }
    socket.resume();
    const { code } = await stuck.ended;
    // The last words wait two seconds for somebody who reads them.
    assert.ok([4408, 1006].includes(code), `${code}`);
    await until("it is counted", async () => {
      const figures = await (await fetch(`${near.admin}/metrics`)).text();
      return /^rushlane_rooms_door_closes_total\{code="4408"\} 1$/m.test(figures);
    });
    const read = cards(stuck).length;
    t.diagnostic(`${read} cards of ${CARDS}, then ${code}`);
    assert.ok(read < CARDS);
    const back = await enter(t, near.http, ROOM, { ...stuck.query, ...stuck.position });
    assert.equal(back.hello.body.resumed, true);
    await until("it has the rest", () => cards(back).length === CARDS - read);
    assert.deepEqual(back.faults, []);
  });

  const grown = residentBytes(near) - before;
  t.diagnostic(`${grown >> 20} MiB more in memory`);
  assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more in memory`);
  assert.equal(panicked(near), undefined);
  assert.deepEqual(bystander.faults, []);
  const answer = await bystander.say("I was here all the time");
  assert.equal(answer.type, "comment");
  await bystander.see("it", text("I was here all the time"));
});
