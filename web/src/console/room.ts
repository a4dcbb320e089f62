// One room: its way through the fleet, who watches, who publishes, what is sold, and the cut.

import { element, setText } from "../dom";
import { find, post, type Order, type Publisher, type Report, type RoomDetail, type Track, type Why } from "./api";
import { command, type Question } from "./actions";
import { Chart } from "./chart";
import { shares } from "./fleet";
import { bytes, count, milliseconds, plural, rate, span } from "./format";
import type { History } from "./history";
import { Facts, Table, Tiles } from "./parts";
import { fleetRooms, type FleetRoom } from "./tree";
import type { View } from "./view";
import { mediansOf, Waterfall } from "./waterfall";

const ORDERS_MAX = 12;
const BLOCKS: [string, string][] = [
  ["let it publish again", "0"],
  ["keep it closed for 5 minutes", "300"],
  ["keep it closed for 1 hour", "3600"],
  ["keep it closed for 24 hours", "86400"],
];

/** One room. */
export class RoomView implements View {
  readonly title: string;
  readonly node = element("div", { class: "room" });
  readonly #badge = element("span", { class: "badge" });
  readonly #since = element("p", { class: "soft" });
  readonly #gone = element("p", { class: "none" }, "This room is not live on this fleet.");
  readonly #tiles = new Tiles(["Viewers", "In the chat", "Picture", "Frames", "Likes"]);
  readonly #waterfall = new Waterfall();
  readonly #chart = new Chart("Viewers", count);
  readonly #publishers: Table<Publisher>;
  readonly #tracks = new Table<Track>("Tracks", TRACK_COLUMNS, ({ name }) => name, "None.");
  readonly #places = new Table<FleetRoom["nodes"][number]>(
    "Where it is watched",
    PLACE_COLUMNS,
    ({ name }) => name,
    "Nowhere.",
  );
  readonly #orders = new Table<Order>("Orders", ORDER_COLUMNS, ({ key }) => key, "None so far.");
  readonly #facts = new Facts("Identity");
  readonly #path: string;

  constructor(
    private readonly room: string,
    private readonly history: History,
  ) {
    this.title = room;
    this.#path = `/api/v1/rooms/${encodeURIComponent(room)}`;
    this.#publishers = new Table("Publishers", PUBLISHER_COLUMNS, ({ peer }) => peer, "None here.");
    const cut = command("Cut the room", () => this.#question(), (block) => this.#cut(block));
    this.node.append(
      element(
        "header",
        { class: "heading" },
        element("a", { href: "#/", class: "back" }, "Fleet"),
        element("h1", {}, room),
        this.#badge,
        cut,
        this.#since,
      ),
      this.#gone,
      this.#tiles.node,
      this.#waterfall.node,
      element("div", { class: "charts" }, this.#chart.node),
      this.#publishers.node,
      this.#tracks.node,
      this.#places.node,
      this.#orders.node,
      this.#facts.node,
    );
  }

  async show(root: Report): Promise<void> {
    const over = fleetRooms(root).find(({ room }) => room === this.room);
    const [detail, why, orders] = await Promise.all([
      find<RoomDetail>(this.#path),
      find<Why>(`${this.#path}/why`),
      find<{ orders: Order[] }>(
        `/api/v1/orders?room=${encodeURIComponent(this.room)}&max=${ORDERS_MAX}`,
      ),
    ]);
    this.#gone.hidden = Boolean(over ?? detail);
    setText(this.#badge, detail?.ended ? "ended" : "live");
    this.#badge.hidden = !over && !detail;
    this.#showAudience(over, detail);
    const way = why ?? (detail && mediansOf(detail, root.name));
    this.#waterfall.node.hidden = !way;
    if (way) this.#waterfall.show(way);
    const publishers = detail?.ingest?.publishers ?? over?.glance.publishers ?? [];
    this.#publishers.show(publishers);
    this.#publishers.node.hidden = !detail?.ingest && publishers.length === 0;
    this.#tracks.show(detail?.tracks ?? []);
    this.#tracks.node.hidden = !detail;
    this.#places.show(over?.nodes ?? []);
    this.#orders.show(orders?.orders ?? []);
    this.#orders.node.hidden = !orders;
    this.#facts.show([
      ["Epoch", detail?.epoch ?? over?.glance.epoch],
      ["Window", detail && bytes(detail.tracks.reduce((sum, track) => sum + track.window_bytes, 0))],
      ["Fed by", detail?.ingest?.feed ? "another origin; the encoders here stand by" : null],
    ]);
  }

  close(): void {
    this.#chart.close();
  }

  #showAudience(over: FleetRoom | undefined, detail: RoomDetail | null): void {
    const measured = over?.glance.measured ?? null;
    const since = over?.glance.since_ms ?? detail?.since_ms;
    setText(this.#since, since ? `for ${span(Date.now() - since)}` : "");
    const viewers = over?.viewers ?? { total: 0, by_protocol: {} };
    this.#tiles.set("Viewers", count(viewers.total), shares(viewers.by_protocol));
    const chat = detail?.interaction;
    const unique = chat ? `${count(chat.unique)} since the start` : "";
    this.#tiles.set("In the chat", count(chat?.online ?? over?.members ?? 0), unique);
    const video = detail?.tracks.find(({ kind }) => kind === "video")?.codec;
    const size = video?.height ? `${video.width}×${video.height}, ${video.name}` : "";
    this.#tiles.set("Picture", measured ? rate(measured.bitrate_kbps * 1000) : "–", size);
    const key = measured?.key_interval_ms;
    const interval = key ? `a key frame each ${milliseconds(key)}` : "";
    this.#tiles.set("Frames", measured ? `${measured.frame_rate.toFixed(1)} fps` : "–", interval);
    const comments = chat?.comments_per_second;
    const likes = chat?.likes === undefined ? "–" : count(chat.likes);
    this.#tiles.set("Likes", likes, comments === undefined ? "" : `${comments} comments/s`);
    this.#chart.show(this.history.get(`room ${this.room}`));
  }

  #question(): Question {
    const { values } = this.history.get(`room ${this.room}`);
    const viewers = plural(values.at(-1) ?? 0, "viewer");
    return {
      title: `Cut ${this.room}?`,
      words: `The show ends at once for its ${viewers}, on every node, and cannot be resumed.`,
      act: "Cut",
      choice: { label: "Its host", entries: BLOCKS },
    };
  }

  async #cut(block: string): Promise<string> {
    await post(`${this.#path}/cut`, { block_seconds: Number(block) });
    return `${this.room} is cut.`;
  }
}

const PUBLISHER_COLUMNS = [
  {
    title: "Encoder",
    text: ({ encoder, peer }: Publisher) => encoder ?? peer,
  },
  {
    title: "Seat",
    text: ({ seat, on_air: onAir, rendition }: Publisher) =>
      [seat ?? "primary", onAir === false ? "standing by" : "on air", rendition].filter(Boolean).join(", "),
  },
  { title: "From", text: ({ peer }: Publisher) => peer },
  {
    title: "Sends",
    figure: true,
    text: ({ bitrate_kbps: kbps, stalled }: Publisher) => (stalled ? "silent" : rate(kbps * 1000)),
  },
  {
    title: "Frames",
    figure: true,
    text: ({ frames_per_second: fps }: Publisher) => `${fps.toFixed(1)} fps`,
  },
  {
    title: "Key interval",
    figure: true,
    text: ({ gop_ms: gop }: Publisher) => (gop === null ? "–" : milliseconds(gop)),
  },
  { title: "Left out", figure: true, text: ({ dropped_frames: n }: Publisher) => count(n) },
];

const TRACK_COLUMNS = [
  { title: "Track", text: ({ name }: Track) => name },
  { title: "Codec", text: ({ codec }: Track) => codec?.name ?? "–" },
  {
    title: "Format",
    text: ({ codec }: Track) => {
      if (codec?.height) return `${codec.width}×${codec.height}`;
      return codec?.sample_rate ? `${codec.sample_rate / 1000} kHz, ${codec.channels} ch` : "–";
    },
  },
  {
    title: "Bitrate",
    figure: true,
    text: ({ measured }: Track) => (measured ? rate(measured.bitrate_kbps * 1000) : "–"),
  },
  { title: "Readers", figure: true, text: ({ readers }: Track) => count(readers) },
  { title: "Window", figure: true, text: ({ window_bytes: size }: Track) => bytes(size) },
  {
    title: "Newest frame",
    figure: true,
    text: ({ newest_frame_age_ms: age }: Track) => (age === null ? "–" : `${milliseconds(age)} old`),
  },
];

type NodeShare = FleetRoom["nodes"][number];
const PLACE_COLUMNS = [
  {
    title: "Node",
    text: ({ name }: NodeShare) => name,
    href: ({ name }: NodeShare) => `#/nodes/${encodeURIComponent(name)}`,
  },
  { title: "Viewers", figure: true, text: ({ viewers }: NodeShare) => count(viewers.total) },
  { title: "By", text: ({ viewers }: NodeShare) => shares(viewers.by_protocol) },
];

const ORDER_COLUMNS = [
  { title: "When", text: ({ at }: Order) => `${span(Date.now() - at)} ago` },
  { title: "What", text: ({ sku, quantity }: Order) => `${quantity} × ${sku}` },
  { title: "State", text: ({ state, reason }: Order) => (reason ? `${state}: ${reason}` : state) },
  { title: "Tries", figure: true, text: ({ attempts }: Order) => count(attempts) },
  { title: "Key", text: ({ key }: Order) => key },
];
