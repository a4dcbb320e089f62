// The console: asks its node for the fleet every two seconds and shows one view of it.

import "../style/base.css";
import "../style/console.css";

import { byId, element, setText } from "../dom";
import { forget, get, remember, Unauthorized, type Report } from "./api";
import { FleetView, record } from "./fleet";
import { History } from "./history";
import { NodeView } from "./node";
import { RoomView } from "./room";
import type { View } from "./view";

const PERIOD_MS = 2_000;

const stage = byId("view", HTMLElement);
const pulse = byId("pulse", HTMLElement);
const history = new History();
let view: View | null = null;
let newest: Report | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;

addEventListener("hashchange", () => {
  open();
  stage.focus({ preventScroll: true });
  scrollTo(0, 0);
});
// A page that nobody looks at asks nothing.
document.addEventListener("visibilitychange", () => void refresh());
open();
void refresh();

/** Opens the view that the address names. */
function open(): void {
  view?.close?.();
  const [kind, name = ""] = location.hash.replace(/^#\//, "").split("/").map(decoded);
  if (kind === "rooms" && name) view = new RoomView(name, history);
  else if (kind === "nodes" && name) view = new NodeView(name);
  else view = new FleetView(history);
  document.title = `${view.title} · Rushlane console`;
  if (newest === null) return;
  stage.replaceChildren(view.node);
  void show(newest);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function refresh(): Promise<void> {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  const goesOn = await look();
  asking = false;
  if (goesOn) timer = setTimeout(() => void refresh(), PERIOD_MS);
}

/** One look at the fleet; false when a token is wanted first. */
async function look(): Promise<boolean> {
  try {
    const root = await get<Report>("/api/v1/fleet");
    record(history, Date.now() / 1000, root);
    newest = root;
    if (view && !view.node.isConnected) stage.replaceChildren(view.node);
    if (await show(root)) say("live", root.name);
  } catch (error) {
    if (error instanceof Unauthorized) {
      say("waiting", "token wanted");
      stage.replaceChildren(login());
      return false;
    }
    say("lost", "no answer, trying again");
  }
  return true;
}

async function show(root: Report): Promise<boolean> {
  try {
    await view?.show(root);
    return true;
  } catch (error) {
    if (error instanceof Unauthorized) throw error;
    // The next look comes soon; what is shown stays.
    say("lost", "no answer, trying again");
    return false;
  }
}

function say(state: "live" | "lost" | "waiting", words: string): void {
  pulse.dataset.state = state;
  document.body.classList.toggle("stale", state === "lost");
  setText(pulse, words);
}

/** Asks for the admin token. */
function login(): HTMLElement {
  const field = element("input", {
    id: "token",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });
  const form = element("form", { class: "login" });
  form.append(
    element("h1", {}, "Admin token"),
    element("p", {}, "This desk asks for admin.token of its configuration, or a signed admin token."),
    element("label", { for: "token" }, "Token"),
    field,
    element("button", { class: "act" }, "Open"),
  );
  forget();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    remember(field.value);
    void refresh();
  });
  return form;
}
