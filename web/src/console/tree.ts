// The fleet as the report of its root tells it, made into what the views need. Pure.

import type { Audience, Link, Report, RoomGlance } from "./api";
import { plural, span } from "./format";

/** A node at its place in the tree. */
export interface Place {
  report: Report;
  depth: number;
  parent: string | null;
  /** It stands elsewhere too, where its figures are: what this further link is for. */
  again: "in reserve" | "also here" | null;
}

/** What is not as it should be. */
export interface Condition {
  severity: "fault" | "notice";
  /** Where. */
  node: string;
  words: string;
}

/** The whole fleet in one line. */
export interface Totals {
  viewers: number;
  members: number;
  /** What goes out to viewers. */
  viewers_bps: number;
  rooms: number;
  nodes: number;
  ready: number;
}

/** A room over all nodes that serve it. */
export interface FleetRoom {
  room: string;
  glance: RoomGlance;
  viewers: Audience;
  members: number;
  /** Who serves it, those with most viewers first. */
  nodes: { name: string; viewers: Audience }[];
}

const LATE_MS = 3_000;

/** All places, parents before their children. */
export function places(root: Report): Place[] {
  const found: Place[] = [];
  const known = new Set<string>();
  const all = names(root);
  const visit = (report: Report, depth: number, parent: string | null): void => {
    const uplink = report.parents?.find((link) => link.peer === parent);
    const main = depth > 0 ? mainParent(report, all) : undefined;
    const elsewhere = known.has(report.name) || (main !== undefined && main !== parent);
    const spare = uplink?.standing === "warm";
    const again = elsewhere ? (spare ? "in reserve" : "also here") : null;
    found.push({ report, depth, parent, again });
    if (again) return;
    known.add(report.name);
    for (const child of report.children ?? []) visit(child, depth + 1, report.name);
  };
  visit(root, 0, null);
  return found;
}

function names(node: Report): Set<string> {
  const below = (node.children ?? []).flatMap((child) => [...names(child)]);
  return new Set([node.name, ...below]);
}

/** Of the parents in the tree the one that feeds the node most. */
function mainParent({ parents = [] }: Report, all: Set<string>): string | undefined {
  const weight = ({ standing, subscriptions }: Link): number =>
    subscriptions + (standing === "active" ? 0.5 : 0);
  const [main] = parents.filter(({ peer }) => all.has(peer)).toSorted((a, b) => weight(b) - weight(a));
  return main?.peer;
}

/** Each node once. */
export function nodes(root: Report): Report[] {
  return places(root)
    .filter((place) => place.again === null)
    .map((place) => place.report);
}

/** Sums over all nodes. */
export function totals(root: Report): Totals {
  const all = nodes(root);
  const sum = (of: (node: Report) => number | undefined): number =>
    all.reduce((total, node) => total + (of(node) ?? 0), 0);
  return {
    viewers: sum((node) => node.viewers?.total),
    members: sum((node) => node.members),
    viewers_bps: sum((node) => node.viewers_bps),
    rooms: fleetRooms(root).length,
    nodes: all.length,
    ready: all.filter((node) => node.ready).length,
  };
}

/** All rooms, those with most viewers first. */
export function fleetRooms(root: Report): FleetRoom[] {
  const rooms = new Map<string, FleetRoom>();
  for (const node of nodes(root)) {
    for (const glance of node.rooms ?? []) {
      const room = rooms.get(glance.room) ?? {
        room: glance.room,
        glance,
        viewers: { total: 0, by_protocol: {} },
        members: 0,
        nodes: [],
      };
      add(room.viewers, glance.viewers);
      room.members += glance.members;
      room.nodes.push({ name: node.name, viewers: glance.viewers });
      if (glance.publishers && !room.glance.publishers) room.glance = glance;
      rooms.set(glance.room, room);
    }
  }
  for (const room of rooms.values()) {
    room.nodes.sort((a, b) => b.viewers.total - a.viewers.total);
  }
  return [...rooms.values()].sort(
    (a, b) => b.viewers.total - a.viewers.total || (a.room < b.room ? -1 : 1),
  );
}

function add(to: Audience, more: Audience): void {
  to.total += more.total;
  for (const [protocol, viewers] of Object.entries(more.by_protocol)) {
    to.by_protocol[protocol] = (to.by_protocol[protocol] ?? 0) + viewers;
  }
}

/** What an operator should look at, faults first. */
export function conditions(root: Report): Condition[] {
  const found = nodes(root).flatMap(ofNode);
  return found.sort((a, b) => Number(b.severity === "fault") - Number(a.severity === "fault"));
}

function ofNode(node: Report): Condition[] {
  const found: Condition[] = [];
  const say = (severity: Condition["severity"], words: string): void => {
    found.push({ severity, node: node.name, words });
  };
  if (node.silent) say("notice", "tells nothing of itself: an older version, or without an admin port");
  else if (node.drain) say("notice", "drains: it takes no new viewers");
  else if (node.ready === false) say("fault", `is not ready: ${node.reason ?? "no reason given"}`);
  for (const { name, detail } of node.conditions ?? []) say("fault", `${name}: ${detail}`);
  for (const room of node.rooms ?? []) {
    const publishers = room.publishers ?? [];
    if (room.publishers === null || room.ended) continue;
    if (publishers.length === 0) say("fault", `room ${room.room} has lost its encoder`);
    else if (publishers.every((publisher) => publisher.stalled)) {
      say("fault", `the encoder of room ${room.room} is silent`);
    } else if ((room.newest_frame_age_ms ?? 0) > LATE_MS) {
      say("fault", `room ${room.room} is ${span(room.newest_frame_age_ms ?? 0)} late`);
    }
  }
  const hidden = node.children_left_out ?? 0;
  if (hidden > 0) say("notice", `${plural(hidden, "node")} below it did not fit into its report`);
  return found;
}
