// The page of one room: reads the address, plays, and shows what is true about it.

import "./style/base.css";
import "./style/watch.css";
import "./style/room.css";

import { pictureOf, rooms, type Room } from "./api";
import { byId, setText } from "./dom";
import { takePart } from "./part";
import type { Basis, Protocol } from "./player/engine";
import { Player, type State } from "./player/player";
import type { ConnectionState, Options, Playhead, Room as Interaction } from "./sdk";
import { Meter, type Counts } from "./stats";
import { counted, fillPage, text } from "./text";
import { addControls } from "./view/controls";
import { Panel, protocolName } from "./view/panel";
import { Veil } from "./view/veil";

/** What `window.__rushlane.stats()` answers; seconds, milliseconds and bits per second as named. */
export interface Stats extends Counts {
  room: string;
  protocol: Protocol;
  engine: string | null;
  state: State["name"];
  node: string | null;
  latency_s: number | null;
  latency_basis: Basis | null;
  /** Distance from the playlist's live edge as hls.js sees it. */
  edge_distance_s: number | null;
  buffer_s: number;
  bitrate_bps: number | null;
  width: number;
  height: number;
  position_s: number;
  playback_rate: number;
  muted: boolean;
  /** How the viewer stands to the room's comments and orders. */
  interaction: ConnectionState["name"];
  fallbacks: { from: Protocol; to: Protocol; detail: string }[];
}

declare global {
  interface Window {
    __rushlane: { stats(): Stats; playhead(): Playhead | null; room: Interaction };
  }
}

const REFRESH_MS = 1_000;
const ROOMS_REFRESH_MS = 5_000;
const NOTICE_MS = 8_000;

fillPage();
const room = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const video = byId("video", HTMLVideoElement);
const meter = new Meter(video);
const veil = new Veil(room);
const panel = new Panel(choose);
const fallbacks: Stats["fallbacks"] = [];
let node: string | null = null;

video.muted = true; // browsers start only silent pictures by themselves
const player = new Player(video, room, protocolAsked(), {
  stateChanged(state) {
    if (state.name === "loading") meter.restart();
    veil.show(state, player);
  },
  protocolChanged(protocol) {
    panel.mark(protocol);
    rememberProtocol(protocol);
  },
  fellBack(from, to, detail) {
    fallbacks.push({ from, to, detail });
    notify(text("switched", { from: protocolName(from), to: protocolName(to) }));
  },
});
addControls(video, player);
const interaction = takePart(member(), player);
window.__rushlane = { stats, playhead: () => player.playhead(), room: interaction };

document.title = `${room} · Rushlane`;
setText(byId("title", HTMLElement), room);
video.addEventListener("resize", fitPicture);
setInterval(() => panel.refresh(stats()), REFRESH_MS);
void describeRoom();
void player.start();

function stats(): Stats {
  const { engine } = player;
  const delay = engine?.delay() ?? null;
  return {
    room,
    protocol: player.current,
    engine: engine?.name ?? null,
    state: player.state.name,
    node,
    latency_s: delay?.seconds ?? null,
    latency_basis: delay?.basis ?? null,
    edge_distance_s: engine?.edgeDistance() ?? null,
    buffer_s: meter.buffer(),
    bitrate_bps: engine?.bitrate() ?? null,
    width: video.videoWidth,
    height: video.videoHeight,
    position_s: video.currentTime,
    playback_rate: video.playbackRate,
    muted: video.muted,
    interaction: interaction.state.name,
    fallbacks,
    ...meter.counts(),
  };
}

/** Who takes part, by the address: a token, or a name in an open room. */
function member(): Options {
  const asked = new URLSearchParams(location.search);
  const options: Options = { edges: [location.origin], room };
  for (const key of ["token", "user", "name"] as const) {
    const value = asked.get(key);
    if (value) options[key] = value;
  }
  return options;
}

function protocolAsked(): Protocol {
  return new URLSearchParams(location.search).get("protocol") === "flv" ? "flv" : "hls";
}

/** Puts the choice into the address, so that a reload or a shared link keeps it. */
function rememberProtocol(protocol: Protocol): void {
  if (protocol === protocolAsked()) return;
  const url = new URL(location.href);
  url.searchParams.set("protocol", protocol);
  history.replaceState(null, "", url);
}

function choose(protocol: Protocol): void {
  byId("notice", HTMLElement).hidden = true;
  player.use(protocol);
}

function notify(words: string): void {
  const notice = byId("notice", HTMLElement);
  notice.textContent = words;
  notice.hidden = false;
  setTimeout(() => (notice.hidden = true), NOTICE_MS);
}

/** A portrait show gets a portrait stage. */
function fitPicture(): void {
  const { videoWidth, videoHeight } = video;
  if (videoWidth === 0) return;
  const stage = byId("stage", HTMLElement);
  stage.style.setProperty("--ratio", String(videoWidth / videoHeight));
  document.body.classList.toggle("portrait", videoHeight > videoWidth);
}

/** Who watches since when, and the name of the edge. Silence of the edge is the player's to tell. */
async function describeRoom(): Promise<void> {
  try {
    const answer = await rooms();
    node = answer.node;
    const badge = byId("node", HTMLElement);
    setText(badge, answer.node);
    badge.hidden = false;
    const found = answer.rooms.find((entry) => entry.room === room);
    setText(byId("facts", HTMLElement), found ? factsOf(found) : "");
  } catch {
    // The player shows it when it matters to the picture.
  }
  setTimeout(() => void describeRoom(), ROOMS_REFRESH_MS);
}

function factsOf(found: Room): string {
  const since = new Date(found.since_ms).toLocaleTimeString([], { timeStyle: "short" });
  const facts = [
    counted("viewers_one", "viewers_many", found.viewers),
    pictureOf(found.tracks) ?? text("audio_only"),
    text("since", { time: since }),
  ];
  return facts.filter((fact) => fact !== "").join(" · ");
}
