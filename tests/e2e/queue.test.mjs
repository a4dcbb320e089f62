// What a viewer sees of an edge that is full or goes down.

import assert from "node:assert/strict";
import test from "node:test";

import { browser, playing } from "./harness/browser.mjs";
import { dev } from "./harness/node.mjs";

const busy = (more) => ({
  status: 503,
  headers: { "retry-after": "2", "content-type": "application/problem+json" },
  body: JSON.stringify({ status: 503, retry_after_s: 2, ...more }),
});

test("an edge that is full or goes down", { timeout: 120_000 }, async (t) => {
  const { urls } = await dev(t, { host: true });
  const screen = await browser(t);

  await t.test("tells the place in its queue, and lets the viewer in by his ticket", async () => {
    const page = await screen.newPage();
    const asked = [];
    await page.route("**/live/demo/index.m3u8*", (route) => {
      const { searchParams } = new URL(route.request().url());
      asked.push(searchParams.get("queue"));
      return searchParams.has("queue") ? route.continue() : route.fulfill(busy({ place: 41, ticket: "t-41" }));
    });
    await page.goto(urls.watch, { waitUntil: "domcontentloaded" });
    await page.getByText("You are number 41 in the queue.").waitFor({ timeout: 15_000 });
    await playing(page);
    assert.ok(asked.includes("t-41"), String(asked));
    await page.close();
  });

  await t.test("names another edge, where the show goes on", async () => {
    const page = await screen.newPage();
    const { origin } = new URL(urls.watch);
    const other = origin.replace("127.0.0.1", "localhost");
    await page.route(`${origin}/live/demo/index.m3u8*`, (route) => route.fulfill(busy({ alternates: [other] })));
    await page.goto(urls.watch, { waitUntil: "domcontentloaded" });
    await playing(page);
    assert.deepEqual((await page.evaluate(() => window.__rushlane.stats())).fallbacks, []);
    await page.close();
  });
});
