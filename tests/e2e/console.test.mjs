// The operator's console in a real browser, over a fleet of real nodes.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { request } from "node:http";
import test from "node:test";

import { browser } from "./harness/browser.mjs";
import { network } from "./harness/network.mjs";
import { edge, fleet, origin } from "./harness/node.mjs";
import { OUT } from "./harness/settings.mjs";
import { until } from "./harness/wait.mjs";

const VIEWERS = 24;

test("the console of an origin", { timeout: 180_000 }, async (t) => {
  const { top, near, far, publish } = await network(t);
  const host = await publish("kitchen");
  await publish("garage");
  watch(t, near, "kitchen", VIEWERS);
  watch(t, far, "kitchen", VIEWERS / 2);
  watch(t, far, "garage", 3);
  const screen = await browser(t, { viewport: { width: 1280, height: 900 }, colorScheme: "dark" });
  const page = await screen.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (said) => said.type() === "error" && faults.push(said.text()));
  mkdirSync(OUT, { recursive: true });

  await t.test("shows the tree with what each node serves", async () => {
    await page.goto(`${top.admin}/`, { waitUntil: "domcontentloaded" });
    assert.match(page.url(), /\/console$/);
    const rows = page.locator(".tree > li");
    await until("four nodes", async () => (await rows.count()) === 4);
    await until("all viewers", async () => {
      return (await page.locator(".tiles dd").first().textContent()) === String(VIEWERS * 1.5 + 3);
    });
    const names = await page.locator(".tree .name a").allTextContents();
    assert.equal(names[0], top.name);
    assert.deepEqual(names.slice(2).toSorted(), [near.name, far.name].toSorted());
    const depths = await rows.evaluateAll((all) => all.map((row) => row.style.getPropertyValue("--depth")));
    assert.deepEqual(depths, ["0", "1", "2", "2"]);
    await page.getByText("All 4 nodes are well.").waitFor();
    await page.getByRole("img", { name: /Viewers: now 39/ }).waitFor();
  });

  await t.test("looks again by itself, and not while nobody looks", async () => {
    const asked = () => page.waitForRequest("**/api/v1/fleet", { timeout: 5_000 });
    await asked();
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await assert.rejects(page.waitForRequest("**/api/v1/fleet", { timeout: 3_500 }));
    await page.evaluate(() => {
      delete document.hidden;
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await asked();
  });

  await t.test("leads to a room and its way through the fleet", async () => {
    await page.getByRole("link", { name: "kitchen", exact: true }).click();
    await page.getByRole("heading", { name: "kitchen" }).waitFor();
    await page.getByRole("heading", { name: "Way of a frame" }).waitFor();
    await until("hops", async () => (await page.locator(".hops > li").count()) > 0);
    await page.getByRole("table", { name: "Tracks" }).getByText("1280×720").waitFor();
    await page.getByRole("table", { name: "Publishers" }).getByText(/on air/).waitFor();
    const places = page.getByRole("table", { name: "Where it is watched" });
    assert.equal(await places.locator("tbody tr").first().locator("td").nth(1).textContent(), String(VIEWERS));
    await page.screenshot({ path: `${OUT}/console-room.png`, fullPage: true });
  });

  await t.test("leads to a node and its links by keyboard", async () => {
    await page.getByRole("link", { name: near.name }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: near.name }).waitFor();
    await page.getByRole("table", { name: "Links" }).getByText(/active/).waitFor();
    assert.equal(await page.getByRole("button", { name: "Drain" }).isVisible(), false);
  });

  await t.test("a word of a node is text, whatever it says", async () => {
    await page.route("**/api/v1/fleet", async (route) => {
      const answer = await route.fetch();
      const root = await answer.json();
      root.children[0].name = "<img src=x onerror=alert(1)>";
      await route.fulfill({ json: root });
    });
    await page.goto(`${top.admin}/console`, { waitUntil: "domcontentloaded" });
    await page.getByRole("link", { name: "<img src=x onerror=alert(1)>" }).waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    await page.unroute("**/api/v1/fleet");
  });

  await t.test("asks before it sheds, and does it", async () => {
    await page.goto(`${top.admin}/console#/nodes/${top.name}`, { waitUntil: "domcontentloaded" });
    await page.getByRole("button", { name: "Shed load" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Step").selectOption("stretch_likes");
    await dialog.getByRole("button", { name: "Set" }).click();
    await page.getByText("is held at stretch likes").waitFor();
    await page.locator(".conditions").getByText(/stretch_likes/).waitFor({ timeout: 8_000 });
  });

  await t.test("asks before it cuts, and does it", async () => {
    await page.goto(`${top.admin}/console#/rooms/kitchen`, { waitUntil: "domcontentloaded" });
    const cut = page.getByRole("button", { name: "Cut the room" });
    await cut.click();
    await page.getByRole("dialog").getByText(/cannot be resumed/).waitFor();
    await page.keyboard.press("Escape");
    assert.equal((await fetch(`${near.http}/live/kitchen/index.m3u8`)).status, 200);
    await cut.click();
    await page.getByRole("dialog").getByLabel("Its host").selectOption("300");
    await page.getByRole("dialog").getByRole("button", { name: "Cut", exact: true }).click();
    await page.getByText("kitchen is cut.").waitFor();
    await until("the room is gone from the edge", async () => {
      return (await fetch(`${near.http}/live/kitchen/index.m3u8`)).status !== 200;
    });
    await host.stop();
  });

  await t.test("says that the node does not answer, and comes back", async () => {
    await page.route("**/api/v1/**", (route) => route.abort());
    await page.getByText("no answer, trying again").waitFor({ timeout: 8_000 });
    await page.unroute("**/api/v1/**");
    await page.locator(".pulse[data-state=live]").waitFor({ timeout: 8_000 });
  });

  await t.test("fits a phone", async (t) => {
    const phone = await browser(t, {
      viewport: { width: 390, height: 844 },
      isMobile: true,
      hasTouch: true,
      deviceScaleFactor: 2,
    });
    const small = await phone.newPage();
    for (const view of ["", "#/rooms/garage", `#/nodes/${far.name}`]) {
      await small.goto(`${top.admin}/console${view}`, { waitUntil: "domcontentloaded" });
      await small.locator("main > div").waitFor();
      await small.locator(".pulse[data-state=live]").waitFor();
      assert.equal(await small.evaluate(() => document.documentElement.scrollWidth), 390, view);
    }
  });

  const ours = faults.filter((fault) => !/ERR_FAILED|404/.test(fault));
  assert.deepEqual(ours, [], "the page says nothing in the browser's log");
});

test("the desk is for its operator alone", { timeout: 60_000 }, async (t) => {
  const certificates = fleet(t);
  const token = "0123456789abcdef";
  const open = await origin(t, certificates);
  const closed = await edge(t, certificates, [open], { admin: { listen: "0.0.0.0:0", token } });
  const port = closed.address("admin.listen").split(":").at(-1);
  const desk = `http://127.0.0.1:${port}`;

  await t.test("beyond loopback it asks for its token", async () => {
    assert.equal((await fetch(`${desk}/api/v1/fleet`)).status, 401);
    const page = await (await browser(t)).newPage();
    await page.goto(`${desk}/console`, { waitUntil: "domcontentloaded" });
    await page.getByLabel("Token").fill("not this one");
    await page.getByRole("button", { name: "Open" }).click();
    await page.getByText("token wanted").waitFor();
    await page.getByLabel("Token").fill(token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Tree" }).waitFor();
    assert.doesNotMatch(page.url(), /0123/);
  });

  await t.test("pages of other sites can do nothing", async () => {
    for (const headers of [
      { origin: "https://elsewhere.example" },
      { "sec-fetch-site": "cross-site" },
      { host: "rebound.example" },
    ]) {
      assert.equal(await post(`${open.admin}/api/v1/rooms/show/cut`, headers), 403);
    }
    assert.equal(await post(`${open.admin}/api/v1/rooms/show/cut`, {}), 404);
  });
});

/** Viewers who take all that comes. */
function watch(t, node, room, count) {
  const over = new AbortController();
  t.after(() => over.abort());
  for (let i = 0; i < count; i += 1) void take(`${node.http}/live/${room}.flv`, over.signal);
}

async function take(url, signal) {
  try {
    const { body } = await fetch(url, { signal });
    for await (const _ of body);
  } catch {
    // The show or the test is over.
  }
}

/** The status of a bare POST: `fetch` would not send these headers. */
function post(url, headers) {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sent.on("error", reject);
    sent.end();
  });
}
