// Event streams are cut into events wherever the network cuts them.

import assert from "node:assert/strict";
import test from "node:test";

import { parse } from "../src/sdk/envelope.ts";
import { EventLines } from "../src/sdk/stream.ts";
import { ulid } from "../src/sdk/ulid.ts";

const STREAM =
  'id: e.1.2\nevent: comment\ndata: {"a":1}\n\n: beat\n\n' +
  "data: one\r\ndata:two\r\n\r\ndata: unfinished";

test("any cut of the stream gives the same events", () => {
  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    const lines = new EventLines();
    const found = [...lines.push(STREAM.slice(0, cut)), ...lines.push(STREAM.slice(cut))];
    assert.deepEqual(found, ['{"a":1}', "one\ntwo"], `cut at ${cut}`);
  }
});

test("a line without an end is refused", () => {
  const lines = new EventLines();
  assert.throws(() => lines.push("x".repeat(2 ** 20 + 1)), /without an end/);
});

test("only envelopes pass", () => {
  const good = { v: 1, type: "like", class: 4, id: "x", at: 1, body: { total: 3 } };
  assert.deepEqual(parse(JSON.stringify(good)), good);
  for (const bad of [
    { type: "news" },
    { id: 7 },
    { at: "now" },
    { body: null },
    { body: "text" },
  ]) {
    assert.equal(parse(JSON.stringify({ ...good, ...bad })), null, JSON.stringify(bad));
  }
  for (const text of ["", "{", "null", "[]", "7"]) assert.equal(parse(text), null);
});

test("names sort by time and do not meet", () => {
  assert.equal(ulid(1469918176385).slice(0, 10), "01ARYZ6S41");
  assert.ok(ulid(1_000) < ulid(1_001));
  assert.equal(new Set(Array.from({ length: 1_000 }, () => ulid(5))).size, 1_000);
});
