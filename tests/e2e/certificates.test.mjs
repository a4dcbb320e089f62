// Certificates that change under a running node: from files, and from an authority.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import tls from "node:tls";

import { Authority } from "./harness/acme.mjs";
import { push } from "./harness/encoder.mjs";
import { watch } from "./harness/flv.mjs";
import { renditions } from "./harness/hls.mjs";
import { edge, event, fleet, folder, origin } from "./harness/node.mjs";
import { until } from "./harness/wait.mjs";

/** What a node shows to a client that asks for `servername`. */
function shown(address, servername = "localhost") {
  const [host, port] = address.split(":");
  return new Promise((done, fail) => {
    const options = { host, port: Number(port), servername, rejectUnauthorized: false };
    const socket = tls.connect(options, () => {
      done(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on("error", fail);
  });
}

const readiness = async (node) => {
  const response = await fetch(`${node.admin}/readyz`);
  return { status: response.status, text: await response.text() };
};

/** An origin that serves viewers with what `http` says of certificates. */
const serving = (t, certificates, http) =>
  origin(t, { ...certificates, http: {} }, {
    http: { listen: "127.0.0.1:0", tls_listen: "127.0.0.1:0", ...http },
    rtmp: { tls_listen: "off" },
  });

test("certificate files are read again; what is no use changes nothing", { timeout: 90_000 }, async (t) => {
  const [first, second] = [fleet(t), fleet(t)];
  const here = folder(t);
  const files = { certificate: join(here, "a.pem"), key: join(here, "a.key") };
  const put = ({ folder: from }, names = ["pem", "key"]) =>
    names.forEach((name) => copyFileSync(join(from, `node.${name}`), join(here, `a.${name}`)));
  put(first);
  const node = await serving(t, first, files);
  const serial = async () => (await shown(node.address("http.tls_listen"))).serialNumber;
  const before = await serial();

  // A certificate whose key has not arrived yet.
  put(second, ["pem"]);
  await until("the fault is shown", async () => (await readiness(node)).text.includes("certificate"), {
    seconds: 15,
  });
  assert.equal((await readiness(node)).status, 200, "the node serves on");
  assert.equal(await serial(), before);

  put(second, ["key"]);
  await until("the new certificate is shown", async () => (await serial()) !== before, { seconds: 15 });
  assert.ok(!(await readiness(node)).text.includes("certificate"));
  const metrics = await (await fetch(`${node.admin}/metrics`)).text();
  assert.match(metrics, /rushlane_net_certificate_expiry_seconds\{name="localhost"\} \d{10}/);
  assert.match(metrics, /rushlane_net_certificate_reload_failures_total 1/);
});

test("the backbone changes its authority under a show", { timeout: 120_000 }, async (t) => {
  const [old, next] = [fleet(t), fleet(t)];
  const here = folder(t);
  const files = { ca: join(here, "ca.pem"), certificate: join(here, "relay.pem"), key: join(here, "relay.key") };
  const put = (to, ...from) => writeFileSync(files[to], from.map((name) => readFileSync(name)).join(""));
  for (const name of Object.keys(files)) put(name, old.relay[name]);
  const shared = { ...old, relay: files };
  const top = await origin(t, shared);
  const near = await edge(t, shared, [top]);
  push(t, `rtmp://${top.address("rtmp.listen")}/live/show`);
  await renditions(near.http, "show");
  const viewer = watch(t, near.address("http.listen"), "/live/show.flv");
  await until("pictures", () => viewer.times.length > 10);
  const lines = (node, text) => node.process.stderr.filter((line) => line.includes(text)).length;
  const isRead = (what) => {
    const before = [top, near].map((node) => lines(node, "certificates were read again"));
    const isAgain = (node, i) => lines(node, "certificates were read again") > before[i];
    return until(`${what}: read again`, () => [top, near].every(isAgain), { seconds: 20 });
  };

  // As docs/OPERATIONS.md says: trust both, show the new one, trust it alone.
  let read = isRead("both authorities");
  put("ca", old.relay.ca, next.relay.ca);
  await read;
  read = isRead("the new certificate");
  put("key", next.relay.key);
  put("certificate", next.relay.certificate);
  await read;
  read = isRead("the new authority");
  put("ca", next.relay.ca);
  await read;
  for (const node of [top, near]) assert.ok(!(await readiness(node)).text.includes("certificate"));

  const late = await edge(t, { ...old, relay: next.relay }, [top]);
  await renditions(late.http, "show");
  const stranger = await edge(t, old, [top]);
  await until("the old certificate is refused", () => lines(stranger, "parent does not answer") > 0, { seconds: 20 });
  assert.equal((await fetch(`${stranger.http}/live/show/index.m3u8`)).status, 404);

  assert.equal(lines(near, "connected to the parent"), 1, "links that stand stay");
  const gaps = viewer.times.slice(1).map((time, i) => time - viewer.times[i]);
  assert.ok(!viewer.socket.destroyed && Math.max(...gaps) < 200, `${Math.max(...gaps)} ms`);
});

test("an authority issues a certificate over HTTP", { timeout: 90_000 }, async (t) => {
  const certificates = fleet(t);
  let node;
  const authority = await Authority.open(t, certificates, { lookUp: () => node?.http });
  const acme = {
    directory: authority.directory,
    domains: ["localhost", "cdn.test"],
    folder: join(certificates.folder, "acme"),
    ca: join(certificates.folder, "ca.pem"),
  };
  node = await serving(t, certificates, { acme });
  const address = node.address("http.tls_listen");
  await until("the authority's certificate is shown", async () => {
    const { issuer, subjectaltname } = await shown(address, "cdn.test");
    return issuer.CN === "test CA" && subjectaltname.includes("DNS:cdn.test");
  }, { seconds: 30 });
  assert.deepEqual(authority.faults, []);
  assert.equal(authority.issued, 1);
  const kept = readFileSync(join(acme.folder, "certificate.pem"), "utf8");
  assert.match(kept, /PRIVATE KEY[^]*CERTIFICATE/);

  // After a restart there is nothing to order.
  await node.process.stop();
  node = await serving(t, certificates, { acme });
  const { issuer } = await shown(node.address("http.tls_listen"));
  assert.equal(issuer.CN, "test CA");
  assert.equal(authority.issued, 1);
});

test("an authority issues a certificate over the DNS", { timeout: 90_000 }, async (t) => {
  const certificates = fleet(t);
  const at = (name) => join(certificates.folder, name);
  const records = () => (existsSync(at("dns")) ? readFileSync(at("dns"), "utf8").split("\n") : []);
  writeFileSync(at("hook"), `#!/bin/sh\necho "$1 $2" >> ${at("calls")}\necho "$2 $3" >> ${at("dns")}\n`);
  chmodSync(at("hook"), 0o755);
  const authority = await Authority.open(t, certificates, { records });
  const acme = {
    ...{ directory: authority.directory, domains: ["cdn.test"], challenge: "dns-01" },
    ...{ hook: at("hook"), folder: at("acme"), ca: at("ca.pem") },
  };
  const node = await serving(t, certificates, { acme });
  await until("it is issued", () => event(node.process, "certificate issued"), { seconds: 30 });
  const calls = readFileSync(at("calls"), "utf8").trim().split("\n");
  assert.deepEqual(calls, ["present _acme-challenge.cdn.test", "remove _acme-challenge.cdn.test"]);
  assert.deepEqual(authority.faults, []);
});

test("an authority that refuses leaves the node serving", { timeout: 90_000 }, async (t) => {
  const certificates = fleet(t);
  let node;
  const authority = await Authority.open(t, certificates, { lookUp: () => node?.http });
  authority.refuses = true;
  const acme = {
    directory: authority.directory,
    domains: ["localhost"],
    folder: join(certificates.folder, "acme"),
    ca: join(certificates.folder, "ca.pem"),
  };
  node = await serving(t, certificates, { acme });
  await until("the fault is shown", async () => (await readiness(node)).text.includes("acme"), {
    seconds: 30,
  });
  assert.equal((await readiness(node)).status, 200);
  const { issuer } = await shown(node.address("http.tls_listen"));
  assert.notEqual(issuer.CN, "test CA");
});

test("an authority that is gone leaves the certificate in force", { timeout: 90_000 }, async (t) => {
  const certificates = fleet(t);
  const here = join(certificates.folder, "acme");
  mkdirSync(here);
  // A certificate that is due: renewal is asked for, and nobody answers.
  const [chain, key] = ["pem", "key"].map((name) =>
    readFileSync(join(certificates.folder, `node.${name}`), "utf8"));
  writeFileSync(join(here, "certificate.pem"), key + chain);
  const acme = {
    directory: "https://127.0.0.1:1/directory",
    domains: ["localhost", "new.test"],
    folder: here,
    ca: join(certificates.folder, "ca.pem"),
  };
  const node = await serving(t, certificates, { acme });
  await until("the fault is shown", async () => (await readiness(node)).text.includes("acme"), {
    seconds: 30,
  });
  assert.equal((await readiness(node)).status, 200);
  const { serialNumber } = await shown(node.address("http.tls_listen"));
  assert.equal(serialNumber, new X509Certificate(chain).serialNumber, "the old one is shown");
  const metrics = await (await fetch(`${node.admin}/metrics`)).text();
  assert.match(metrics, /rushlane_net_acme_failures_total 1/);
  assert.ok(event(node.process, "no certificate"), "the log says so");
});
