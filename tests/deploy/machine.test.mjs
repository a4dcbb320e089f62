// What a machine gets, put on a copy of this one: by hand, by package, and by Ansible.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";

import { BINARY, DEPLOY, folder, must, noMachine, onMachine, ROOT, run, VENV } from "./harness.mjs";

/** An authority, and certificates of nodes that are dialled as localhost. */
function certificates(t, ...names) {
  const path = folder(t);
  const script = join(DEPLOY, "relay-ca.sh");
  must(script, ["init", join(path, "ca")]);
  for (const name of names) must(script, ["issue", join(path, "ca"), name, "localhost", "127.0.0.1"]);
  return join(path, "ca");
}

test("the relay's certificates chain to their authority and serve both ways", (t) => {
  const ca = certificates(t, "edge-1");
  for (const purpose of ["sslserver", "sslclient"]) {
    const words = ["verify", "-purpose", purpose, "-CAfile", join(ca, "relay-ca.pem")];
    must("openssl", [...words, join(ca, "edge-1.pem")]);
  }
  const names = must("openssl", ["x509", "-in", join(ca, "edge-1.pem"), "-noout", "-ext", "subjectAltName"]);
  assert.match(names, /DNS:localhost, IP Address:127\.0\.0\.1/);
});

test("a dry run of install.sh says what it would do and does nothing", (t) => {
  const root = folder(t);
  const words = ["--role", "origin", "--binary", BINARY, "--root", root, "--dry-run"];
  const said = must(join(DEPLOY, "install.sh"), words);
  assert.match(said, /write \/usr\/local\/bin\/rushlane/);
  assert.equal(must("find", [root, "-type", "f"]), "");
});

test("install.sh says what is wrong with its words", () => {
  const script = join(DEPLOY, "install.sh");
  for (const [words, reason] of [
    [[], /--role is origin or edge/],
    [["--role", "edge", "--binary", BINARY, "--dry-run"], /an edge wants --parents/],
    [["--role", "origin", "--binary", "/nowhere"], /there is no \/nowhere/],
    [["--role", "edge", "--binary", BINARY, "--parents", "a:1|b"], /--parents is/],
    [["--rolle"], /what is '--rolle'/],
  ]) {
    const { code, stderr } = run(script, words);
    assert.equal(code, 2, stderr);
    assert.match(stderr, reason);
  }
});

test("install.sh puts an edge on a machine, once", { skip: noMachine }, (t) => {
  const ca = certificates(t, "edge-7");
  const said = onMachine(t, `
    mkdir -p /etc/rushlane
    for i in 1 2; do
      deploy/install.sh --role edge --name edge-7 --parents a.example:4430,b.example:4430 \\
        --binary ${BINARY} --firewall
      if [ $i = 1 ]; then
        cp "$CA/relay-ca.pem" /etc/rushlane/; cp "$CA/edge-7.pem" /etc/rushlane/node.pem
        cp "$CA/edge-7.key" /etc/rushlane/node.key
        cp "$CA/edge-7.pem" /etc/rushlane/cdn.pem; cp "$CA/edge-7.key" /etc/rushlane/cdn.key
        chgrp rushlane /etc/rushlane/*; chmod 640 /etc/rushlane/*
      fi
    done
    echo === check
    setpriv --reuid rushlane --regid rushlane --clear-groups \\
      rushlane check --role edge -c /etc/rushlane/edge.toml
    echo === facts
    grep -E '^(name|parents)' /etc/rushlane/edge.toml
    stat -c '%U:%G %a' /etc/rushlane/edge.toml /usr/local/bin/rushlane
    tail -1 /etc/nftables.conf
    getent passwd rushlane
  `.replaceAll("$CA", ca), { shared: [ca] });
  assert.match(said, /\n[1-9]\d* changes\n/);
  assert.match(said, /\n0 changes\n/, "the second run changes nothing");
  assert.match(said, /=== check\n.*fine for an edge/);
  assert.match(said, /name = "edge-7"/);
  assert.match(said, /parents = \["a\.example:4430", "b\.example:4430"\]/);
  assert.match(said, /root:rushlane 640\nroot:root 755/);
  assert.match(said, /include "\/etc\/nftables\.d\/\*\.nft"/);
  assert.match(said, /rushlane:x:\d+:\d+:.*nologin/);
});

test("the package installs, serves its user, and leaves his data", { skip: noMachine }, (t) => {
  const deb = join(folder(t), "rushlane.deb");
  must(join(ROOT, "scripts/deb.sh"), [BINARY, deb], { env: { DEB_COMPRESSION: "none" } });
  const said = onMachine(t, `
    mkdir -p /etc/rushlane /var/lib/rushlane && echo secret > /etc/rushlane/node.key
    dpkg --install --force-depends ${deb} >/dev/null
    echo "key: $(stat -c '%U:%G %a' /etc/rushlane/node.key)"
    echo "path: $(command -v rushlane)"
    rushlane --version
    systemd-analyze verify /usr/lib/systemd/system/rushlane-*.service && echo verified
    ls /usr/share/rushlane/nftables /usr/share/doc/rushlane/examples
    dpkg --purge rushlane >/dev/null
    test ! -e /usr/bin/rushlane && cat /etc/rushlane/node.key
  `, { shared: [dirname(deb)] });
  assert.match(said, /key: root:rushlane 640/);
  assert.match(said, /path: \/usr\/bin\/rushlane/);
  assert.match(said, /rushlane \d+\.\d+\.\d+/);
  assert.match(said, /verified/);
  assert.match(said, /rushlane-edge\.nft[^]*edge\.toml[^]*secret/);
});

test("Ansible's play is well-formed", () => {
  const words = ["--syntax-check", "-i", "inventory.example.yml", "fleet.yml"];
  must(join(VENV, "ansible-playbook"), words, { cwd: join(DEPLOY, "ansible") });
});

test("Ansible puts an origin and an edge on machines, once", { skip: noMachine }, async (t) => {
  const ca = certificates(t, "top", "rim");
  const deb = join(ca, "rushlane.deb");
  must(join(ROOT, "scripts/deb.sh"), [BINARY, deb], { env: { DEB_COMPRESSION: "none" } });
  const local = "ansible_connection=local ansible_python_interpreter=/usr/bin/python3";
  mkdirSync(join(ca, "home"));
  writeFileSync(join(ca, "hosts"), `[origins]\ntop ${local}\n[edges]\nrim ${local}\n`);
  writeFileSync(join(ca, "vars.json"), JSON.stringify({
    rushlane_package: deb,
    rushlane_certificates: ca,
    rushlane_parents: ["localhost:4430"],
    rushlane_operators: ["192.0.2.1"],
    rushlane_config: "[live]\nwindow_seconds = 45\n",
  }));
  const play = (limit, more = "") =>
    `ANSIBLE_HOME=${ca}/home ${VENV}/ansible-playbook -i ${ca}/hosts -e @${ca}/vars.json \\
      --limit ${limit} ${more} fleet.yml`;
  for (const [host, role] of [["top", "origin"], ["rim", "edge"]]) {
    const said = onMachine(t, `
      cd deploy/ansible
      ${play(host, "--check")} > /tmp/dry 2>&1 || { cat /tmp/dry; exit 1; }
      test ! -e /usr/bin/rushlane
      ${play(host)} > /tmp/first 2>&1 || { cat /tmp/first; exit 1; }
      ${play(host)} > /tmp/second 2>&1 || { cat /tmp/second; exit 1; }
      tail -2 /tmp/first; tail -2 /tmp/second
      rushlane check --role ${role} -c /etc/rushlane/${role}.toml
      cat /etc/nftables.d/51-rushlane-sets.nft /etc/rushlane/${role}.toml
    `, { shared: [ca] });
    const [first, second] = [...said.matchAll(/changed=(\d+) .*failed=0/g)].map(([, n]) => Number(n));
    assert.ok(first > 5, said);
    assert.equal(second, 0, `the second run changes nothing: ${said}`);
    assert.match(said, new RegExp(`fine for an ${role}`));
    assert.match(said, /operators4 \{ 192\.0\.2\.1 \}[^]*window_seconds = 45/);
  }
});
