// Orders, from the buyer to the merchant and back, whatever stands still or dies in between.

import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import test from "node:test";

import { smallDisk } from "./harness/disk.mjs";
import { Merchant } from "./harness/merchant.mjs";
import { network } from "./harness/network.mjs";
import { again, event, fleet, origin } from "./harness/node.mjs";
import { door, enter, isOpen, send, show, someKey, someone } from "./harness/room.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "sale";
const ATTEMPTS_MAX = 6;
const TEA = { sku: "tea", quantity: 1, attributes: { size: "M" } };

/** Sections of an origin whose merchant is tried often. */
const selling = (merchant) => ({
  orders: {
    webhook: { url: merchant.url, secret: merchant.secret, timeout_ms: 1_000 },
    attempts_max: ATTEMPTS_MAX,
    retry_ms: 50,
    retry_max_ms: 400,
  },
});

/** Two edges below an origin with a merchant, and an open room. */
async function shop(t, options = {}) {
  const merchant = await Merchant.open(t);
  const net = await network(t, { ...options, origin: selling(merchant) });
  await show(net.top, ROOM, "pin", { text: "open" });
  await isOpen(ROOM, net.near, net.far);
  return { ...net, merchant };
}

/** Posts an order; `key` null: without one. */
function order(node, user, key, wish = TEA, headers = {}) {
  const all = key === null ? headers : { "idempotency-key": key, ...headers };
  return send(door(node.http, ROOM, "orders", { user }), wish, all);
}

/** What `user` is told of his order. */
const ask = (node, user, key) => send(door(node.http, ROOM, `orders/${key}`, { user }), undefined, {}, "GET");

const decided = (key, state) => ({ type, body }) =>
  type === "order" && body.key === key && body.state === state;

/** Waits until the buyer may read this state anywhere. */
const isIn = (node, user, key, state) => until(`${key} is ${state}`, async () => {
  const { json } = await ask(node, user, key);
  return json?.state === state && json;
});

/** The operator's list. */
async function book(node, query = "") {
  const { json } = await send(`${node.admin}/api/v1/orders${query}`, undefined, {}, "GET");
  return json.orders;
}

const ready = async (node) => (await fetch(`${node.admin}/readyz`)).status;

test("an order gets one answer, and the merchant's word comes back", { timeout: 120_000 }, async (t) => {
  const { top, near, far, merchant, token } = await shop(t);

  await t.test("each answer has the status that the interface says", async () => {
    const user = someone();
    const key = someKey();
    const first = await order(near, user, key);
    assert.equal(first.status, 202, first.text);
    assert.equal(first.json.state, "accepted");
    assert.equal(first.json.key, key);
    for (const node of [near, far]) {
      const same = await order(node, user, key);
      assert.deepEqual([same.status, same.text], [200, first.text], "the same bytes again");
    }
    const other = await order(far, user, key, { ...TEA, quantity: 2 });
    assert.equal(other.status, 422, other.text);
    assert.equal((await order(far, someone(), key)).status, 422, "another buyer's key");

    assert.equal((await order(near, user, null)).status, 400);
    assert.equal((await order(near, user, "short")).status, 400);
    for (const wish of ["{", "[]", { sku: "tea" }, { ...TEA, quantity: 0 }, { ...TEA, sku: "" }]) {
      const { status, headers } = await order(near, user, someKey(), wish);
      assert.equal(status, 400, JSON.stringify(wish));
      assert.match(headers.get("content-type"), /json/);
    }
    const large = { ...TEA, attributes: { note: "x".repeat(17_000) } };
    assert.equal((await order(near, user, someKey(), large)).status, 413);
    const none = await send(door(near.http, "nowhere", "orders"), TEA, { "idempotency-key": someKey() });
    assert.equal(none.status, 404);
    const method = await send(door(near.http, ROOM, "orders"), undefined, {}, "GET");
    assert.equal(method.status, 405);

    await isIn(far, user, key, "confirmed");
    assert.equal((await ask(far, someone(), key)).status, 404, "whose order it is, is not told");
    assert.equal((await ask(far, user, someKey())).status, 404);
  });

  await t.test("the merchant's word reaches the buyer, and nobody else", async () => {
    const soldOut = { state: "rejected", reason: "sold out" };
    const taken = { state: "confirmed", reference: "A-1" };
    merchant.decide = ({ sku }) => ({ status: 200, body: sku === "gone" ? soldOut : taken });
    const buyer = await enter(t, near.http, ROOM, { user: someone("buyer") });
    const other = await enter(t, near.http, ROOM, { user: someone("other") });
    const [good, bad] = [someKey(), someKey()];
    const answer = await buyer.ask("order", { key: good, ...TEA });
    assert.deepEqual([answer.type, answer.class, answer.body.status], ["order", 0, 202], JSON.stringify(answer));
    const confirmed = await buyer.see("that it is confirmed", decided(good, "confirmed"));
    assert.deepEqual([confirmed.class, confirmed.seq, confirmed.body.reference], [0, undefined, "A-1"]);
    await buyer.ask("order", { key: bad, ...TEA, sku: "gone" });
    const rejected = await buyer.see("that it is rejected", decided(bad, "rejected"));
    assert.equal(rejected.body.reason, "sold out");
    const told = JSON.stringify([confirmed, rejected]);
    assert.ok(!told.includes("size"), "attributes are the merchant's alone");
    const repeated = await buyer.ask("order", { key: good, ...TEA });
    assert.equal(repeated.body.status, 200);
    await show(top, ROOM, "notice", { text: "after the orders" });
    await other.see("the notice", ({ body }) => body.text === "after the orders");
    assert.ok(!other.events.some(({ type }) => type === "order"));
    assert.deepEqual([...buyer.faults, ...other.faults], []);
  });

  await t.test("the word is found again after a return through another edge", async () => {
    merchant.decide = () => ({ status: 202 });
    const user = someone("patient");
    const buyer = await enter(t, near.http, ROOM, { user });
    const key = someKey();
    await buyer.ask("order", { key, ...TEA });
    await buyer.see("that the merchant has it", decided(key, "forwarded"));
    const { position } = buyer;
    buyer.close();
    const answer = (state, reason) =>
      send(`${top.admin}/api/v1/orders/${ROOM}/${key}/answer`, { state, reason });
    assert.equal((await answer("rejected", "no more")).status, 200);
    assert.equal((await answer("rejected", "no more")).status, 200, "the same again is fine");
    assert.equal((await answer("confirmed")).status, 409, "the first word stands");
    const back = await enter(t, far.http, ROOM, { user, orders: key, ...position });
    const told = await back.see("the merchant's word", decided(key, "rejected"));
    assert.equal(told.body.reason, "no more");
    assert.equal((await ask(near, user, key)).json.state, "rejected");
  });

  await t.test("one key at the same time through both edges is one order", async () => {
    merchant.decide = () => ({ status: 200, body: { state: "confirmed" } });
    const user = someone();
    const key = someKey();
    const nodes = Array.from({ length: 10 }, (_, i) => (i % 2 ? near : far));
    const answers = await Promise.all(nodes.map((node) => order(node, user, key)));
    const statuses = answers.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 202).length, 1, `${statuses}`);
    // Whoever comes while it is being stored waits, or is told to.
    assert.deepEqual(statuses.filter((status) => ![200, 202, 409, 429].includes(status)), []);
    for (const { status, headers } of answers) {
      if (status === 409 || status === 429) assert.ok(Number(headers.get("retry-after")) >= 1);
    }
    await isIn(near, user, key, "confirmed");
    assert.equal(merchant.book.get(key).attempts, 1);
  });

  await t.test("one buyer's flood of orders is slowed down, and nobody else's", async () => {
    const user = someone("greedy");
    const flood = Array.from({ length: 30 }, () => order(near, user, someKey()));
    const other = await order(near, someone(), someKey());
    const answers = await Promise.all(flood);
    assert.equal(other.status, 202);
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length >= 10, `${refused.length} refused`);
    assert.ok(refused.every(({ headers }) => Number(headers.get("retry-after")) >= 1));
    assert.ok(answers.every(({ status }) => status === 202 || status === 429));
  });

  await t.test("orders of a load test never reach the merchant", async () => {
    const user = someone("load");
    const key = someKey();
    const mark = token("load", ROOM);
    const answer = await order(near, user, key, TEA, { "rushlane-load": mark });
    assert.equal(answer.status, 202, answer.text);
    await isIn(near, user, key, "confirmed");
    const real = someKey();
    await order(near, user, real, TEA, { "rushlane-load": `${mark}x` });
    await isIn(near, user, real, "confirmed");
    assert.deepEqual([merchant.book.has(key), merchant.book.has(real)], [false, true]);
    const [listed] = (await book(top, `?room=${ROOM}`)).filter((one) => one.key === key);
    assert.equal(listed.load, true);
  });

  assert.deepEqual(merchant.faults, []);
});

test("a merchant may be away, slow, clumsy or lost", { timeout: 120_000 }, async (t) => {
  const { top, near, merchant } = await shop(t, { relay: false });
  const user = () => someone("buyer");

  await t.test("away: orders wait and lose nothing", async () => {
    await merchant.shut();
    const [buyer, key] = [user(), someKey()];
    assert.equal((await order(near, buyer, key)).status, 202);
    const isTried = (one) => one.key === key && one.attempts > 0;
    await until("he was tried", async () => (await book(top)).some(isTried));
    assert.equal((await ask(near, buyer, key)).json.state, "accepted");
    await merchant.open();
    await isIn(near, buyer, key, "confirmed");
  });

  await t.test("slow with one order: the others pass", async () => {
    merchant.decide = ({ sku }, attempts) => {
      return sku === "slow" && attempts < 2 ? "hang" : { status: 200, body: { state: "confirmed" } };
    };
    const slow = [user(), someKey()];
    await order(near, ...slow, { ...TEA, sku: "slow" });
    const others = Array.from({ length: 20 }, () => [user(), someKey()]);
    await Promise.all(others.map((other) => order(near, ...other)));
    for (const other of others) await isIn(near, ...other, "confirmed");
    assert.equal((await ask(near, ...slow)).json.state, "accepted");
    await isIn(near, ...slow, "confirmed");
    assert.equal(merchant.book.get(slow[1]).attempts, 2);
  });

  await t.test("clumsy: he hears it twice, under one key", async () => {
    const answers = ["drop", { status: 503 }, { status: 200, body: { state: "confirmed" } }];
    merchant.decide = (_, attempts) => answers[attempts - 1];
    const [buyer, key] = [user(), someKey()];
    await order(near, buyer, key);
    await isIn(near, buyer, key, "confirmed");
    assert.equal(merchant.book.get(key).attempts, 3);
  });

  await t.test("lost: the operator finds the order, and drives it again", async () => {
    merchant.decide = () => ({ status: 500 });
    const [buyer, key] = [user(), someKey()];
    await order(near, buyer, key);
    await isIn(near, buyer, key, "unknown");
    assert.equal(merchant.book.get(key).attempts, ATTEMPTS_MAX);
    const dead = await book(top, `?room=${ROOM}&state=unknown`);
    assert.deepEqual(dead.map((one) => one.key), [key]);
    merchant.decide = () => ({ status: 200, body: { state: "confirmed" } });
    const { json } = await send(`${top.admin}/api/v1/orders/redrive`, { room: ROOM });
    assert.equal(json.redriven, 1);
    await isIn(near, buyer, key, "confirmed");
    assert.deepEqual(await book(top, `?room=${ROOM}&state=unknown`), []);
  });

  assert.deepEqual(merchant.faults, []);
});

test("an origin that is killed has lost no order", { timeout: 120_000 }, async (t) => {
  const { top, near, far, merchant } = await shop(t);
  const user = someone("buyer");
  const buyer = await enter(t, near.http, ROOM, { user });

  // Stored and acknowledged; the merchant has not heard of it when the origin dies.
  await merchant.shut();
  const key = someKey();
  const first = await order(near, user, key);
  assert.equal(first.status, 202);
  await top.process.stop("SIGKILL");

  // Sent while there is no origin: the edges ask the next one.
  const late = someKey();
  const waiting = order(far, user, late);
  await sleep(500);
  await merchant.open();
  const next = await again(t, top);
  const answer = await waiting;
  assert.ok([202, 503].includes(answer.status), `${answer.status} ${answer.text}`);
  if (answer.status === 503) assert.ok(Number(answer.headers.get("retry-after")) >= 1);
  const repeated = await until("it is taken", async () => {
    const found = await order(far, user, late);
    return found.status < 300 && found;
  });
  t.diagnostic(`sent without an origin: ${answer.status}, then ${repeated.status}`);

  for (const one of [key, late]) await isIn(far, user, one, "confirmed");
  const same = await order(far, user, key);
  assert.deepEqual([same.status, same.text], [200, first.text]);
  assert.equal(merchant.book.size, 2);
  assert.deepEqual(merchant.faults, []);
  assert.equal(event(next.process, "panicked"), undefined);
  // On the same socket, or on the one that comes after it.
  const isOver = await Promise.race([buyer.ended, sleep(0)]);
  const after = isOver ? await enter(t, near.http, ROOM, { user }) : buyer;
  await after.see("the merchant's word", decided(key, "confirmed"));
});

/** Readiness, the metrics and the log say that the ledger takes no orders. */
async function ledgerIsSaid(node) {
  await until("readiness tells", async () => (await ready(node)) === 503);
  const figures = await (await fetch(`${node.admin}/metrics`)).text();
  assert.match(figures, /^rushlane_ledger_failures_total [1-9]/m);
  const said = /"level":"ERROR".*the ledger cannot be used/;
  assert.ok(node.process.stderr.some((line) => said.test(line)), "the log says so");
}

test("a ledger that cannot be read is said, kept, and takes no order", { timeout: 60_000 }, async (t) => {
  const merchant = await Merchant.open(t);
  const node = await origin(t, fleet(t), selling(merchant));
  const user = someone();
  await show(node, ROOM, "pin", { text: "open" });
  assert.equal((await order(node, user, someKey())).status, 202);
  await node.process.stop("SIGTERM");

  const { path } = node.sections.ledger;
  const noise = randomBytes(readFileSync(path).length);
  writeFileSync(path, noise);
  const next = await again(t, node);
  await ledgerIsSaid(next);
  assert.match(await (await fetch(`${next.admin}/readyz`)).text(), /ledger/);
  assert.match(await (await fetch(`${next.admin}/metrics`)).text(), /^rushlane_ledger_up 0$/m);
  assert.equal((await fetch(`${next.admin}/healthz`)).status, 200);
  // What the room was cannot be read: after some attempts it opens without.
  await until("the room is open", () => show(next, ROOM, "pin", { text: "open" }), { seconds: 20 });
  const answer = await order(next, user, someKey());
  assert.equal(answer.status, 503, answer.text);
  assert.ok(Number(answer.headers.get("retry-after")) >= 1);
  await next.process.stop("SIGTERM");
  assert.ok(readFileSync(path).equals(noise), "the file is left for the operator");
});

test("a full disk costs orders, not the node", { timeout: 60_000 }, async (t) => {
  const disk = smallDisk(t, "16m");
  if (!disk) return void t.skip("no small file system here");
  const merchant = await Merchant.open(t);
  const ledger = { path: join(disk, "ledger.redb") };
  const node = await origin(t, fleet(t), { ...selling(merchant), ledger });
  const user = () => someone();
  await show(node, ROOM, "pin", { text: "open" });
  const taken = [user(), someKey()];
  const first = await order(node, ...taken);
  assert.equal(first.status, 202);

  const filler = join(disk, "filler");
  assert.throws(() => writeFileSync(filler, Buffer.alloc(16 << 20)), /ENOSPC/);
  const large = { ...TEA, attributes: { note: "x".repeat(12_000) } };
  const acknowledged = [];
  const refused = await until("the disk is full", async () => {
    const one = [user(), someKey()];
    const answer = await order(node, ...one, large);
    if (answer.status === 202) acknowledged.push(one);
    return answer.status === 503 && answer;
  }, { everyMs: 1 });
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  await ledgerIsSaid(node);
  assert.equal((await fetch(`${node.admin}/healthz`)).status, 200);

  rmSync(filler);
  const one = [user(), someKey()];
  await until("there is room again", async () => (await order(node, ...one)).status < 300);
  await until("readiness tells", async () => (await ready(node)) === 200);
  for (const who of [taken, one, ...acknowledged]) await isIn(node, ...who, "confirmed");
  const same = await order(node, ...taken);
  assert.deepEqual([same.status, same.text], [200, first.text]);
  t.diagnostic(`${acknowledged.length} orders before the disk was full`);
  assert.deepEqual(merchant.faults, []);
});
