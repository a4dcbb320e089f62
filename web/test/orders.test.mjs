// Orders: stored before they are sent, sent again until answered, never taken back.

import assert from "node:assert/strict";
import test, { mock } from "node:test";

import { OrderBook } from "../src/sdk/orders.ts";
import { Shelf } from "./shelf.mjs";

const HOUR_MS = 3600 * 1000;

function book({ shelf = new Shelf(), online = true } = {}) {
  const world = { shelf, online, sent: [], changes: [], late: 0 };
  const outside = {
    send(command) {
      if (world.online) world.sent.push({ ...command, stored: shelf.length });
      return world.online;
    },
    late: () => (world.late += 1),
    changed: ({ key, state }) => world.changes.push([key, state]),
  };
  world.book = new OrderBook("show", shelf, outside);
  return world;
}

test.beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_763_800_000_000 }));
test.afterEach(() => mock.timers.reset());

test("an order is stored before it is sent", () => {
  const world = book();
  const { key } = world.book.place({ sku: "s1", quantity: 2 });
  assert.match(key, /^[0-9A-Z]{26}$/);
  assert.equal(world.sent.length, 1);
  assert.equal(world.sent[0].stored, 1);
  assert.deepEqual(world.sent[0].body, { key, sku: "s1", quantity: 2, attributes: {} });
});

test("an order placed offline goes out with the next link, and again with the one after", () => {
  const world = book({ online: false });
  const { key } = world.book.place({ sku: "s1" });
  world.online = true;
  world.book.connected("li");
  world.book.disconnected();
  world.book.connected("li");
  assert.deepEqual(
    world.sent.map(({ ref }) => ref),
    [key, key],
  );
  world.book.hear(key, { status: 202, key, state: "accepted" });
  world.book.connected("li");
  assert.equal(world.sent.length, 2);
});

test("the next page finds the order and sends it with the same key", () => {
  const first = book();
  const { key } = first.book.place({ sku: "s1" });
  const second = book({ shelf: first.shelf });
  second.book.connected("li");
  assert.deepEqual(
    second.sent.map(({ ref }) => ref),
    [key],
  );
  assert.equal(second.book.list()[0].state, "pending");
});

test("an overdue answer is told", () => {
  const world = book();
  world.book.place({ sku: "s1" });
  mock.timers.tick(11_000);
  assert.equal(world.late, 0);
  mock.timers.tick(2_000);
  assert.equal(world.late, 1);
});

for (const [status, more, waitMs] of [
  [409, {}, 2_000],
  [429, { retry_after_s: 3 }, 6_000],
  [503, {}, 4_000],
]) {
  test(`after ${status} the same key is sent again`, () => {
    const world = book();
    const { key } = world.book.place({ sku: "s1" });
    world.book.hear(key, { status, ...more });
    assert.equal(world.sent.length, 1);
    mock.timers.tick(waitMs);
    assert.deepEqual(
      world.sent.map(({ ref }) => ref),
      [key, key],
    );
    assert.equal(world.book.list()[0].state, "pending");
  });
}

test("a refusal is final and says why", () => {
  const world = book();
  const { key } = world.book.place({ sku: "s1" });
  world.book.hear(key, { status: 422, detail: "the key names another order" });
  world.book.disconnected();
  world.book.connected("li");
  assert.equal(world.sent.length, 1);
  const [{ state, reason }] = world.book.list();
  assert.deepEqual([state, reason], ["refused", "the key names another order"]);
});

test("a state never goes back", () => {
  const world = book();
  const { key } = world.book.place({ sku: "s1" });
  world.book.hear(key, { key, state: "confirmed" });
  world.book.hear(key, { status: 202, key, state: "accepted" });
  world.book.hear(key, { key, state: "something new" });
  assert.equal(world.book.list()[0].state, "confirmed");
});

test("another member of this browser neither sees the order nor sends it", () => {
  const world = book();
  world.book.connected("li");
  world.book.place({ sku: "s1" });
  const other = book({ shelf: world.shelf });
  other.book.connected("wang");
  assert.deepEqual([other.sent, other.book.list()], [[], []]);
});

test("an order of another device shows up", () => {
  const world = book();
  world.book.connected("li");
  assert.ok(world.book.hear("01K", { key: "01K", state: "forwarded", sku: "s2", quantity: 3 }));
  assert.equal(world.book.list()[0].state, "forwarded");
  assert.ok(!world.book.hear("l7", { status: 429 }), "an answer to something else is not ours");
});

test("a key that the room has forgotten is not sent again", () => {
  const first = book({ online: false });
  first.book.place({ sku: "s1" });
  mock.timers.tick(25 * HOUR_MS);
  const second = book({ shelf: first.shelf });
  second.book.connected("li");
  assert.equal(second.sent.length, 0);
  assert.equal(second.book.list()[0].state, "unknown");
});

test("a forbidden shelf keeps nobody from buying", () => {
  const shelf = new Shelf();
  shelf.setItem = () => {
    throw new Error("quota");
  };
  const world = book({ shelf });
  world.book.place({ sku: "s1" });
  assert.equal(world.sent.length, 1);
});

test("garbage on the shelf is passed over", () => {
  const shelf = new Shelf();
  for (const [i, text] of [
    "{",
    "null",
    "7",
    '{"key":"x"}',
    '{"key":"k","sku":"s","placed_at":1,"state":"?"}',
  ].entries()) {
    shelf.setItem(`rushlane.order.show.${i}`, text);
  }
  assert.deepEqual(book({ shelf }).book.list(), []);
});
