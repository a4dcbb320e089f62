// A network with rooms: an origin, a relay below it, and two edges below the relay.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { push } from "./encoder.mjs";
import { renditions } from "./hls.mjs";
import { edge, fleet, origin } from "./node.mjs";
import { BINARY } from "./settings.mjs";

/** `options`: sections of `origin`, of `edges`; `relay: false`: the edges are the origin's own. */
export async function network(t, options = {}) {
  const certificates = fleet(t);
  const at = (name) => join(certificates.folder, name);
  const keyFile = at("k1.key");
  writeFileSync(keyFile, `k1:${randomBytes(24).toString("hex")}\n`);
  const auth = { keys: [{ file: keyFile }] };
  const top = await origin(t, certificates, { auth, ...options.origin });
  const parent = options.relay === false ? top : await edge(t, certificates, [top], { auth });
  const below = (more = {}) => edge(t, certificates, [parent], { auth, ...options.edges, ...more });
  const [near, far] = await Promise.all([below(), below()]);

  /** What `rushlane token` prints. */
  const token = (scope, room, { role = "viewer", sub = "" } = {}) => {
    const words = ["--room", room, "--ttl", "1h", "--role", role, "--key-file", keyFile];
    if (sub) words.push("--sub", sub);
    return execFileSync(BINARY, ["token", scope, ...words], { encoding: "utf8" }).split("\n")[0];
  };
  /** A host goes live in `room`; resolves when all edges show it. */
  const publish = async (room) => {
    const host = push(t, `rtmp://${top.address("rtmp.listen")}/live/${room}`);
    await Promise.all([near, far].map((node) => renditions(node.http, room)));
    return host;
  };
  return { certificates, at, top, parent, near, far, below, token, publish };
}
