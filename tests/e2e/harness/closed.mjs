// A fleet whose doors are closed: an origin and an edge that let nobody in without a token.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { push } from "./encoder.mjs";
import { edge, fleet, origin } from "./node.mjs";
import { BINARY } from "./settings.mjs";
import { until } from "./wait.mjs";

/** Writes a new key called `id` into `file`. */
export function newKey(file, id) {
  writeFileSync(file, `${id}:${randomBytes(24).toString("hex")}\n`);
}

/** The token of any `claims`, by the key in `file`. */
export function sign(file, claims) {
  const [kid, secret] = readFileSync(file, "utf8").trim().split(":");
  const body = Buffer.from(JSON.stringify({ kid, ...claims })).toString("base64url");
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

/**
 * The two nodes. `publish` puts a host on in room `show`. `all`: sections for both; `more`: for the
 * edge alone.
 */
export async function closed(t, { auth = {}, hooks, all = {}, more = {} } = {}) {
  const certificates = fleet(t);
  const keyFile = join(certificates.folder, "k1.key");
  newKey(keyFile, "k1");
  const keys = { mode: "token", keys: [{ file: keyFile }], ...auth };
  const shared = { ...all, auth: keys, ...(hooks && { hooks }) };
  const denied = { deny_file: join(certificates.folder, "denied.json") };
  const top = await origin(t, certificates, { ...shared, auth: { ...shared.auth, ...denied } });
  const near = await edge(t, certificates, [top], { ...shared, ...more });
  const token = (scope, room = "show", ...options) => {
    const words = ["token", scope, "--room", room, "--ttl", "1h", "--key-file", keyFile, ...options];
    return execFileSync(BINARY, words, { encoding: "utf8" }).split("\n")[0];
  };
  const ingest = `rtmp://${top.address("rtmp.listen")}/live/show`;
  const publish = async () => {
    const host = push(t, `${ingest}?token=${token("publish")}`);
    const index = new URL(`/t/${token("play")}/live/show/index.m3u8`, near.http);
    await until("the show has segments on the edge", async () => {
      const [, media] = (await (await fetch(index)).text()).match(/^([^#\n{].*)$/m) ?? [];
      const text = media && (await (await fetch(new URL(media, index))).text());
      return text && text.split("#EXTINF").length > 3;
    }, { seconds: 40 });
    return host;
  };
  const deny = async (entry) => {
    const body = JSON.stringify(entry);
    const answer = await fetch(new URL("/api/v1/deny", top.admin), { method: "POST", body });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  };
  return { top, near, token, ingest, publish, deny, keyFile };
}

/** Asks for a path of `base`, and follows nothing. */
export const get = (base, path, options) => fetch(new URL(path, base), { redirect: "manual", ...options });
