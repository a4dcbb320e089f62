// What a machine gets, put on a copy of this one: by hand, by package, and by Ansible.

import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";

import { BINARY, boot, DEPLOY, folder, must, noMachine, onMachine, ROOT, run, VENV } from "./harness.mjs";

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
  assert.match(said, /edge\.toml[^]*rushlane-edge\.nft[^]*secret/);
});

test("Ansible's play is well-formed", () => {
  const words = ["--syntax-check", "-i", "inventory.example.yml", "fleet.yml"];
  must(join(VENV, "ansible-playbook"), words, { cwd: join(DEPLOY, "ansible") });
});

test("Ansible puts a fleet on a machine, once", { skip: noMachine, timeout: 180_000 }, async (t) => {
  const ca = certificates(t, "top");
  // Both nodes are on one machine here, so they share the files of /etc/rushlane.
  for (const kind of ["pem", "key"]) copyFileSync(join(ca, `top.${kind}`), join(ca, `rim.${kind}`));
  const deb = join(ca, "rushlane.deb");
  must(join(ROOT, "scripts/deb.sh"), [BINARY, deb], { env: { DEB_COMPRESSION: "none" } });
  const local = "ansible_connection=local ansible_python_interpreter=/usr/bin/python3";
  const hosts = ["[origins]", `top ${local}`, "[edges]", `rim ${local} rushlane_admin=127.0.0.1:9091`];
  writeFileSync(join(ca, "hosts"), `${hosts.join("\n")}\n`);
  writeFileSync(join(ca, "vars.json"), JSON.stringify({
    rushlane_package: deb,
    rushlane_certificates: ca,
    rushlane_parents: ["localhost:4430"],
    rushlane_operators: ["192.0.2.1"],
    rushlane_firewall: "{{ rushlane_role == 'edge' }}",
    rushlane_config: "[live]\nwindow_seconds = 45\n",
  }));
  const machine = await boot(t, { shared: [ca] });
  if (!machine) return t.skip("systemd does not come up in a namespace here");
  const done = (script) => {
    const { code, stdout, stderr } = machine(script);
    assert.equal(code, 0, `${script}\n${stdout}\n${stderr}`);
    return stdout;
  };
  const play = (more) =>
    done(`cd ${DEPLOY}/ansible
      HOME=/root LC_ALL=C.UTF-8 ${VENV}/ansible-playbook -i ${ca}/hosts -e @${ca}/vars.json ${more} fleet.yml`);
  const changes = (said) => [...said.matchAll(/changed=(\d+) .*failed=0/g)].map(([, n]) => Number(n));

  await t.test("a dry run changes nothing", () => {
    play("--check");
    done("test ! -e /usr/bin/rushlane -a ! -e /etc/rushlane");
  });
  await t.test("both nodes become ready", () => {
    for (const count of changes(play(""))) assert.ok(count > 4, String(count));
    assert.equal(done("systemctl is-active rushlane-origin rushlane-edge"), "active\nactive\n");
    assert.match(done("cat /etc/rushlane/edge.toml"), /name = "rim"[^]*window_seconds = 45/);
    assert.match(done("nft list set inet rushlane operators4"), /192\.0\.2\.1/);
  });
  await t.test("a second run changes nothing", () => {
    assert.deepEqual(changes(play("")), [0, 0]);
  });
});
