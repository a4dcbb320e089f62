// Starts real nodes on free ports and tells where they listen.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Process } from "./process.mjs";
import { BINARY } from "./settings.mjs";
import { Hopeless, until } from "./wait.mjs";

const ANY = "127.0.0.1:0";
const START_SECONDS = 20;

/** A folder that goes away with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "rushlane-e2e-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The words of a `rushlane dev` on free ports. `host`: with the demo host in room `demo`. */
export function devArguments({ host = false, set = {} } = {}) {
  const listeners = ["http.listen", "http.tls_listen", "rtmp.listen", "rtmp.tls_listen"];
  const settings = Object.fromEntries(
    [...listeners, "relay.listen", "admin.listen"].map((key) => [key, ANY]),
  );
  // What this machine is busy with is not the tests' matter.
  settings["shed.enabled"] = false;
  const args = ["--log-format", "json", "dev"];
  if (!host) args.push("--no-host");
  for (const [key, value] of Object.entries({ ...settings, ...set })) {
    args.push("--set", `${key}=${value}`);
  }
  return args;
}

/**
 * `rushlane dev`: the URLs that it printed, by label. `shell`: a command that a shell runs before it
 * becomes the node. `spawn`: options of the process.
 */
export async function dev(t, { shell = "", spawn, ...options } = {}) {
  const words = [BINARY, ...devArguments(options)];
  if (shell) words.unshift("sh", "-c", `${shell} && exec "$0" "$@"`);
  const process = new Process(t, words[0], words.slice(1), spawn);
  await until("dev prints its URLs", () => ended(process) || labels(process).metrics, {
    seconds: START_SECONDS,
  });
  return { process, urls: labels(process) };
}

/** An origin of its own. */
export function origin(t, fleet, options = {}) {
  return start(t, "origin", fleet, merged({
    rtmp: { listen: ANY, tls_listen: ANY },
    relay: { listen: ANY },
    // One certificate serves RTMPS too, whether or not the origin serves viewers.
    http: { listen: ANY, tls_listen: "off", ...fleet.http },
    ledger: { path: join(fleet.folder, `ledger-${fleet.count()}.redb`) },
  }, options));
}

/** An edge below `parents`, which may be edges. */
export function edge(t, fleet, parents, options = {}) {
  const addresses = parents.map((parent) => parent.address("relay.listen"));
  return start(t, "edge", fleet, merged({
    relay: { listen: ANY, parents: addresses, server_name: "localhost" },
    http: { listen: ANY, tls_listen: ANY, ...fleet.http },
  }, options));
}

/** `node`, which has ended, once more: the same settings at the same addresses. */
export function again(t, { role, fleet, sections, address }) {
  const taken = (section, [key, value]) => [key, value === ANY ? address(`${section}.${key}`) : value];
  const fixed = Object.entries(sections).map(([section, keys]) => {
    return [section, Object.fromEntries(Object.entries(keys).map((entry) => taken(section, entry)))];
  });
  return start(t, role, fleet, Object.fromEntries(fixed));
}

/** `sections` with the keys of `more` in them. */
function merged(sections, more) {
  const all = { ...sections };
  for (const [name, keys] of Object.entries(more)) all[name] = { ...all[name], ...keys };
  return all;
}

async function start(t, role, fleet, sections) {
  const node = { name: `${role}-${fleet.count()}` };
  // What this machine is busy with is not the tests' matter.
  const shed = { enabled: false };
  const all = merged({ node, admin: { listen: ANY }, relay: fleet.relay, shed }, sections);
  const file = join(fleet.folder, `${all.node.name}.toml`);
  writeFileSync(file, toml(all));
  const [program, ...words] = [...(fleet.within ?? []), BINARY, "--log-format", "json", role, "-c", file];
  const process = new Process(t, program, words);
  await until(`${role} starts`, () => ended(process) || event(process, "started"), {
    seconds: START_SECONDS,
  });
  const address = (key) => listening(process, key);
  const http = `http://${address("http.listen")}`;
  const admin = `http://${address("admin.listen")}`;
  return { role, fleet, sections: all, process, file, name: all.node.name, address, http, admin };
}

/**
 * The certificates that the nodes of one test share, made by openssl and not by us. With `within`, the words
 * that start a program on another machine, nodes start there.
 */
export function fleet(t) {
  const path = folder(t);
  const at = (name) => join(path, name);
  const openssl = (...args) => execFileSync("openssl", args, { stdio: "ignore", cwd: path });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA");
  openssl("req", ...key.slice(0, -2), "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node");
  writeFileSync(at("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  openssl(
    ...["x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key"],
    ...["-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "node.pem"],
  );
  let nodes = 0;
  return {
    folder: path,
    count: () => (nodes += 1),
    relay: { ca: at("ca.pem"), certificate: at("node.pem"), key: at("node.key") },
    http: { certificate: at("node.pem"), key: at("node.key") },
  };
}

/** Fails a start early and with the reason. */
function ended(process) {
  if (!process.alive) throw new Hopeless(`${process.name} ended:\n${process.tail()}`);
  return false;
}

/** The `label  URL` lines of stdout. */
function labels(process) {
  return Object.fromEntries(process.stdout.map((line) => line.trim().split(/\s+/, 2)));
}

/** The fields of the first log event with this message. */
export function event(process, message, matches = () => true) {
  for (const line of process.stderr) {
    if (!line.startsWith("{")) continue;
    const fields = JSON.parse(line);
    if (fields.message === message && matches(fields)) return fields;
  }
  return undefined;
}

function listening(process, key) {
  const found = event(process, "listening", (fields) => fields.key === key);
  if (!found) throw new Error(`${process.name} does not listen on ${key}:\n${process.tail()}`);
  return found.address;
}

function toml(sections) {
  const pairs = (keys) => Object.entries(keys).map(([key, value]) => `${key} = ${literal(value)}`);
  const table = ([name, keys]) => `[${name}]\n${pairs(keys).join("\n")}\n`;
  const literal = (value) => {
    if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
    return value instanceof Object ? `{ ${pairs(value).join(", ")} }` : JSON.stringify(value);
  };
  return Object.entries(sections).map(table).join("\n");
}
