// One node: what it is, its links, its rooms; and what can be done to the one that is asked.

import { element, setText } from "../dom";
import { command, type Question } from "./actions";
import { post, type Link, type Report, type RoomGlance } from "./api";
import { Conditions, healthOf, shares } from "./fleet";
import { bytes, count, milliseconds, percent, plural, rate, span } from "./format";
import { Facts, Table, Tiles } from "./parts";
import { conditions, nodes } from "./tree";
import type { View } from "./view";

const SHED_SECONDS = 600;
/** The steps in their order; without one, the budgets decide. */
const STEPS: [string, string][] = [
  ["as the budgets say", ""],
  ["0: nothing, whatever the load", "normal"],
  ["1: likes are told less often", "stretch_likes"],
  ["2: comments are sampled", "sample_comments"],
  ["3: newcomers go without the top rung", "drop_top_rung"],
  ["4: newcomers get plain HLS", "plain_hls"],
  ["5: newcomers wait in a queue", "join_queue"],
  ["6: newcomers go to another edge", "redirect"],
];

/** One node. */
export class NodeView implements View {
  readonly title: string;
  readonly node = element("div", { class: "one" });
  readonly #badge = element("span", { class: "badge" });
  readonly #state = element("p", { class: "soft" });
  readonly #gone = element("p", { class: "none" }, "No report of this node.");
  readonly #conditions = new Conditions();
  readonly #tiles = new Tiles(["Viewers", "To viewers", "To children", "CPU", "Memory"]);
  readonly #links = new Table<Link>("Links", LINK_COLUMNS, ({ role, peer }) => `${role} ${peer}`, "None.");
  readonly #rooms = new Table<RoomGlance>("Rooms", ROOM_COLUMNS, ({ room }) => room, "None.");
  readonly #facts = new Facts("Identity");
  readonly #commands: HTMLElement;
  readonly #elsewhere = element("p", { class: "soft" });

  constructor(private readonly name: string) {
    this.title = name;
    this.#commands = element(
      "div",
      { class: "commands" },
      command("Drain", () => this.#drainQuestion(), () => this.#drain()),
      command("Shed load", () => this.#shedQuestion(), (step) => this.#shed(step)),
    );
    this.node.append(
      element(
        "header",
        { class: "heading" },
        element("a", { href: "#/", class: "back" }, "Fleet"),
        element("h1", {}, name),
        this.#badge,
        this.#commands,
        this.#state,
      ),
      this.#gone,
      this.#conditions.node,
      this.#tiles.node,
      this.#links.node,
      this.#rooms.node,
      this.#facts.node,
      this.#elsewhere,
    );
  }

  show(root: Report): void {
    const found = nodes(root).find(({ name }) => name === this.name);
    this.#gone.hidden = found !== undefined;
    this.#commands.hidden = found !== root;
    if (!found) return;
    const [health, words] = healthOf(found);
    this.#badge.dataset.health = health;
    setText(this.#badge, found.role ?? "node");
    const uptime = found.started_ms ? `, up for ${span(Date.now() - found.started_ms)}` : "";
    setText(this.#state, `${words}${uptime}`);
    this.#conditions.show(conditions({ ...found, children: [] }), 1);
    const { viewers, cores = 1 } = found;
    this.#tiles.set("Viewers", count(viewers?.total ?? 0), shares(viewers?.by_protocol ?? {}));
    this.#tiles.set("To viewers", rate(found.viewers_bps ?? 0));
    this.#tiles.set("To children", rate(found.children_bps ?? 0), `in ${rate(found.ingress_bps ?? 0)}`);
    this.#tiles.set("CPU", percent((found.cpu ?? 0) / cores), `of ${plural(cores, "core")}`);
    this.#tiles.set("Memory", bytes(found.memory_bytes ?? 0), `${count(found.open_files ?? 0)} files`);
    const down = (found.children ?? []).flatMap((child) => (child.link ? [child.link] : []));
    this.#links.show([...(found.parents ?? []), ...down]);
    this.#rooms.show(found.rooms ?? []);
    this.#facts.show([
      ["Version", found.version],
      ["Desk", found.url],
      ["HTTP", found.http?.plain],
      ["HTTPS", found.http?.tls],
      ["Rooms left out", found.rooms_left_out ? count(found.rooms_left_out) : null],
    ]);
    const away = found !== root && found.url ? `Its own desk, for commands: ${found.url}/console` : "";
    setText(this.#elsewhere, away);
  }

  #drainQuestion(): Question {
    return {
      title: `Drain ${this.name}?`,
      words:
        "It takes no new viewers, hands those it has to other nodes, and ends. Start it again by " +
        "its service manager.",
      act: "Drain",
    };
  }

  async #drain(): Promise<string> {
    await post("/api/v1/drain", {});
    return `${this.name} drains.`;
  }

  #shedQuestion(): Question {
    return {
      title: `Shed load on ${this.name}?`,
      words: `For ${span(SHED_SECONDS * 1000)}. Each step includes those before it; orders are never shed.`,
      act: "Set",
      choice: { label: "Step", entries: STEPS },
    };
  }

  async #shed(step: string): Promise<string> {
    await post("/api/v1/shed", { level: step || null, seconds: SHED_SECONDS });
    return step ? `${this.name} is held at ${step.replaceAll("_", " ")}.` : "The budgets decide again.";
  }
}

const LINK_COLUMNS = [
  { title: "To", text: ({ role, standing, peer }: Link) => `${peer} (${standing ?? role})` },
  { title: "Address", text: ({ address }: Link) => address },
  { title: "Round trip", figure: true, text: ({ rtt_us: us }: Link) => milliseconds(us / 1000) },
  { title: "Lost", figure: true, text: ({ lost_packets: n }: Link) => count(n) },
  {
    title: "Clock",
    figure: true,
    text: ({ offset_us: offset, offset_error_us: error }: Link) =>
      offset === null || offset === undefined
        ? "–"
        : `${milliseconds(offset / 1000)} ± ${milliseconds((error ?? 0) / 1000)}`,
  },
  { title: "Tracks", figure: true, text: ({ subscriptions: n }: Link) => count(n) },
];

const ROOM_COLUMNS = [
  {
    title: "Room",
    text: ({ room }: RoomGlance) => room,
    href: ({ room }: RoomGlance) => `#/rooms/${encodeURIComponent(room)}`,
  },
  { title: "Viewers", figure: true, text: ({ viewers }: RoomGlance) => count(viewers.total) },
  { title: "In the chat", figure: true, text: ({ members }: RoomGlance) => count(members) },
  {
    title: "Newest frame",
    figure: true,
    text: ({ newest_frame_age_ms: age }: RoomGlance) => (age === null ? "–" : `${milliseconds(age)} old`),
  },
];
