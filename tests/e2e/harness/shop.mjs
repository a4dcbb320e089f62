// What a sale needs besides nodes: a merchant, the operator's word, and people in rooms.

import { createServer } from "node:http";

import { until } from "./wait.mjs";

/** A merchant that answers what `decide(order)` says. `book` holds the keys, once each. */
export async function merchant(t, decide = () => ({ state: "confirmed" })) {
  const book = new Map();
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    const order = JSON.parse(text);
    book.set(order.key, order);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(decide(order)));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}/orders`, book };
}

/** The operator shows something in `room`, as soon as the room is open; answers the event. */
export function show(admin, room, event) {
  return command(`${admin}/api/v1/rooms/${room}/events`, event);
}

/** The operator moderates in `room`. */
export function moderate(admin, room, what) {
  return command(`${admin}/api/v1/rooms/${room}/moderation`, what);
}

function command(url, body) {
  return until(`${url} takes ${JSON.stringify(body)}`, async () => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${text}`);
    return JSON.parse(text);
  });
}

/** Waits until the page takes part in its room. */
export function inRoom(page) {
  return until("the page is in the room", () =>
    page.evaluate(() => window.__rushlane.stats().interaction === "open"),
  );
}

/** Says something on a player page, as a viewer does. */
export async function say(page, words) {
  await page.locator(".composer input").fill(words);
  await page.locator(".send").click();
}

/** Waits for a comment with these words, and answers its line. */
export async function hears(page, words, { seconds = 10 } = {}) {
  const line = page.locator(".comments li", { hasText: words }).first();
  await line.waitFor({ timeout: seconds * 1000 });
  return line;
}
