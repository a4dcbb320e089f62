// The front page: who is live on this edge, and how to go live.

import "./style/base.css";
import "./style/front.css";

import { pictureOf, rooms, type Room } from "./api";
import { byId, element, setText } from "./dom";
import { counted, fillPage, text } from "./text";

const REFRESH_MS = 3_000;
const COPIED_MS = 1_600;
const RTMP_PORT = 1935;

fillPage();
showPublish();
void refresh();

async function refresh(): Promise<void> {
  try {
    const answer = await rooms();
    const badge = byId("node", HTMLElement);
    setText(badge, answer.node);
    badge.hidden = false;
    showRooms(answer.rooms);
  } catch {
    setText(byId("count", HTMLElement), text("edge_unreachable"));
  }
  setTimeout(() => void refresh(), REFRESH_MS);
}

const cards = new Map<string, { card: HTMLElement; facts: HTMLElement; viewers: HTMLElement }>();

/** Adds, refreshes and removes cards; one that stays is not rebuilt, so that focus stays with it. */
function showRooms(live: Room[]): void {
  const list = byId("rooms", HTMLElement);
  const names = new Set(live.map(({ room }) => room));
  for (const [name, { card }] of cards) {
    if (names.has(name)) continue;
    card.remove();
    cards.delete(name);
  }
  for (const room of live.toSorted((a, b) => b.viewers - a.viewers || (a.room < b.room ? -1 : 1))) {
    const parts = cards.get(room.room) ?? makeCard(room.room);
    setText(parts.viewers, counted("viewers_one", "viewers_many", room.viewers));
    setText(parts.facts, pictureOf(room.tracks) ?? text("audio_only"));
    if (!cards.has(room.room)) list.append(parts.card);
    cards.set(room.room, parts);
  }
  byId("empty", HTMLElement).hidden = live.length > 0;
  const count = live.length > 0 ? counted("rooms_one", "rooms_many", live.length) : "";
  setText(byId("count", HTMLElement), count);
}

function makeCard(name: string): { card: HTMLElement; facts: HTMLElement; viewers: HTMLElement } {
  const viewers = element("span", { class: "viewers" });
  const facts = element("span", { class: "facts" });
  const cover = element(
    "span",
    { class: "cover" },
    element("span", { class: "badge" }, text("live")),
    viewers,
  );
  cover.style.setProperty("--hue", String(hueOf(name)));
  const link = element(
    "a",
    { href: `/watch/${encodeURIComponent(name)}` },
    cover,
    element("span", { class: "name" }, name),
    facts,
  );
  return { card: element("li", {}, link), facts, viewers };
}

/** A colour that stays with a room's name. */
function hueOf(name: string): number {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  // Names that differ by little get colours that differ by much, from teal over blue to red: the
  // hues between are mud when they are dark.
  return (180 + ((hash * 137) % 200)) % 360;
}

function showPublish(): void {
  const server = `rtmp://${location.hostname}:${RTMP_PORT}/live`;
  byId("publish", HTMLElement).append(
    copyRow(text("server"), server),
    copyRow(text("stream_key"), "ROOM"),
    copyRow("ffmpeg", `ffmpeg -re -i show.mp4 -c copy -f flv ${server}/ROOM`),
  );
}

function copyRow(label: string, value: string): HTMLElement {
  const copy = element("button", { type: "button", "aria-label": `${text("copy")}: ${label}` });
  copy.textContent = text("copy");
  // Browsers give pages the clipboard over HTTPS or on this machine only.
  copy.hidden = !("clipboard" in navigator);
  copy.addEventListener("click", () => {
    void navigator.clipboard.writeText(value).then(() => {
      copy.textContent = text("copied");
      setTimeout(() => (copy.textContent = text("copy")), COPIED_MS);
    });
  });
  return element(
    "div",
    { class: "row" },
    element("span", { class: "label" }, label),
    element("code", {}, value),
    copy,
  );
}
