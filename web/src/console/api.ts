// What the console asks the desk of its node, and the token it asks with.

/** How a node stands to another; counters since the link came up. */
export interface Link {
  role: string;
  /** Of a parent: whether rooms come over this link, or it waits. */
  standing?: "active" | "warm" | "leaving";
  peer: string;
  address: string;
  rtt_us: number;
  offset_us?: number | null;
  offset_error_us?: number | null;
  lost_packets: number;
  subscriptions: number;
  sent_bytes: number;
  received_bytes: number;
}

/** Viewers of a room or node. */
export interface Audience {
  total: number;
  by_protocol: Record<string, number>;
}

/** An encoder, as `ingest` describes it. */
export interface Publisher {
  rendition: string | null;
  seat?: string;
  on_air?: boolean;
  peer: string;
  encoder: string | null;
  connected_us: number;
  stalled: boolean;
  bitrate_kbps: number;
  frames_per_second: number;
  gop_ms: number | null;
  drift_ppm: number | null;
  dropped_frames: number;
}

/** What recent frames of a track show. */
export interface Measured {
  bitrate_kbps: number;
  frame_rate: number;
  key_interval_ms: number | null;
}

/** A room in a report. */
export interface RoomGlance {
  room: string;
  epoch: string;
  since_ms: number;
  ended: boolean;
  measured: Measured | null;
  newest_frame_age_ms: number | null;
  publishers: Publisher[] | null;
  viewers: Audience;
  members: number;
}

/** One node as it tells of itself; of a node that was cut short in a large fleet, the essence. */
export interface Report {
  name: string;
  role?: string;
  version?: string;
  started_ms?: number;
  url?: string | null;
  http?: { plain: string | null; tls: string | null };
  ready?: boolean;
  reason?: string | null;
  drain?: boolean;
  /** How far load is shed, `normal` for not at all. */
  level?: string;
  conditions?: { name: string; detail: string; since_ms: number }[];
  cpu?: number;
  cores?: number;
  memory_bytes?: number;
  open_files?: number;
  viewers_bps?: number;
  children_bps?: number;
  ingress_bps?: number;
  viewers?: Audience;
  members?: number;
  rooms?: RoomGlance[];
  rooms_left_out?: number;
  parents?: Link[];
  children?: Report[];
  children_left_out?: number;
  link?: Link;
  /** It tells nothing of itself: an older version, or one without an admin port. */
  silent?: boolean;
}

/** One track of `/api/v1/rooms/ROOM`. */
export interface Track {
  name: string;
  kind: "video" | "audio" | "data";
  codec: {
    name: string;
    width?: number;
    height?: number;
    frame_rate?: number;
    sample_rate?: number;
    channels?: number;
  } | null;
  readers: number;
  groups: number;
  window_bytes: number;
  measured: Measured | null;
  newest_frame_age_ms: number | null;
  latency_ms: {
    capture_to_ingest: number | null;
    relay: { before_ms: number | null; link_ms: number | null }[];
  } | null;
}

/** `/api/v1/rooms/ROOM`. */
export interface RoomDetail {
  room: string;
  epoch: string;
  since_ms: number;
  ended: boolean;
  ingest: { stalled: boolean; publishers: Publisher[]; feed?: { age_ms: number } | null } | null;
  tracks: Track[];
  viewers: Record<string, number> | null;
  interaction: {
    online: number;
    unique: number;
    likes?: number;
    comments_per_second?: number;
    cards?: number;
  } | null;
}

/** Times of one hop, in milliseconds. */
export interface Percentiles {
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
  samples?: number;
}

/** One hop of the way of a room's frames. */
export interface Hop {
  hop: "host" | "uplink" | "origin" | "relay" | "node" | "edge" | "last_mile";
  at: string;
  what: string;
  now: Percentiles | null;
  baseline: Percentiles | null;
  excess_ms: number;
  uncertainty_ms: number | null;
  bad: boolean;
}

/** `/api/v1/rooms/ROOM/why`. */
export interface Why {
  node: string;
  window_seconds: number;
  baseline_seconds: number;
  /** All figures are medians: nobody answers with more. */
  medians?: boolean;
  verdict: {
    state: "fine" | "slow" | "silent" | "unknown";
    words: string;
    cause: string | null;
    affected_viewers: number;
  };
  hops: Hop[];
}

/** One line of `/api/v1/orders`. */
export interface Order {
  key: string;
  sku: string;
  quantity: number;
  state: string;
  reason?: string;
  at: number;
  attempts: number;
}

/** The desk wants a token, or another one. */
export class Unauthorized extends Error {}

/** The desk refused; `detail` is its own word. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

const TIMEOUT_MS = 5_000;
const TOKEN = "rushlane.admin.token";

/** Keeps the token for as long as this tab lives. */
export function remember(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

/** Forgets the token. */
export function forget(): void {
  sessionStorage.removeItem(TOKEN);
}

/** `GET path`. Throws `Unauthorized`, `Refused`, or what `fetch` throws. */
export function get<T>(path: string): Promise<T> {
  return ask<T>("GET", path);
}

/** `POST path`. Throws as `get` does. */
export function post<T>(path: string, body?: unknown): Promise<T> {
  return ask<T>("POST", path, body);
}

/** What the desk has at `path`; null where it has no such thing. */
export async function find<T>(path: string): Promise<T | null> {
  try {
    return await get<T>(path);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(path, {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status === 401) throw new Unauthorized();
  if (!response.ok) throw new Refused(response.status, await reasonOf(response));
  return (await response.json().catch(() => null)) as T;
}

async function reasonOf(response: Response): Promise<string> {
  try {
    const problem = (await response.json()) as { detail?: string };
    return problem.detail ?? response.statusText;
  } catch {
    return response.statusText;
  }
}
