// The first view: how the whole fleet is, its tree, and its rooms.

import { element, setText } from "../dom";
import type { Report } from "./api";
import { Chart } from "./chart";
import { count, milliseconds, percent, plural, protocol, rate } from "./format";
import type { History } from "./history";
import { Keyed, type Row } from "./keyed";
import { Table, Tiles } from "./parts";
import {
  conditions,
  fleetRooms,
  places,
  totals,
  type Condition,
  type FleetRoom,
  type Place,
} from "./tree";
import type { View } from "./view";

const ALL = { viewers: "fleet viewers", egress: "fleet egress" };

/** Adds what the charts of this view draw; also while another view is open. */
export function record(history: History, time: number, root: Report): void {
  const sum = totals(root);
  history.add(ALL.viewers, time, sum.viewers);
  history.add(ALL.egress, time, sum.viewers_bps);
  for (const room of fleetRooms(root)) history.add(`room ${room.room}`, time, room.viewers.total);
}

/** The fleet. */
export class FleetView implements View {
  readonly title = "Fleet";
  readonly node = element("div", { class: "fleet" });
  readonly #tiles = new Tiles(["Viewers", "In the chat", "To viewers", "Live rooms", "Nodes ready"]);
  readonly #state = new Conditions();
  readonly #viewers = new Chart("Viewers", count);
  readonly #egress = new Chart("To viewers", rate);
  readonly #tree = new Tree();
  readonly #rooms = new Table<FleetRoom>("Rooms", ROOM_COLUMNS, ({ room }) => room, "Nobody is live.");

  constructor(private readonly history: History) {
    this.node.append(
      element("h1", { class: "unseen" }, "Fleet"),
      this.#tiles.node,
      this.#state.node,
      element("div", { class: "charts" }, this.#viewers.node, this.#egress.node),
      this.#tree.node,
      this.#rooms.node,
    );
  }

  show(root: Report): void {
    const sum = totals(root);
    this.#tiles.set("Viewers", count(sum.viewers));
    this.#tiles.set("In the chat", count(sum.members));
    this.#tiles.set("To viewers", rate(sum.viewers_bps));
    this.#tiles.set("Live rooms", count(sum.rooms));
    this.#tiles.set("Nodes ready", `${sum.ready} / ${sum.nodes}`);
    this.#state.show(conditions(root), sum.nodes);
    this.#viewers.show(this.history.get(ALL.viewers));
    this.#egress.show(this.history.get(ALL.egress));
    this.#tree.show(places(root));
    this.#rooms.show(fleetRooms(root));
  }

  close(): void {
    this.#viewers.close();
    this.#egress.close();
  }
}

const ROOM_COLUMNS = [
  {
    title: "Room",
    text: ({ room }: FleetRoom) => room,
    href: ({ room }: FleetRoom) => `#/rooms/${encodeURIComponent(room)}`,
  },
  { title: "Viewers", figure: true, text: ({ viewers }: FleetRoom) => count(viewers.total) },
  { title: "By", text: ({ viewers }: FleetRoom) => shares(viewers.by_protocol) },
  { title: "In the chat", figure: true, text: ({ members }: FleetRoom) => count(members) },
  {
    title: "Picture",
    figure: true,
    text: ({ glance: { measured } }: FleetRoom) =>
      measured ? `${rate(measured.bitrate_kbps * 1000)}, ${Math.round(measured.frame_rate)} fps` : "–",
  },
  {
    title: "Nodes",
    figure: true,
    text: ({ nodes }: FleetRoom) => count(nodes.length),
  },
];

/** "LL-HLS 120, HTTP-FLV 30". */
export function shares(byProtocol: Record<string, number>): string {
  const some = Object.entries(byProtocol).filter(([, viewers]) => viewers > 0);
  some.sort(([, a], [, b]) => b - a);
  return some.map(([name, viewers]) => `${protocol(name)} ${count(viewers)}`).join(", ") || "–";
}

/** What needs a look, or that nothing does. */
export class Conditions {
  readonly #list = element("ul");
  readonly #well = element("p", { class: "well" });
  readonly node = element(
    "section",
    { class: "conditions", "aria-label": "Conditions", "aria-live": "polite" },
    this.#well,
    this.#list,
  );
  readonly #rows = new Keyed<Condition>(
    this.#list,
    ({ node, words }) => `${node} ${words}`,
    ({ severity, node, words }) => ({
      node: element(
        "li",
        { class: severity },
        element("a", { href: `#/nodes/${encodeURIComponent(node)}` }, node),
        ` ${words}`,
      ),
      update: () => {},
    }),
  );

  show(found: Condition[], nodes: number): void {
    this.#rows.show(found);
    this.#well.hidden = found.length > 0;
    setText(this.#well, nodes === 1 ? "The node is well." : `All ${plural(nodes, "node")} are well.`);
  }
}

/** The tree of nodes, a row each. */
class Tree {
  readonly #list = element("ul", { class: "tree" });
  readonly node = element(
    "section",
    { class: "block" },
    element("h2", {}, "Tree"),
    element("div", { class: "tree-head", "aria-hidden": "true" }, ...TREE_HEAD.map(head)),
    this.#list,
  );
  readonly #rows = new Keyed<Place>(
    this.#list,
    ({ report, parent }) => `${parent ?? ""} > ${report.name}`,
    treeRow,
  );

  show(all: Place[]): void {
    this.#rows.show(all);
  }
}

const TREE_HEAD = ["Node", "Viewers", "To viewers", "To children", "CPU", "Link up"];

function head(title: string): HTMLElement {
  return element("span", {}, title);
}

function treeRow({ report }: Place): Row<Place> {
  const light = element("i", { class: "light" });
  const state = element("span", { class: "unseen" });
  const role = element("span", { class: "role" });
  const link = element("a", { href: `#/nodes/${encodeURIComponent(report.name)}` }, report.name);
  const bar = element("i", { class: "bar" });
  const cpu = element("span");
  const cells = TREE_HEAD.slice(1).map((title) => element("span", { "data-title": title }));
  const [viewers, out, down, load, up] = cells;
  load?.append(cpu, bar);
  const name = element("span", { class: "name" }, light, state, link, role);
  const node = element("li", {}, name, ...cells);
  return {
    node,
    update({ report: now, depth, again }) {
      const [health, words] = healthOf(now);
      node.dataset.health = again ? "reserve" : health;
      node.classList.toggle("root", depth === 0);
      node.style.setProperty("--depth", String(depth));
      setText(state, words);
      light.title = words;
      setText(role, again ?? (now.drain ? "draining" : (now.role ?? "")));
      const figures: [HTMLElement | undefined, string][] = [
        [viewers, now.viewers ? count(now.viewers.total) : "–"],
        [out, now.viewers_bps ? rate(now.viewers_bps) : "–"],
        [down, now.children_bps ? rate(now.children_bps) : "–"],
        [up, now.link ? linkWords(now.link.rtt_us) : "–"],
        [cpu, now.cpu === undefined ? "–" : percent(now.cpu / (now.cores ?? 1))],
      ];
      for (const [cell, text] of figures) if (cell) setText(cell, again && cell !== up ? "" : text);
      for (const cell of cells) cell.classList.toggle("nil", ["", "–"].includes(cell.textContent));
      const share = Math.min(1, (now.cpu ?? 0) / (now.cores ?? 1));
      bar.style.setProperty("--share", String(share));
      bar.hidden = again !== null || now.cpu === undefined;
    },
  };
}

/** How a node is, for the eye and in words. */
export function healthOf(node: Report): [health: string, words: string] {
  if (node.silent) return ["unknown", "tells nothing"];
  if (node.drain) return ["notice", "draining"];
  if (!node.ready) return ["fault", `not ready: ${node.reason ?? ""}`];
  if (sheds(node)) return ["notice", `sheds load: ${node.level?.replaceAll("_", " ")}`];
  return ["well", "ready"];
}

function sheds({ level }: Report): boolean {
  return level !== undefined && level !== "normal";
}

function linkWords(rttUs: number): string {
  return milliseconds(rttUs / 1000);
}
