// Likes: batched, numbered, sent again until they are answered, one batch at a time.

import assert from "node:assert/strict";
import test, { mock } from "node:test";

import { Likes } from "../src/sdk/likes.ts";

function likes({ online = true } = {}) {
  const world = { online, sent: [] };
  world.likes = new Likes((command) => {
    if (world.online) world.sent.push(command);
    return world.online;
  });
  world.taps = (count) => {
    for (let i = 0; i < count; i += 1) world.likes.tap();
  };
  world.batches = () => world.sent.map(({ body: { count, n } }) => [n, count]);
  return world;
}

test.beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
test.afterEach(() => mock.timers.reset());

test("taps go out in one batch each half second", () => {
  const world = likes();
  world.taps(7);
  assert.equal(world.sent.length, 0);
  mock.timers.tick(500);
  assert.deepEqual(world.batches(), [[1, 7]]);
  world.likes.answered("l1");
  world.taps(2);
  mock.timers.tick(500);
  assert.deepEqual(world.batches(), [
    [1, 7],
    [2, 2],
  ]);
  assert.equal(new Set(world.sent.map(({ body }) => body.session)).size, 1);
});

test("no batch overtakes the one before", () => {
  const world = likes();
  world.taps(1);
  mock.timers.tick(500);
  world.taps(5);
  mock.timers.tick(4_000);
  assert.deepEqual(world.batches(), [[1, 1]]);
  mock.timers.tick(1_500);
  assert.deepEqual(
    world.batches(),
    [
      [1, 1],
      [1, 1],
    ],
    "the same batch again",
  );
  world.likes.answered("l1");
  mock.timers.tick(500);
  assert.deepEqual(world.batches().at(-1), [2, 5]);
});

test("a batch without a link goes out with the next one", () => {
  const world = likes({ online: false });
  world.taps(3);
  mock.timers.tick(2_000);
  world.taps(4);
  world.online = true;
  world.likes.connected();
  assert.deepEqual(world.batches(), [[1, 3]]);
});

test("a batch that came too soon is sent again, a refused one is not", () => {
  const world = likes();
  world.taps(3);
  mock.timers.tick(500);
  world.likes.answered("l1", 3_000);
  mock.timers.tick(3_000);
  assert.deepEqual(world.batches(), [
    [1, 3],
    [1, 3],
  ]);
  world.likes.answered("l1");
  mock.timers.tick(60_000);
  assert.equal(world.sent.length, 2);
});

test("a batch holds at most a thousand taps", () => {
  const world = likes();
  world.taps(1_200);
  mock.timers.tick(500);
  world.likes.answered("l1");
  mock.timers.tick(500);
  assert.deepEqual(world.batches(), [
    [1, 1_000],
    [2, 200],
  ]);
});
