// A member in a room, over sockets that the test holds.

import assert from "node:assert/strict";
import test, { mock } from "node:test";

import { createRoom, Refused } from "../src/sdk/index.ts";
import { Shelf } from "./shelf.mjs";

const NOW = 1_763_800_000_000;
const EDGES = ["http://one:1", "http://two:2"];

class Socket {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url) {
    this.url = new URL(url);
    Socket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.onopen();
  }
  say(event) {
    const envelope = { v: 1, class: 3, id: `e${(Socket.ids += 1)}`, at: Date.now(), body: {} };
    this.onmessage({ data: JSON.stringify({ ...envelope, ...event }) });
  }
  hello(more = {}) {
    this.open();
    const seq = { 0: 0, 1: 0 };
    const you = { id: "li", name: "Li", role: "viewer" };
    this.say({ type: "hello", body: { epoch: "e1", seq, you, resumed: false, ...more } });
  }
  static ids = 0;
}

const last = () => Socket.all.at(-1);

async function enter(options = {}) {
  const room = createRoom({
    edges: EDGES,
    room: "show",
    user: "li",
    shelf: new Shelf(),
    ...options,
  });
  const heard = [];
  for (const kind of ["comment", "card", "stock", "like", "snapshot"]) {
    room.on(kind, (event) => heard.push([kind, event.body.text ?? event.body.id ?? event.seq]));
  }
  await Promise.resolve();
  return { room, heard };
}

test.beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW });
  mock.method(Math, "random", () => 0.5);
  Object.assign(globalThis, { WebSocket: Socket, addEventListener() {}, removeEventListener() {} });
  Socket.all = [];
});
test.afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

test("a comment is answered, and told once though it comes twice", async () => {
  const { room, heard } = await enter();
  assert.equal(last().url.href, "ws://one:1/rooms/show/ws?user=li");
  last().hello();
  const answer = room.comment("hi");
  const { ref, body } = last().sent[0];
  assert.equal(body.text, "hi");
  const from = { id: "li", name: "Li", role: "viewer" };
  last().say({ type: "comment", class: 2, ref, id: "c1", from, body: { text: "hi" } });
  last().say({ type: "comment", id: "c1", from, body: { text: "hi" } });
  assert.equal((await answer).id, "c1");
  assert.deepEqual(heard, [["comment", "hi"]]);
});

test("a refusal says why and when to come back", async () => {
  const { room } = await enter();
  last().hello();
  const answer = room.comment("again");
  const body = { status: 429, code: "slow_mode", detail: "One in 30 s.", retry_after_s: 12 };
  last().say({ type: "error", ref: last().sent[0].ref, body });
  await assert.rejects(answer, (error) => {
    assert.ok(error instanceof Refused);
    return error.code === "slow_mode" && error.retryAfterSeconds === 12;
  });
});

test("an edge that goes down names where to go; a host cannot", async () => {
  await enter();
  last().hello();
  last().say({ type: "notice", class: 1, seq: 1, body: { text: "x", alternates: ["http://bad:6"] } });
  last().say({ type: "notice", class: 1, body: { alternates: ["http://three:3", "http://four:4"] } });
  const hosts = [];
  for (let i = 0; i < 5; i += 1) {
    last().onclose({ code: 1012, reason: "" });
    for (const left = last(); last() === left; ) mock.timers.tick(100);
    hosts.push(last().url.host);
    last().hello();
  }
  // Half of the members begin with the second one; the edge itself comes last.
  assert.deepEqual(hosts, ["four:4", "three:3", "two:2", "one:1", "four:4"]);
});

test("a lost link moves to the next edge and resumes where it was", async () => {
  const { room, heard } = await enter();
  last().hello({ seq: { 0: 4, 1: 9 } });
  last().say({ type: "stock", class: 0, seq: 5, body: { sku: "s", left: 1 } });
  const answer = room.comment("lost");
  last().onclose({ code: 1006, reason: "" });
  await assert.rejects(answer, { code: "lost" });
  mock.timers.tick(6_000);
  const { url } = last();
  assert.equal(Socket.all.length, 2);
  assert.equal(url.host, "two:2");
  assert.deepEqual(
    ["epoch", "c0", "c1"].map((name) => url.searchParams.get(name)),
    ["e1", "5", "9"],
  );
  last().hello({ seq: { 0: 6, 1: 9 }, resumed: true });
  last().say({ type: "stock", class: 0, seq: 5, body: { sku: "s", left: 1 } });
  last().say({ type: "stock", class: 0, seq: 6, body: { sku: "s", left: 0 } });
  assert.deepEqual(heard, [
    ["stock", 5],
    ["stock", 6],
  ]);
});

test("an order in flight is sent again through the next edge, without the wait of the others", async () => {
  const { room } = await enter();
  last().hello();
  const { key } = room.order({ sku: "s1" });
  last().onclose({ code: 1006, reason: "" });
  mock.timers.tick(600);
  assert.equal(last().url.host, "two:2");
  last().hello({ resumed: true });
  assert.deepEqual(
    last().sent.map(({ type, body }) => [type, body.key]),
    [["order", key]],
  );
  last().say({
    type: "order",
    class: 0,
    ref: key,
    id: key,
    body: { status: 202, key, state: "accepted" },
  });
  last().say({ type: "order", class: 0, to: "li", id: key, body: { key, state: "confirmed" } });
  assert.equal(room.orders[0].state, "confirmed");
});

test("a link that swallows an order is given up", async () => {
  const { room } = await enter();
  last().hello();
  room.order({ sku: "s1" });
  mock.timers.tick(12_000);
  mock.timers.tick(600);
  assert.equal(Socket.all.length, 2);
});

test("a missing number is asked for again", async () => {
  const { heard } = await enter();
  last().hello();
  last().say({ type: "stock", class: 0, seq: 1, body: { sku: "s", left: 3 } });
  last().say({ type: "stock", class: 0, seq: 3, body: { sku: "s", left: 1 } });
  mock.timers.tick(600);
  assert.equal(last().url.host, "one:1");
  assert.equal(last().url.searchParams.get("c0"), "1");
  assert.deepEqual(heard, [["stock", 1]]);
});

test("an answer that is numbered does not count as heard", async () => {
  const { room, heard } = await enter();
  last().hello();
  const answer = room.program("card", { id: "k" });
  const card = { type: "card", class: 1, id: "x", body: { id: "k" } };
  last().say({ ...card, seq: 2, ref: last().sent[0].ref });
  assert.equal((await answer).id, "x");
  last().say({ ...card, seq: 1, body: { id: "j" } });
  last().say({ ...card, seq: 2 });
  assert.deepEqual(heard, [
    ["card", "j"],
    ["card", "k"],
  ]);
  assert.equal(Socket.all.length, 1);
});

test("class 1 waits for its picture, class 0 does not", async () => {
  const { room, heard } = await enter();
  const head = { wall_ms: NOW - 2_000 };
  room.follow(() => head);
  last().hello();
  last().say({ type: "card", class: 1, seq: 1, media_ms: 5, body: { id: "k", wall_ms: NOW } });
  last().say({ type: "stock", class: 0, seq: 1, media_ms: 5, body: { id: "s", wall_ms: NOW } });
  assert.deepEqual(heard, [["stock", "s"]]);
  head.wall_ms = NOW;
  mock.timers.tick(50);
  assert.deepEqual(heard.at(-1), ["card", "k"]);
});

test("a snapshot is told as the events that made it", async () => {
  const { heard } = await enter();
  last().hello();
  const comment = { v: 1, type: "comment", class: 3, id: "c", at: NOW, body: { text: "old" } };
  const body = { cards: [{ id: "k" }], stock: { a: 2 }, likes: 7, comments: [comment] };
  last().say({ type: "snapshot", class: 1, body });
  assert.deepEqual(
    heard.map(([kind]) => kind),
    ["snapshot", "card", "stock", "like", "comment"],
  );
});

test("a ban ends it", async () => {
  const { room } = await enter();
  last().hello();
  last().onclose({ code: 4403, reason: "banned" });
  mock.timers.tick(60_000);
  assert.deepEqual(room.state, { name: "refused", reason: "banned" });
  assert.equal(Socket.all.length, 1);
});

test("where sockets do not open, events and posts take over", async () => {
  const requests = [];
  globalThis.fetch = async (url, { method = "GET", body, headers }) => {
    requests.push([method, url.pathname, headers["idempotency-key"]]);
    if (method === "POST") {
      return new Response('{"state":"accepted"}', { status: 202, headers: {} });
    }
    const hello = { v: 1, type: "hello", class: 0, id: "h", at: NOW };
    hello.body = { epoch: "e", seq: { 0: 0, 1: 0 }, you: { id: "li" }, resumed: false };
    const text = new TextEncoder().encode(`data: ${JSON.stringify(hello)}\n\n`);
    return new Response(new ReadableStream({ start: (stream) => stream.enqueue(text) }));
  };
  const { room } = await enter();
  const settle = async () => {
    for (let i = 0; i < 20; i += 1) await new Promise((done) => setImmediate(done));
  };
  last().onclose({ code: 1006, reason: "" });
  mock.timers.tick(2_000);
  last().onclose({ code: 1006, reason: "" });
  mock.timers.tick(2_000);
  await settle();
  assert.equal(room.state.transport, "events");
  const { key } = room.order({ sku: "s1" });
  await settle();
  assert.equal(room.orders[0].state, "accepted");
  assert.deepEqual(requests, [
    ["GET", "/rooms/show/events", undefined],
    ["POST", "/rooms/show/orders", key],
  ]);
  room.close();
});
