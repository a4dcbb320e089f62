// A fleet: an origin, an edge, and an edge below that edge.

import assert from "node:assert/strict";
import test from "node:test";

import { push } from "./harness/encoder.mjs";
import { bytes, parse, playlist, playlistOf, renditions } from "./harness/hls.mjs";
import { edge, fleet, origin } from "./harness/node.mjs";
import { until } from "./harness/wait.mjs";

const ROOM = "show";
const RECOVER_SECONDS = 30;

async function threeNodes(t) {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const middle = await edge(t, certificates, [top]);
  const leaf = await edge(t, certificates, [middle]);
  const publish = () => push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  return { certificates, top, middle, leaf, publish };
}

test("two hops down, every byte is the same", { timeout: 120_000 }, async (t) => {
  const { top, middle, leaf, publish } = await threeNodes(t);
  publish();
  const nodes = [top, middle, leaf];
  // Every edge packages on its own: each is asked before the comparison, so that none is cold.
  const indexes = await Promise.all(nodes.map((node) => renditions(node.http, ROOM)));
  assert.equal(new Set(indexes.map(({ text }) => text)).size, 1, "multivariant playlists differ");

  for (const kind of ["video", "audio"]) {
    const urls = indexes.map((found) => found[kind]);
    const start = (await playlist(urls[0])).last + 2;
    const held = await Promise.all(urls.map((url) => playlistOf(url, start)));
    const window = (list) => list.text.split("\n").filter((line) => line.startsWith("#EXTINF"));
    assert.ok(held.every((list) => list.last >= start), `${kind}: a blocking reload came early`);
    assert.ok(held.every((list) => window(list).length > 0));

    // The nodes answer at slightly different moments: what each says of complete segments must agree.
    const stanzas = held.map((list) => stanzasOf(list));
    const common = [...stanzas[0].keys()].filter((msn) => stanzas.every((s) => s.has(msn)));
    assert.ok(common.includes(start), `${kind}: segment ${start} is on every node`);
    for (const msn of common.slice(1)) {
      assert.equal(new Set(stanzas.map((s) => s.get(msn))).size, 1, `${kind}: segment ${msn} differs`);
    }

    const { pathname } = new URL(held[0].segments.find(({ msn }) => msn === start).url);
    const part = pathname.replace(/\.m4s$/, ".0.m4s");
    const init = new URL(held[0].maps.at(-1)).pathname;
    for (const path of [pathname, part, init]) {
      const copies = await Promise.all(nodes.map((node) => bytes(node.http + path)));
      assert.ok(copies.every((copy) => copy.equals(copies[0])), `${path} differs between nodes`);
    }
  }
});

test("an edge that dies takes nobody with it and comes back", { timeout: 180_000 }, async (t) => {
  const { certificates, top, middle, leaf, publish } = await threeNodes(t);
  publish();
  const { video } = await renditions(leaf.http, ROOM);
  const sibling = await edge(t, certificates, [top]);
  await renditions(sibling.http, ROOM);

  await middle.process.stop("SIGKILL");
  const onSibling = video.replace(leaf.http, sibling.http);
  const { last } = await playlist(onSibling);
  assert.ok((await playlistOf(onSibling, last + 1)).last > last, "the sibling goes on");
  assert.ok(leaf.process.alive);

  const address = middle.address("relay.listen");
  await edge(t, certificates, [top], {
    relay: {
      listen: address,
      parents: [top.address("relay.listen")],
      server_name: "localhost",
    },
  });
  await until("the leaf finds its parent again", async () => {
    const now = await playlist(video);
    return now.last > last + 1;
  }, { seconds: RECOVER_SECONDS });
});

test("an origin that dies leaves the edges answering, and they follow the next show", { timeout: 180_000 }, async (t) => {
  const certificates = fleet(t);
  const top = await origin(t, certificates);
  const child = await edge(t, certificates, [top]);
  const host = push(t, `rtmp://${top.address("rtmp.listen")}/live/${ROOM}`);
  const before = await renditions(child.http, ROOM);

  await top.process.stop("SIGKILL");
  await host.exited;
  const health = await fetch(`${child.admin}/healthz`);
  assert.equal(health.status, 200);

  const next = await origin(t, certificates, { relay: { listen: top.address("relay.listen") } });
  push(t, `rtmp://${next.address("rtmp.listen")}/live/${ROOM}`);
  await until("the edge serves the next show", async () => {
    const now = await renditions(child.http, ROOM, { seconds: 1 });
    const { last } = await playlist(now.video);
    return now.video !== before.video && last >= 2;
  }, { seconds: RECOVER_SECONDS });
});

/** The lines of each complete segment, with their parts, by MSN. URLs are relative in playlists. */
function stanzasOf(list) {
  const stanzas = new Map();
  let lines = [];
  let msn = parse(list.text, list.url).first;
  for (const line of list.text.split("\n")) {
    lines.push(line);
    if (line === "" || line.startsWith("#")) continue;
    // Old segments lose their parts as the window moves; what stays is compared.
    stanzas.set(msn, lines.filter((entry) => !entry.startsWith("#EXT-X-PART:")).join("\n"));
    lines = [];
    msn += 1;
  }
  return stanzas;
}
