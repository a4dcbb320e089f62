// A disk that is soon full.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of this size that goes away with the test; undefined where only root may have one. */
export function smallDisk(t, size) {
  const path = mkdtempSync(join(tmpdir(), "rushlane-disk-"));
  let mounted = false;
  t.after(() => {
    if (mounted) execFileSync("umount", ["--lazy", path]);
    rmSync(path, { recursive: true, force: true });
  });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path], { stdio: "ignore" });
    mounted = true;
  } catch {
    return undefined;
  }
  return path;
}
