// Files for other people's programs, read by those programs.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import test from "node:test";

import { BINARY, DEPLOY, folder, has, must, noMachine, onMachine, ROOT, run } from "./harness.mjs";

/** The most exposure that `systemd-analyze security` may see, of 10. */
const EXPOSURE_MAX = 2.0;

test("scripts are sound", () => {
  const scripts = ["deploy/install.sh", "deploy/relay-ca.sh", "scripts/deb.sh", "scripts/setup.sh"];
  const package_ = ["postinst", "prerm", "postrm"].map((name) => `deploy/debian/${name}`);
  must("shellcheck", ["--severity=warning", ...scripts, ...package_]);
});

test("systemd understands the units, and lets them do little", { skip: noMachine }, (t) => {
  const said = onMachine(t, `
    cp ${BINARY} /usr/local/bin/rushlane
    cp deploy/systemd/*.service /etc/systemd/system/
    systemd-analyze verify /etc/systemd/system/rushlane-*.service rushlane-edge@rim.service 2>&1
    cp /etc/systemd/system/rushlane-edge@.service /etc/systemd/system/rushlane-edge@rim.service
    for unit in rushlane-origin rushlane-edge rushlane-edge@rim; do
      systemd-analyze security --offline=yes --no-pager /etc/systemd/system/$unit.service | tail -1
    done
  `);
  const levels = [...said.matchAll(/Overall exposure level for .*: ([\d.]+)/g)].map(([, n]) => Number(n));
  assert.equal(levels.length, 3, said);
  for (const level of levels) assert.ok(level <= EXPOSURE_MAX, said);
  assert.doesNotMatch(said, /Unknown|Failed|Invalid/);
});

test("kernel settings name things that the kernel has", () => {
  const lines = readFileSync(join(DEPLOY, "sysctl/60-rushlane.conf"), "utf8").split("\n");
  const settings = lines.filter((line) => /^[a-z]/.test(line));
  assert.ok(settings.length > 10);
  for (const setting of settings) {
    const [name, value] = setting.split("=").map((part) => part.trim());
    assert.ok(existsSync(`/proc/sys/${name.replaceAll(".", "/")}`), `${name} is not there`);
    assert.ok(value, setting);
  }
});

for (const role of ["origin", "edge"]) {
  test(`nftables takes the table of an ${role}, twice`, { skip: noNftables() }, () => {
    const table = join(DEPLOY, `nftables/rushlane-${role}.nft`);
    const twice = `nft -f ${table} && nft -f ${table} && nft list ruleset`;
    const rules = must("unshare", ["--net", "sh", "-ec", twice]);
    assert.match(rules, /policy drop/);
    assert.equal(rules.match(/table inet rushlane/g).length, 1);
  });

  test(`cloud-init takes the user data of an ${role}`, { skip: !has("cloud-init") && "no cloud-init" }, (t) => {
    const file = join(DEPLOY, `cloud-init/${role}.yaml`);
    const said = must("cloud-init", ["schema", "--config-file", file]);
    assert.match(said, /Valid/i);
    checkConfigurationOf(t, readFileSync(file, "utf8"), role);
  });
}

/** The configuration inside user data is one that a node takes, but for files that are not here. */
function checkConfigurationOf(t, userData, role) {
  const block = userData.split(`path: /etc/rushlane/${role}.toml`)[1].split("content: |\n")[1];
  const lines = block.split("\n");
  const end = lines.findIndex((line) => line !== "" && !line.startsWith("      "));
  const toml = lines.slice(0, end).map((line) => line.slice(6)).join("\n");
  const file = join(folder(t), `${role}.toml`);
  writeFileSync(file, toml.replace("@NAME@", "n").replace("@PARENTS@", '"origin:4430"'));
  const { stderr } = run(BINARY, ["check", "--role", role, "-c", file]);
  const faults = stderr.split("\n").filter((line) => line && !/No such file|cannot be read/.test(line));
  assert.deepEqual(faults, []);
}

test("Terraform makes user data of each node", { skip: !has("terraform") && "no terraform" }, (t) => {
  const path = folder(t);
  must("terraform", ["fmt", "-check", "-recursive", join(DEPLOY, "terraform")]);
  const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  const identity = { certificate: pem, key: pem };
  const main = {
    module: {
      fleet: {
        source: relative(path, join(DEPLOY, "terraform")), // an absolute one would be copied, alone
        nodes: {
          "origin-1": { role: "origin", address: "10.0.0.10" },
          "edge-1": { role: "edge", address: "10.0.0.21" },
        },
        certificates: { "origin-1": identity, "edge-1": identity },
        relay_ca: pem,
        http_certificate: pem,
        http_key: pem,
        package_url: "https://packages.example/rushlane.deb",
        package_sha256: "0".repeat(64),
        operators: ["192.0.2.1"],
      },
    },
    output: {
      user_data: { value: "${module.fleet.user_data}", sensitive: true },
      rules: { value: "${module.fleet.rules}" },
    },
  };
  writeFileSync(join(path, "main.tf.json"), JSON.stringify(main));
  const terraform = (...words) =>
    must("terraform", [`-chdir=${path}`, ...words], { env: { CHECKPOINT_DISABLE: "1" } });
  terraform("init", "-input=false");
  terraform("validate");
  terraform("apply", "-input=false", "-auto-approve");
  const { user_data: data, rules } = JSON.parse(terraform("output", "-json"));
  const edge = data.value["edge-1"];
  assert.match(edge, /parents = \["10\.0\.0\.10:4430"\]/);
  assert.doesNotMatch(edge, /@[A-Z0-9_]+@/);
  assert.equal(rules.value.origin.find(({ port }) => port === 4430).from[0], "10.0.0.21/32");
  for (const [name, text] of Object.entries(data.value)) {
    const file = join(path, `${name}.yaml`);
    writeFileSync(file, text);
    if (has("cloud-init")) must("cloud-init", ["schema", "--config-file", file]);
  }
});

test("the Dockerfile copies what is there", () => {
  const lines = readFileSync(join(DEPLOY, "docker/Dockerfile"), "utf8").split("\n");
  const copies = lines.filter((line) => line.startsWith("COPY ") && !line.includes("--from"));
  const sources = copies.flatMap((line) => line.split(/\s+/).slice(1, -1));
  assert.ok(sources.length > 5);
  for (const source of sources) assert.ok(existsSync(join(ROOT, source)), `${source} is not there`);
  const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
  for (const source of sources) assert.ok(!ignored.includes(`/${source}`), `${source} is left out`);
});

/** Why nftables cannot be asked; false when it can. */
function noNftables() {
  if (process.getuid() !== 0) return "needs root, for a network of its own";
  if (!has("nft")) return "no nft";
  return run("unshare", ["--net", "nft", "list", "ruleset"]).code === 0
    ? false
    : "this kernel has no nftables";
}

test("nothing here is forgotten by the package", () => {
  const script = readFileSync(join(ROOT, "scripts/deb.sh"), "utf8");
  for (const name of readdirSync(DEPLOY)) {
    if (["ansible", "terraform", "cloud-init", "docker", "install.sh"].includes(name)) continue;
    assert.ok(script.includes(name), `deploy/${name} is in no package`);
  }
});
