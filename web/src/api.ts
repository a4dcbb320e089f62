// What the pages ask the edge, besides media.

/** One track of a live room; what only its media tells is absent until the edge has seen some. */
export interface Track {
  name: string;
  kind: "video" | "audio" | "data";
  codec?: string;
  width?: number;
  height?: number;
  frame_rate?: number;
}

/** One live room. `since_ms` is Unix time in milliseconds. */
export interface Room {
  room: string;
  epoch: string;
  since_ms: number;
  viewers: number;
  tracks: Track[];
}

/** The answer of `GET /rooms`. */
export interface Rooms {
  node: string;
  rooms: Room[];
}

const TIMEOUT_MS = 5_000;

/** Lists the rooms that are live on this edge. Throws when the edge does not answer. */
export async function rooms(): Promise<Rooms> {
  const response = await fetch("/rooms", {
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`/rooms answered ${response.status}`);
  return (await response.json()) as Rooms;
}

/** What the edge knows of a room. */
export interface Presence {
  status: "live" | "ended" | "absent" | "unreachable";
  /** Tells one show of the room from the next: the playlist, whose URLs carry the epoch. */
  show: string;
  /** The edge takes nobody just now, and says what to do. */
  turn: Turn | null;
}

/** What an edge says that sheds load or drains. */
export interface Turn {
  seconds: number;
  /** In the queue; null when there is none, or it is full. */
  place: number | null;
  /** To come back with, so that the place is kept. */
  ticket: string | null;
  /** Other edges, `https://HOST:PORT`. */
  alternates: string[];
}

/** Asks the edge about one room. Never throws. */
export async function presence(room: string, edge = "", ticket = ""): Promise<Presence> {
  try {
    const response = await fetch(mediaUrl(room, "hls", edge, ticket), {
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const show = await response.text();
    return { status: statusOf(response), show, turn: response.ok ? null : turnOf(response, show) };
  } catch {
    return { status: "unreachable", show: "", turn: null };
  }
}

function turnOf({ status }: Response, body: string): Turn | null {
  if (status !== 503) return null;
  try {
    const said = JSON.parse(body) as Partial<Turn> & { retry_after_s?: number };
    if (typeof said.retry_after_s !== "number") return null;
    const { place = null, ticket = null, alternates = [] } = said;
    return { seconds: said.retry_after_s, place, ticket, alternates };
  } catch {
    return null;
  }
}

function statusOf({ ok, status }: Response): Presence["status"] {
  if (ok) return "live";
  if (status === 410) return "ended";
  return status === 404 || status === 400 ? "absent" : "unreachable";
}

/**
 * The URL of a room's stream at `edge`, `https://HOST:PORT`; this page's own unless told. `ticket`:
 * of the queue before it. The token of the page's own address goes with it.
 */
export function mediaUrl(room: string, protocol: "hls" | "flv", edge = "", ticket = ""): string {
  const name = encodeURIComponent(room);
  const path = `${edge}/live/${name}${protocol === "hls" ? "/index.m3u8" : ".flv"}`;
  const query = new URLSearchParams();
  const asked = "location" in globalThis ? location.search : ""; // the library runs without a page too
  const token = new URLSearchParams(asked).get("token");
  if (token) query.set("token", token);
  if (ticket) query.set("queue", ticket);
  return query.size ? `${path}?${query.toString()}` : path;
}

/**
 * "1280×720 · 30 fps · H.264" for the best video track. Null without video; empty when the edge has
 * seen none of it yet, because nobody watches.
 */
export function pictureOf(tracks: Track[]): string | null {
  const video = tracks
    .filter((track) => track.kind === "video")
    .toSorted((a, b) => (b.height ?? 0) - (a.height ?? 0))[0];
  if (!video) return null;
  const { width, height, frame_rate: rate, codec } = video;
  const facts = [];
  if (width && height) facts.push(`${width}×${height}`);
  if (rate) facts.push(`${Math.round(rate)} fps`);
  if (codec) facts.push(codecName(codec));
  return facts.join(" · ");
}

function codecName(codec: string): string {
  const names: Record<string, string> = { avc1: "H.264", hvc1: "HEVC", av01: "AV1" };
  return names[codec.slice(0, 4)] ?? codec;
}
