// A room whose members sit on two edges, two hops below its origin.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { playlist, renditions } from "./harness/hls.mjs";
import { Hook } from "./harness/hook.mjs";
import { network } from "./harness/network.mjs";
import { folder } from "./harness/node.mjs";
import {
  door, enter, enterHttp2, enterWebTransport, isOpen, listen, moderate, send, show, someone,
} from "./harness/room.mjs";
import { sleep, until } from "./harness/wait.mjs";

const ROOM = "show";
/** Mutes, bans and retractions hold on every edge within this time (R5.6). */
const MODERATED_MS = 2_000;
const VISIBLE_PER_SECOND = 30;
/** How old the state may be that a member is told first; what follows it comes as events. */
const STATE_AGE_MS = 1_100;
/** How late an edge may tell which batches it has counted. */
const COUNTED_MS = 2_500;

const comment = (text) => ({ type, ref, body }) => type === "comment" && !ref && body.text === text;

/** `answer` refuses a command with `status`. */
function refuses(answer, status, code) {
  assert.equal(answer.type, "error", JSON.stringify(answer));
  assert.equal(answer.body.status, status, JSON.stringify(answer.body));
  if (code) assert.equal(answer.body.code, code);
  assert.ok(answer.body.detail.length > 0);
}

function isTaken(answer, type) {
  assert.equal(answer.type, type, JSON.stringify(answer));
}

/** `probe` holds within the time that moderation may take. */
const soon = (what, probe) => until(what, probe, { seconds: MODERATED_MS / 1000, everyMs: 20 });

test("a room over two hops", { timeout: 240_000 }, async (t) => {
  const words = join(folder(t), "words.txt");
  writeFileSync(words, "# what is not said\nfoobar\n坏话\n");
  const net = await network(t, {
    edges: { moderation: { words_file: words, allowed_hosts: ["shop.example"] } },
  });
  const { near, far, top } = net;
  await net.publish(ROOM);
  const anna = await enter(t, near.http, ROOM, { user: "anna", name: "Anna" });
  const bo = await enter(t, far.http, ROOM, { user: "bo" });
  const host = await enter(t, near.http, ROOM, {
    token: net.token("interact", ROOM, { role: "host", sub: "host" }),
  });

  await t.test("the first words say who, where and since when", async () => {
    const { body } = anna.hello;
    assert.deepEqual(body.you, { id: "anna", name: "Anna", role: "viewer" });
    assert.deepEqual([body.room, body.edge, body.resumed], [ROOM, near.name, false]);
    assert.equal(host.hello.body.you.role, "host");
    assert.equal(bo.hello.body.epoch, body.epoch);
    const snapshot = await anna.see("the state", ({ type }) => type === "snapshot");
    for (const field of ["cards", "likes", "comments", "stock", "slow_seconds"]) {
      assert.ok(field in snapshot.body, `${field} in ${JSON.stringify(snapshot.body)}`);
    }
    const { status, json } = await send(door(far.http, ROOM, "snapshot"), undefined, {}, "GET");
    assert.equal(status, 200);
    assert.deepEqual((json.body ?? json).cards, []);
  });

  await t.test("doors that are not there say so", async () => {
    const get = (path, headers) => send(new URL(path, near.http), undefined, headers, "GET");
    const absent = await get("/rooms/nowhere/snapshot");
    assert.equal(absent.status, 404);
    assert.match(absent.headers.get("content-type"), /^application\/problem\+json/);
    assert.equal((await get("/rooms/no%20room/ws")).status, 404);
    assert.equal((await get(`/rooms/${ROOM}/nothing`)).status, 404);
    const wrong = await get(`/rooms/${ROOM}/comments`);
    assert.equal(wrong.status, 405);
    assert.match(wrong.headers.get("allow"), /POST/);
    const forged = await get(`/rooms/${ROOM}/snapshot?token=bm8.bm8`);
    assert.ok([401, 403].includes(forged.status), `${forged.status}`);
    const preflight = await send(door(near.http, ROOM, "orders"), undefined, {
      origin: "https://page.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "idempotency-key,content-type",
    }, "OPTIONS");
    assert.ok(preflight.status < 300, `${preflight.status}`);
    assert.match(preflight.headers.get("access-control-allow-headers"), /idempotency-key/i);
  });

  await t.test("a comment is answered to its author and seen two hops away", async () => {
    const answer = await anna.say("你好, everybody");
    isTaken(answer, "comment");
    assert.deepEqual(answer.from, { id: "anna", name: "Anna", role: "viewer" });
    const seen = await bo.see("the comment", comment("你好, everybody"));
    assert.deepEqual([seen.class, seen.id, seen.from.id, seen.to], [3, answer.id, "anna", undefined]);
    await sleep(STATE_AGE_MS);
    const late = await enter(t, far.http, ROOM, { user: "late" });
    const { body } = await late.see("the state", ({ type }) => type === "snapshot");
    assert.ok(body.comments.some(({ id }) => id === answer.id), "the state has the last comments");
    const url = door(far.http, ROOM, "comments", { user: "post" });
    const { status } = await send(url, { text: "by post" });
    assert.ok([200, 201, 202].includes(status), `${status}`);
    await anna.see("the posted comment", comment("by post"));
  });

  await t.test("text is normalised, filtered, and the filter is renewed without a restart", async () => {
    const say = async (text) => (await enter(t, near.http, ROOM, { user: someone() })).say(text);
    const shown = await say("ｈｅｌｌｏ\u200b  wo\u00adrld \u202eabc");
    isTaken(shown, "comment");
    assert.equal(shown.body.text, "hello world abc");
    for (const bad of ["foobar!", "ｆｏｏｂａｒ", "f\u200boobar", "F O O B A R", "说坏话", "坏 话"]) {
      refuses(await say(bad), 403, "words");
    }
    isTaken(await say("foobarn is a village"), "comment");
    refuses(await say("buy at https://evil.example/x"), 403, "links");
    isTaken(await say("buy at https://www.shop.example/x"), "comment");
    writeFileSync(words, "plugh\n");
    await until("the new words count", async () => (await say("plugh")).type === "error", {
      seconds: 5,
    });
    isTaken(await say("foobar!"), "comment");
    writeFileSync(words, Buffer.from([0x66, 0xff, 0xfe, 0x0a]));
    await sleep(2_500);
    refuses(await say("plugh"), 403, "words");
  });

  await t.test("who says too much, or the same again, is told when to come back", async () => {
    const cy = await enter(t, near.http, ROOM, { user: someone("cy") });
    isTaken(await cy.say("first thing that I say"), "comment");
    refuses(await cy.say("first thing that I say"), 429);
    const answers = [];
    for (const text of ["apple", "banana", "cherry", "damson"]) answers.push(await cy.say(text));
    const refused = answers.filter(({ type }) => type === "error");
    assert.ok(refused.length >= 1, "a burst is three comments");
    refuses(refused[0], 429);
    assert.ok(refused[0].body.retry_after_s >= 1);
    const url = door(near.http, ROOM, "comments", { user: cy.query.user });
    const post = await send(url, { text: "elderberry" });
    assert.equal(post.status, 429);
    assert.ok(Number(post.headers.get("retry-after")) >= 1);
  });

  await t.test("moderators' words hold on every edge", async () => {
    refuses(await anna.ask("mod", { action: "slow", seconds: 60 }), 403);
    const users = Array.from({ length: 2 }, () => someone("dan"));
    const [dan, eve] = await Promise.all([
      enter(t, far.http, ROOM, { user: users[0] }),
      enter(t, far.http, ROOM, { user: users[1] }),
    ]);
    const said = await eve.say("what will be taken back");
    await anna.see("it", comment("what will be taken back"));

    await host.ask("mod", { action: "retract", id: said.id });
    const retraction = ({ type, body }) => type === "mod" && body.id === said.id;
    await soon("all see the retraction", () => [anna, bo].every((m) => m.events.some(retraction)));
    await sleep(STATE_AGE_MS);
    const late = await enter(t, near.http, ROOM, { user: someone() });
    const { body } = await late.see("the state", ({ type }) => type === "snapshot");
    assert.ok(!body.comments.some(({ id }) => id === said.id), "the state has no retracted comment");

    await host.ask("mod", { action: "mute", user: users[0], seconds: 60 });
    await soon("the mute holds", async () => (await dan.say("am I muted")).body.code === "muted");
    refuses(await dan.say("still muted"), 403, "muted");
    await moderate(near, ROOM, { action: "unmute", user: users[0] });
    await sleep(1_000);
    isTaken(await dan.say("no longer muted"), "comment");

    await moderate(top, ROOM, { action: "ban", user: users[1], seconds: 60 });
    const ending = await Promise.race([eve.ended, sleep(MODERATED_MS)]);
    assert.equal(ending?.code, 4403);
    for (const node of [near, far]) {
      await assert.rejects(enter(t, node.http, ROOM, { user: users[1] }), /403/);
      const url = door(node.http, ROOM, "comments", { user: users[1] });
      assert.equal((await send(url, { text: "I am banned" })).status, 403);
    }

    await host.ask("mod", { action: "slow", seconds: 5 });
    const flo = await enter(t, far.http, ROOM, { user: someone("flo") });
    await bo.see("slow mode", ({ type, body }) => type === "mod" && body.action === "slow");
    isTaken(await flo.say("a slow word"), "comment");
    const slow = await flo.say("another slow word");
    refuses(slow, 429, "slow_mode");
    assert.ok(slow.body.retry_after_s >= 3, `${slow.body.retry_after_s}`);
    await host.ask("mod", { action: "slow", seconds: 0 });

    const audit = `${top.admin}/api/v1/rooms/${ROOM}/audit?max=1000`;
    await until("all decisions are in the audit trail", async () => {
      const { json } = await send(audit, undefined, {}, "GET");
      const actions = new Set(json.audit.map(({ action }) => action));
      return ["retract", "mute", "ban", "slow", "refuse"].every((action) => actions.has(action));
    });
  });

  await t.test("cards, pins, sales and stock come in order, for plain HLS players too", async () => {
    refuses(await anna.ask("card", { id: "k0", action: "hide" }), 403);
    const card = {
      ...{ id: "k1", sku: "sku-1", title: "Green \"tea\"", price: 9.5, currency: "CNY" },
      ...{ image: "/tea.webp", url: "https://shop.example/tea", action: "show" },
    };
    refuses(await host.ask("card", { ...card, url: "javascript:alert(1)" }), 400);
    const now = await show(far, ROOM, "card", card);
    assert.equal(now.class, 1);
    const { id, media_ms, body: { wall_ms } } = now;
    assert.ok(Math.abs(wall_ms - Date.now()) < 10_000, `captured ${Date.now() - wall_ms} ms ago`);
    const answer = await host.ask("card", { ...card, id: "k2" }, { media_ms: media_ms + 1_500 });
    assert.equal(answer.media_ms, media_ms + 1_500, JSON.stringify(answer));
    assert.equal(answer.body.wall_ms, wall_ms + 1_500);
    await host.ask("pin", { text: "Half price until nine" });
    await show(near, ROOM, "sale", { id: "s1", action: "open" });
    await show(top, ROOM, "stock", { sku: "sku-1", left: 3 });
    for (const member of [anna, bo]) {
      const seen = await member.see("the card", (event) => event.id === id);
      assert.equal(seen.media_ms, media_ms);
      const { seq } = await member.see("the pin", ({ type }) => type === "pin");
      assert.ok(seq > seen.seq);
      assert.equal((await member.see("the sale", ({ type }) => type === "sale")).class, 0);
      const { body } = await member.see("the stock", ({ type }) => type === "stock");
      assert.deepEqual([body.sku, body.left], ["sku-1", 3]);
    }
    await sleep(STATE_AGE_MS);
    const late = await enter(t, far.http, ROOM, { user: someone() });
    const { body } = await late.see("the state", ({ type }) => type === "snapshot");
    assert.deepEqual(body.cards.map((one) => one.id).toSorted(), ["k1", "k2"]);
    assert.equal(body.pin.text, "Half price until nine");
    assert.equal(body.sale.id, "s1");
    assert.deepEqual(body.stock, { "sku-1": 3 });

    for (const node of [near, far]) {
      const { video, audio } = await renditions(node.http, ROOM);
      for (const url of [video, audio]) {
        const line = await until("the date range is listed", async () => {
          const { text } = await playlist(url);
          return text.split("\n").find((one) => one.startsWith(`#EXT-X-DATERANGE:ID="${id}"`));
        });
        const start = line.match(/START-DATE="([^"]+)"/)[1];
        assert.equal(Date.parse(start), wall_ms);
        assert.match(line, /X-SKU="sku-1"/);
      }
    }
  });

  await t.test("likes count once, through whichever edge they come", async () => {
    const before = (await anna.ask("like", { count: 1, session: someone("s"), n: 1 })).body.total;
    const session = someone("s");
    const first = await anna.ask("like", { count: 7, session, n: 1 });
    isTaken(first, "like");
    const total = (member) => member.events.findLast(({ type, ref }) => type === "like" && !ref)?.body.total;
    await until("both edges show 7 more", () => [anna, bo].every((m) => total(m) === before + 7));
    await anna.ask("like", { count: 7, session, n: 1 });
    await anna.ask("like", { count: 2, session, n: 2 });
    // Sent again through the other edge, as by a client whose answer was lost.
    await sleep(COUNTED_MS);
    await bo.ask("like", { count: 2, session, n: 2 });
    const url = door(far.http, ROOM, "likes", { user: "anna" });
    assert.ok((await send(url, { count: 1, session, n: 3 })).status < 300);
    await until("both edges show 10 more", () => [anna, bo].every((m) => total(m) === before + 10));
    await sleep(1_500);
    assert.deepEqual([total(anna), total(bo)], [before + 10, before + 10]);
    const told = bo.events.filter(({ type, ref }) => type === "like" && !ref);
    const totals = told.map(({ body }) => body.total);
    assert.deepEqual(totals, totals.toSorted((a, b) => a - b), "totals never fall");
  });

  await t.test("who is here is counted on every edge and summed", async () => {
    const room = "presence";
    await show(top, room, "pin", { text: "open" });
    await isOpen(room, near, far);
    const members = [];
    for (const node of [near, near, far]) {
      members.push(await enter(t, node.http, room, { user: someone() }));
    }
    // The same user on another edge: one more connection, no more users.
    members.push(await enter(t, far.http, room, { user: members[0].query.user }));
    const told = (online) => ({ type, body }) => type === "presence" && body.online === online;
    const { body } = await members[0].see("four connections", told(4));
    assert.ok(Math.abs(body.unique - 3) <= 1, `${body.unique} users`);
    members[2].close();
    const newest = ({ events }) => events.findLast(({ type }) => type === "presence")?.body;
    await until("three are left", () => newest(members[0])?.online === 3);
  });

  await t.test("every door has the same events", async (t) => {
    const [cbor, h2, wt, sse] = await Promise.all([
      enter(t, near.http, ROOM, { user: "cbor" }, { cbor: true }),
      enterHttp2(t, far.http, ROOM, { user: "h2" }),
      enterWebTransport(t, far, ROOM, { user: "wt" }),
      listen(t, far.http, ROOM, { user: "sse" }),
    ]);
    const speakers = [cbor, h2, wt];
    for (const member of speakers) isTaken(await member.say(`hello from ${member.query.user}`), "comment");
    await show(top, ROOM, "notice", { text: "for every door" });
    const all = [anna, sse, ...speakers];
    for (const member of all) {
      for (const { query } of speakers) {
        await member.see("a comment", comment(`hello from ${query.user}`));
      }
    }
    const notice = ({ type, body }) => type === "notice" && body.text === "for every door";
    const seen = await Promise.all(all.map((member) => member.see("a notice", notice)));
    for (const event of seen) assert.deepEqual(event, seen[0]);
    assert.match(sse.lastId, new RegExp(`^${sse.hello.body.epoch}\\.\\d+\\.${seen[0].seq}$`));
    sse.close();
    const kept = sse.events.length;
    for (const text of ["while you", "were away"]) await show(near, ROOM, "notice", { text });
    await until("the other edge has them", () => anna.events.some(({ body }) => body.text === "were away"));
    const back = await listen(t, near.http, ROOM, { user: "sse" }, { after: sse.lastId });
    await back.see("what it missed", ({ body }) => body.text === "were away");
    assert.ok(back.hello.body.resumed);
    assert.equal(sse.events.length, kept);
    const missed = back.events.filter(({ seq, class: kind }) => seq && kind === 1);
    assert.deepEqual(missed.map(({ body }) => body.text), ["while you", "were away"]);
    assert.deepEqual(all.concat(back).flatMap(({ faults }) => faults), []);
  });

  await t.test("who comes back through another edge has missed nothing", async (t) => {
    const gus = await enter(t, near.http, ROOM, { user: "gus" });
    await show(near, ROOM, "notice", { text: "one" });
    await gus.see("one", ({ body }) => body.text === "one");
    const { position } = gus;
    gus.close();
    const last = ["two", "three", "four"];
    for (const text of last) await show(top, ROOM, "notice", { text });
    await show(top, ROOM, "stock", { sku: "sku-1", left: 2 });
    const back = await enter(t, far.http, ROOM, { user: "gus", ...position });
    assert.equal(back.hello.body.resumed, true);
    await back.see("the stock", ({ type }) => type === "stock");
    await back.see("four", ({ body }) => body.text === "four");
    const notices = back.events.filter(({ type }) => type === "notice").map(({ body }) => body.text);
    assert.deepEqual(notices, last);
    assert.ok(!back.events.some(({ type }) => type === "snapshot"), "no state in place of events");
    assert.deepEqual(back.faults, []);
    // Of another epoch nothing is known: the state comes in place of the events.
    const lost = await enter(t, far.http, ROOM, { user: "gus", epoch: "0", c0: 1, c1: 1 });
    assert.equal(lost.hello.body.resumed, false);
    await lost.see("the state", ({ type }) => type === "snapshot");
  });

  await t.test("a flood is shown as far as people read, and each author sees his own", async (t) => {
    const AUTHORS = 300;
    const ROUNDS = 3;
    const word = () => someone("").slice(1);
    const users = Array.from({ length: AUTHORS }, () => someone("f"));
    const authors = await Promise.all(users.map((user, i) => {
      return enter(t, i % 2 ? near.http : far.http, ROOM, { user });
    }));
    const from = bo.events.length;
    const begin = performance.now();
    let echoes = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const answers = await Promise.all(authors.map((author) => author.say(`${word()} ${word()}`)));
      echoes += answers.filter(({ type }) => type === "comment").length;
      if (round === 1) isTaken(await host.say("the host is heard"), "comment");
      await sleep(Math.max(0, begin + (round + 1) * 1_000 - performance.now()));
    }
    const seconds = (performance.now() - begin) / 1000;
    assert.equal(echoes, AUTHORS * ROUNDS);
    await bo.see("the host", comment("the host is heard"));
    const shown = bo.events.slice(from).filter(({ type, class: kind }) => type === "comment" && kind === 3);
    t.diagnostic(`${echoes} comments in ${seconds.toFixed(1)} s, ${shown.length} shown`);
    assert.ok(shown.length <= VISIBLE_PER_SECOND * (seconds + 1.5), `${shown.length} shown`);
    assert.ok(shown.length >= VISIBLE_PER_SECOND * 1.5, `${shown.length} shown`);
    for (const author of authors) author.close();
  });

  for (const member of [anna, bo, host]) assert.deepEqual(member.faults, []);
});

/** The operator's own moderation. */
class Reviewer extends Hook {
  async answer({ room, from, text }) {
    if (room !== ROOM || !from.id) this.faults.push(`${room} ${JSON.stringify(from)}`);
    if (text.includes("slow")) return "hang";
    return { status: 200, body: { decision: text.includes("bad") ? "deny" : "allow" } };
  }
}

test("an edge may ask for tokens, and the operator for his opinion", { timeout: 60_000 }, async (t) => {
  const reviewer = await Reviewer.open(t);
  const { url, secret } = reviewer;
  const net = await network(t, {
    relay: false,
    edges: { moderation: { review: { url, secret, timeout_ms: 200, fallback: "allow" } } },
  });
  const strict = await net.below({ auth: { ...net.near.sections.auth, mode: "token" } });
  await show(net.top, ROOM, "pin", { text: "open" });
  await isOpen(ROOM, net.near);
  const token = (room, options) => net.token("interact", room, options);

  await t.test("without a token, or with another room's, nobody comes in", async () => {
    const get = async (query, headers) => {
      return (await send(door(strict.http, ROOM, "snapshot", query), undefined, headers, "GET")).status;
    };
    const good = token(ROOM, { sub: "ida" });
    await until("the room is open", async () => (await get({ token: good })) === 200);
    assert.equal(await get({}, { authorization: `Bearer ${good}` }), 200);
    const path = `${strict.http}/t/${good}/rooms/${ROOM}/snapshot`;
    assert.equal((await send(path, undefined, {}, "GET")).status, 200);
    assert.equal(await get({ user: "ida" }), 401);
    assert.equal(await get({ token: token("other") }), 403);
    assert.equal(await get({ token: net.token("play", ROOM) }), 403);
    assert.equal(await get({ token: good.replace(/.$/, (c) => (c === "A" ? "B" : "A")) }), 403);
    await assert.rejects(enter(t, strict.http, ROOM, { user: "ida" }), /401/);
    const ida = await enter(t, strict.http, ROOM, { token: good, user: "someone-else" });
    assert.equal(ida.hello.body.you.id, "ida", "the token says who it is");
    const post = await send(door(strict.http, ROOM, "comments", { user: "ida" }), { text: "let me in" });
    assert.equal(post.status, 401);
    const lines = strict.process.stderr.concat(net.top.process.stderr);
    assert.ok(!lines.some((line) => line.includes(good.slice(0, 20))), "no token in a log");
  });

  await t.test("the operator's opinion counts, when it comes in time", async () => {
    const member = await enter(t, net.near.http, ROOM, { user: someone() });
    const other = await enter(t, net.far.http, ROOM, { user: someone() });
    isTaken(await member.say("a good thing"), "comment");
    refuses(await member.say("something bad"), 403);
    const begin = performance.now();
    isTaken(await other.say("something slow"), "comment");
    const waited = performance.now() - begin;
    t.diagnostic(`without an opinion: after ${Math.round(waited)} ms`);
    assert.ok(waited >= 190 && waited < 2_000, `${waited} ms`);
    assert.deepEqual(reviewer.faults, []);
  });
});
