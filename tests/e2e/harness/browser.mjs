// Chromium, headless, with a profile of its own.

import { chromium } from "playwright-core";

import { folder } from "./node.mjs";
import { CHROMIUM } from "./settings.mjs";
import { until } from "./wait.mjs";

const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--autoplay-policy=no-user-gesture-required",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Opens a browser; `screen` as playwright's context options take it. */
export async function browser(t, screen = {}) {
  // Before the folder goes, which its processes still write to.
  let context;
  t.after(() => context?.close());
  context = await chromium.launchPersistentContext(folder(t), {
    executablePath: CHROMIUM,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
    ...screen,
  });
  return context;
}

/** What the player says of itself. */
export const stats = (page) => page.evaluate(() => window.__rushlane.stats());

/** Opens a player page and waits for its picture; answers the first figures. */
export async function watch(page, url, { seconds = 20 } = {}) {
  await page.goto(url, { waitUntil: "domcontentloaded" });
  return playing(page, { seconds });
}

/** Waits until the page plays a picture that moves. */
export function playing(page, { seconds = 20 } = {}) {
  return until("the picture moves", async () => {
    const now = await stats(page);
    return now.state === "playing" && now.startup_ms !== null && now.position_s > 0 && now;
  }, { seconds });
}
