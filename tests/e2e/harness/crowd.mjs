// Viewers and buyers that go on as sensible players and pages do, and note what they met.

import http from "node:http";

import { parse } from "./hls.mjs";
import { someKey } from "./room.mjs";
import { sleep } from "./wait.mjs";

const RETRY_MS = 100;

/** Follows redirects by itself, as browsers do, and tells from where the answer came. */
function get(url, { agent, hops = 3 } = {}) {
  return new Promise((done, fail) => {
    const request = http.get(url, { agent }, (response) => {
      const { location } = response.headers;
      if (location === undefined || hops === 0) return done({ url: new URL(url), response });
      response.resume();
      return get(new URL(location, url), { agent, hops: hops - 1 }).then(done, fail);
    });
    request.on("error", fail);
  });
}

/** A viewer: `frames` grows by `{at, node}`, `cuts` by each end of its connection, `faults` otherwise. */
class Viewer {
  frames = [];
  cuts = [];
  faults = [];
  running = true;

  stop() {
    this.running = false;
    this.request?.destroy();
    return this.done;
  }

  /** Where the newest frame came from. */
  get node() {
    return this.frames.at(-1)?.node;
  }

  /** The longest time without anything new, in milliseconds. */
  get longestWait() {
    const waits = this.frames.slice(1).map(({ at }, i) => at - this.frames[i].at);
    return Math.max(0, ...waits);
  }

  seen(url) {
    this.frames.push({ at: performance.now(), node: url.host });
  }
}

/** Watches HTTP-FLV; comes back to the first URL when the connection ends. */
export function watchFlv(t, base, room) {
  const viewer = new Viewer();
  const follow = async () => {
    while (viewer.running) {
      const url = new URL(`/live/${room}.flv`, base);
      const { url: from, response } = await get(url, { agent: false });
      viewer.request = response;
      if (response.statusCode !== 200) viewer.faults.push(`${from}: ${response.statusCode}`);
      else for await (const _ of response) viewer.seen(from);
      if (viewer.running) viewer.cuts.push(performance.now());
      await sleep(response.statusCode === 200 ? 0 : RETRY_MS);
    }
  };
  return keep(t, viewer, follow);
}

/** Follows LL-HLS by blocking reloads and fetches each newest part. */
export function watchHls(t, base, room) {
  const viewer = new Viewer();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  t.after(() => agent.destroy());
  const text = async (url) => {
    const { url: from, response } = await get(url, { agent });
    let body = "";
    for await (const piece of response.setEncoding("latin1")) body += piece;
    if (response.statusCode >= 400) throw new Error(`${from}: ${response.statusCode}`);
    return { from, body };
  };
  const follow = async () => {
    const index = await text(new URL(`/live/${room}/index.m3u8`, base));
    const path = index.body.match(/^#EXT-X-STREAM-INF[^\n]*\n([^#\n]+)/m)[1];
    let media = new URL(path, index.from);
    let query = "";
    while (viewer.running) {
      const { from, body } = await text(new URL(query, media));
      // A player stays where it was sent.
      media = new URL(from.pathname, from);
      const list = parse(body, media.href);
      const part = list.parts.at(-1);
      if (part) await text(new URL(part.url));
      viewer.seen(from);
      query = `?_HLS_msn=${list.last + 1}`;
    }
  };
  return keep(t, viewer, follow);
}

/**
 * Orders every `everyMs` with the keys in `keys`. What has no final answer is sent again with the
 * same key to the next of `bases`, as INTERFACE wants it; `faults` holds what was refused for good.
 */
export function buy(t, bases, room, user, { everyMs = 100 } = {}) {
  const buyer = Object.assign(new Viewer(), { keys: [], again: 0 });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const post = (base, key) => new Promise((done, fail) => {
    const url = new URL(`/rooms/${room}/orders?user=${user}`, base);
    const headers = { "content-type": "application/json", "idempotency-key": key };
    const request = http.request(url, { method: "POST", agent, headers }, (response) => {
      response.resume();
      response.on("end", () => done(response.statusCode));
    });
    request.on("error", fail);
    request.end(JSON.stringify({ sku: "tea", quantity: 1, attributes: {} }));
  });
  // A page stays at the edge that has answered last.
  let edge = 0;
  const order = async (key) => {
    for (let turn = 0; turn < 50; turn += 1) {
      const status = await post(bases[edge % bases.length], key).catch(() => 0);
      if (status === 200 || status === 202) return;
      edge += 1;
      const comesAgain = [0, 409, 429, 503].includes(status);
      if (!comesAgain) throw new Error(`order ${key}: ${status}`);
      buyer.again += 1;
      await sleep(RETRY_MS);
    }
    throw new Error(`order ${key}: no answer`);
  };
  const follow = async () => {
    while (buyer.running) {
      const key = someKey();
      await order(key);
      buyer.keys.push(key);
      await sleep(everyMs);
    }
  };
  return keep(t, buyer, follow);
}

/** Runs `follow` until the viewer stops; what goes wrong is noted and tried again. */
function keep(t, viewer, follow) {
  viewer.done = (async () => {
    while (viewer.running) {
      try {
        await follow();
      } catch (error) {
        if (viewer.running) viewer.faults.push(String(error.message));
        await sleep(RETRY_MS);
      }
    }
  })();
  t.after(() => viewer.stop());
  return viewer;
}
