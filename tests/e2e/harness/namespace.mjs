// A machine of its own for some nodes: a network namespace, one cable away.

import { execFileSync } from "node:child_process";

/** Nobody has it: what is sent there is dropped at the other end of the cable, and nothing says so. */
const NOBODY = "02:00:00:00:00:99";

let count = 0;

/**
 * A namespace that goes away with the test; undefined where only root may have one. `within`: the words
 * that start a program inside; `cut()`: from now on packets are lost in both directions.
 */
export function namespace(t) {
  count += 1;
  const name = `rushlane-${process.pid}-${count}`;
  const [near, far] = [`rl${process.pid % 1e6}n${count}`, `rl${process.pid % 1e6}f${count}`];
  const subnet = `10.${200 + (process.pid % 50)}.${count}`;
  const [outside, inside] = [`${subnet}.1`, `${subnet}.2`];
  const ip = (...words) => execFileSync("ip", words, { stdio: "ignore" });
  const ipInside = (...words) => ip("-n", name, ...words);
  try {
    ip("netns", "add", name);
  } catch {
    return undefined;
  }
  t.after(() => ip("netns", "del", name));
  ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name);
  ip("addr", "add", `${outside}/30`, "dev", near);
  ipInside("addr", "add", `${inside}/30`, "dev", far);
  ip("link", "set", near, "up");
  ipInside("link", "set", far, "up");
  ipInside("link", "set", "lo", "up");
  const cut = () => {
    const lost = ["lladdr", NOBODY, "nud", "permanent"];
    ip("neigh", "replace", inside, "dev", near, ...lost);
    ipInside("neigh", "replace", outside, "dev", far, ...lost);
  };
  return { outside, inside, within: ["ip", "netns", "exec", name], cut };
}
