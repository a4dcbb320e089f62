// Events wait for their picture.

import assert from "node:assert/strict";
import test, { mock } from "node:test";

import { Held, isReached } from "../src/sdk/held.ts";

const NOW = 1_763_800_000_000;

test.beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW }));
test.afterEach(() => mock.timers.reset());

test("what is held is told when the playhead is there, and not before", () => {
  const head = { wall_ms: NOW - 1_500 };
  const held = new Held(() => head, Date.now);
  const told = [];
  held.until({ wall_ms: NOW }, () => told.push("card"));
  held.until({ wall_ms: NOW - 2_000 }, () => told.push("past"));
  assert.deepEqual(told, ["past"]);
  head.wall_ms = NOW - 1;
  mock.timers.tick(50);
  assert.deepEqual(told, ["past"]);
  head.wall_ms = NOW;
  mock.timers.tick(50);
  assert.deepEqual(told, ["past", "card"]);
});

test("without a picture the wait ends", () => {
  const held = new Held(() => null, Date.now);
  const told = [];
  held.until({ wall_ms: NOW, media_ms: 5 }, () => told.push("card"));
  mock.timers.tick(29_000);
  assert.deepEqual(told, []);
  mock.timers.tick(2_000);
  assert.deepEqual(told, ["card"]);
});

test("a picture of long ago is not waited for, whatever the timeline says", () => {
  const held = new Held(() => ({ media_ms: 5_000 }), Date.now);
  const told = [];
  held.until({ media_ms: 3_600_000, wall_ms: NOW - 60_000 }, () => told.push("card"));
  mock.timers.tick(50);
  assert.deepEqual(told, ["card"]);
});

test("what is cleared is never told", () => {
  const held = new Held(() => null, Date.now);
  held.until({ wall_ms: NOW }, () => assert.fail("told"));
  held.clear();
  mock.timers.tick(60_000);
});

test("times are compared on the timeline that both have, or by the clock", () => {
  const table = [
    [{ media_ms: 10, wall_ms: 99 }, { media_ms: 10 }, true],
    [{ media_ms: 11, wall_ms: 0 }, { media_ms: 10 }, false],
    [{ media_ms: 11, wall_ms: 50 }, { wall_ms: 50 }, true],
    [{ media_ms: 0, wall_ms: 51 }, { wall_ms: 50 }, false],
    [{ media_ms: 5 }, { wall_ms: 50 }, true],
    [{ media_ms: 5, wall_ms: NOW }, {}, true],
    [{ media_ms: 5, wall_ms: NOW + 1 }, {}, false],
    [{ media_ms: 5 }, null, false],
    // FLV's timestamps wrap after 49 days.
    [{ media_ms: 2 ** 32 + 5 }, { media_ms: 10 }, true],
    [{ media_ms: 2 ** 32 + 5 }, { media_ms: 2 ** 32 - 5 }, false],
  ];
  for (const [at, head, reached] of table) {
    assert.equal(isReached(at, head, NOW), reached, JSON.stringify([at, head]));
  }
});
