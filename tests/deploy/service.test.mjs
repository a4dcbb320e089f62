// The units on a machine that runs systemd, with a show that goes through their sandboxes.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";

import { BINARY, boot, DEPLOY, folder, must, noMachine, ROOT } from "./harness.mjs";

const EDGE = `
[node]
name = "rim"
grace_seconds = 2
[relay]
parents = ["localhost:4430"]
listen = "off"
ca = "/etc/rushlane/relay-ca.pem"
certificate = "/etc/rushlane/node.pem"
key = "/etc/rushlane/node.key"
[http]
listen = "127.0.0.1:8080"
[admin]
listen = "127.0.0.1:9091"
`;
const ORIGIN = `
[ledger]
path = "/var/lib/rushlane/ledger.redb"
[node]
name = "top"
grace_seconds = 2
[relay]
ca = "/etc/rushlane/relay-ca.pem"
certificate = "/etc/rushlane/node.pem"
key = "/etc/rushlane/node.key"
[http]
listen = "off"
`;

test("the package's units serve a show from inside their sandboxes", { skip: noMachine, timeout: 180_000 }, async (t) => {
  const ca = join(folder(t), "ca");
  must(join(DEPLOY, "relay-ca.sh"), ["init", ca]);
  must(join(DEPLOY, "relay-ca.sh"), ["issue", ca, "node", "localhost"]);
  const deb = join(ca, "rushlane.deb");
  must(join(ROOT, "scripts/deb.sh"), [BINARY, deb], { env: { DEB_COMPRESSION: "none" } });
  const machine = await boot(t, { shared: [ca] });
  if (!machine) return t.skip("systemd does not come up in a namespace here");
  const done = (script) => {
    const { code, stdout, stderr } = machine(script);
    assert.equal(code, 0, `${script}\n${stdout}\n${stderr}\n${machine("journalctl --no-pager -n 40").stdout}`);
    return stdout.trim();
  };
  const pid = (unit) => {
    const found = done(`systemctl show --value -p MainPID ${unit}`);
    assert.match(found, /^[1-9]/, `${unit} does not run`);
    return found;
  };

  await t.test("they start, and systemd hears that they are ready", () => {
    done(`
      mkdir -p /etc/rushlane
      cp ${ca}/relay-ca.pem ${ca}/node.pem ${ca}/node.key /etc/rushlane/
      cat > /etc/rushlane/edge.toml <<'TOML'
${EDGE}
TOML
      cat > /etc/rushlane/origin.toml <<'TOML'
${ORIGIN}
TOML
      dpkg --install --force-depends ${deb}
      systemctl start rushlane-origin rushlane-edge`);
    assert.equal(done("systemctl is-active rushlane-origin rushlane-edge"), "active\nactive");
    assert.equal(done("systemctl show --value -p StatusText rushlane-edge"), "serving");
    assert.equal(done("stat -c %U:%a /var/lib/rushlane/ledger.redb"), "rushlane:600");
  });

  await t.test("they may do next to nothing", () => {
    const status = done(`cat /proc/${pid("rushlane-edge")}/status`);
    assert.match(status, /CapEff:\t0+\n/);
    assert.match(status, /NoNewPrivs:\t1\nSeccomp:\t2/);
  });

  await t.test("a show goes from the host through both to a viewer", () => {
    const clip = join(ROOT, "tests/media/demo.flv");
    const bytes = done(`
      timeout 40 ffmpeg -loglevel error -re -stream_loop -1 -i ${clip} -c copy -f flv \\
        rtmp://127.0.0.1:1935/live/show </dev/null >/dev/null 2>&1 &
      for i in $(seq 100); do
        curl -sf http://127.0.0.1:8080/live/show/index.m3u8 >/dev/null && break
        sleep 0.2
      done
      curl -s --max-time 3 http://127.0.0.1:8080/live/show.flv | head -c 100000 | wc -c`);
    assert.equal(bytes, "100000");
  });

  await t.test("a reload keeps the process", () => {
    const before = pid("rushlane-edge");
    done("systemctl reload rushlane-edge && sleep 1");
    assert.equal(pid("rushlane-edge"), before);
    assert.equal(done("systemctl is-active rushlane-edge"), "active");
  });

  await t.test("a node that dies comes back by itself", () => {
    const before = pid("rushlane-edge");
    done(`kill -KILL ${before}
      for i in $(seq 100); do
        [ "$(systemctl is-active rushlane-edge)" = active ] &&
          [ "$(systemctl show --value -p MainPID rushlane-edge)" != ${before} ] && exit 0
        sleep 0.1
      done
      exit 1`);
  });

  await t.test("another package drains them and starts the new binary", () => {
    const before = pid("rushlane-edge");
    done(`dpkg --install --force-depends ${deb}`);
    assert.notEqual(pid("rushlane-edge"), before);
    assert.equal(done("systemctl is-active rushlane-origin rushlane-edge"), "active\nactive");
  });

  await t.test("a wrong configuration is told and not tried for ever", () => {
    done(`echo nonsense >> /etc/rushlane/edge.toml
      systemctl restart rushlane-edge && exit 1
      sleep 2
      [ "$(systemctl show --value -p NRestarts rushlane-edge)" -le 1 ]
      journalctl --no-pager -u rushlane-edge -n 20 | grep -q edge.toml`);
  });

  await t.test("a stop drains and ends well", () => {
    done("systemctl stop rushlane-origin");
    assert.equal(done("systemctl show --value -p Result rushlane-origin"), "success");
  });
});
