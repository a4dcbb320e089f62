// Runs the tools that operators use, and gives them machines to work on.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const DEPLOY = join(ROOT, "deploy");
export const BINARY = process.env.RUSHLANE ?? join(ROOT, "target/debug/rushlane");
export const VENV = join(ROOT, "tests/.venv/bin");
const TIMEOUT_MS = 150_000;
const BOOT_MS = 30_000;

/** A folder that goes away with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "rushlane-deploy-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Runs a command to its end; `code` is null when it was not there or took too long. */
export function run(command, args = [], options = {}) {
  const done = spawnSync(command, args, {
    encoding: "utf8",
    timeout: TIMEOUT_MS,
    cwd: ROOT,
    maxBuffer: 64 << 20,
    ...options,
    env: { ...process.env, ...options.env },
  });
  return { code: done.status, stdout: done.stdout ?? "", stderr: done.stderr ?? String(done.error) };
}

/** Runs a command that must succeed, and answers what it printed. */
export function must(command, args, options) {
  const { code, stdout, stderr } = run(command, args, options);
  if (code !== 0) {
    throw new Error(`${command} ${args.join(" ")}: ${code}\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
  }
  return stdout;
}

/** Whether there is a tool of this name. */
export const has = (tool) => run("sh", ["-c", `command -v ${tool}`]).code === 0;

/** Why there is no copy of this machine to work on; false when there is. */
export const noMachine = (() => {
  if (process.getuid() !== 0) return "needs root, to mount a copy of this machine";
  const probe = "mkdir l u w r && mount -t overlay overlay -olowerdir=l,upperdir=u,workdir=w r";
  const script = `d=$(mktemp -d) && mount -t tmpfs tmpfs $d && cd $d && ${probe}`;
  if (run("unshare", ["--mount", "sh", "-c", script]).code === 0) return false;
  return "this kernel mounts no overlays here";
})();

const WALL = ["--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts", "--cgroup"];

/** Makes `$OUT/root` the root of a copy of this machine; `shared` folders are this machine's own. */
const copied = (shared) => `
  set -e
  mount -t tmpfs tmpfs $OUT
  cd $OUT
  mkdir upper work root own own-work
  mount -t overlay overlay -olowerdir=/,upperdir=upper,workdir=work root
  cd root
  mount -t proc proc proc
  mount --bind -o ro proc/sys proc/sys
  mount -t tmpfs tmpfs run
  mount -t tmpfs tmpfs tmp
  # A clone below /tmp, or on another disk.
  if ! [ -e .${ROOT}Makefile ]; then
    mkdir -p .${ROOT}
    mount -t overlay overlay -olowerdir=${ROOT},upperdir=$OUT/own,workdir=$OUT/own-work .${ROOT}
  fi
  for folder in ${shared.join(" ")}; do
    mkdir -p .$folder
    mount --bind $folder .$folder
  done
  ip link set lo up`;

/**
 * Runs a shell script as root on a copy of this machine, which goes away with it: its own files,
 * processes and network.
 */
export function onMachine(t, script, { shared = [] } = {}) {
  const outside = `${copied(shared)}\nmount --rbind /dev dev\nexec chroot . sh -ec "$INSIDE"`;
  return must("unshare", [...WALL, "sh", "-c", outside], {
    env: { OUT: folder(t), INSIDE: `cd ${ROOT}\n${script}` },
  });
}

/**
 * Starts a copy of this machine, with systemd as its first process. Answers a function that runs a
 * shell script there as root; null when systemd does not come up in a namespace here.
 */
export async function boot(t, { shared = [] } = {}) {
  const devices = ["null 1 3", "zero 1 5", "full 1 7", "random 1 8", "urandom 1 9", "tty 5 0"];
  const outside = `${copied(shared)}
    mount -t tmpfs -o mode=755 tmpfs dev
    while read name major minor; do mknod -m 666 dev/$name c $major $minor; done <<DEVICES
${devices.join("\n")}
DEVICES
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    mount -t tmpfs tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    mount -t sysfs -o ro sysfs sys
    mount -t tmpfs tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    rm -f etc/systemd/system/*.wants/*
    # Not a mere chroot: units with PrivateUsers= need the root of a mount namespace.
    mkdir old
    pivot_root . old
    umount -l old
    exec chroot . env -i container=lxc PATH=$PATH /lib/systemd/systemd --unit=basic.target \
      systemd.unified_cgroup_hierarchy=0`;
  const machine = spawn("unshare", [...WALL, "sh", "-c", outside], {
    env: { ...process.env, OUT: folder(t) },
    stdio: "ignore",
  });
  t.after(() => machine.kill("SIGKILL"));
  const first = () => run("pgrep", ["-P", String(machine.pid)]).stdout.trim();
  const inside = (script) => {
    const words = ["-t", first(), "-m", "-p", "-n", "-i", "-u", "-r", "-w", "sh", "-ec", script];
    return run("nsenter", words);
  };
  for (const deadline = Date.now() + BOOT_MS; Date.now() < deadline; ) {
    if (machine.exitCode !== null) return null;
    if (inside("systemctl is-system-running").stdout.trim() === "running") return inside;
    await new Promise((done) => setTimeout(done, 200));
  }
  return null;
}

if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: make deploy-test`);
