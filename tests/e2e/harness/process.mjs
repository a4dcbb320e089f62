// A child process that never outlives its test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { until } from "./wait.mjs";

const LINES_MAX = 5_000;
const GRACE_MS = 15_000;
const running = new Set();

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Process {
  stdout = [];
  stderr = [];

  /** Starts `command`; it is ended when test `t` ends, whatever became of the test. */
  constructor(t, command, args, options = {}) {
    this.name = `${command.split("/").pop()} ${args[0] ?? ""}`;
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    running.add(this.child);
    this.exited = once(this.child, "exit").then(([code, signal]) => {
      running.delete(this.child);
      return { code, signal };
    });
    for (const stream of ["stdout", "stderr"]) {
      if (!this.child[stream]) continue;
      createInterface({ input: this.child[stream] }).on("line", (line) => {
        this[stream].push(line);
        if (this[stream].length > LINES_MAX) this[stream].shift();
      });
    }
    t.after(() => this.stop());
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Sends `signal`, waits for the end, answers `{code, signal}`; kills what does not end. */
  async stop(signal = "SIGTERM") {
    if (this.alive) this.child.kill(signal);
    const killer = setTimeout(() => this.child.kill("SIGKILL"), GRACE_MS);
    const result = await this.exited;
    clearTimeout(killer);
    return result;
  }

  /** Stops it where it is (SIGSTOP), and waits until none of its threads runs any more. */
  async suspend() {
    this.child.kill("SIGSTOP");
    const tasks = `/proc/${this.child.pid}/task`;
    const stands = (id) => /\) T /.test(readFileSync(`${tasks}/${id}/stat`, "utf8"));
    await until("all threads stand", () => readdirSync(tasks).every(stands), { everyMs: 5 });
  }

  /** The last lines of both streams, for messages. */
  tail() {
    return [...this.stdout.slice(-5), ...this.stderr.slice(-15)].join("\n");
  }
}

/** Runs to the end and answers `{code, stdout, stderr}`; killed after `seconds`. */
export async function run(t, command, args, { seconds = 30, ...options } = {}) {
  const child = new Process(t, command, args, options);
  const killer = setTimeout(() => child.child.kill("SIGKILL"), seconds * 1000);
  const { code } = await child.exited;
  clearTimeout(killer);
  return { code, stdout: child.stdout.join("\n"), stderr: child.stderr.join("\n") };
}
