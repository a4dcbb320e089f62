// Where things are. `make e2e` sets the environment; run by hand, the usual places are tried.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export const BINARY = process.env.RUSHLANE ?? `${ROOT}target/debug/rushlane`;
/** The load test's program is built beside the server. */
export const LOAD = process.env.RUSHLANE_LOAD ?? BINARY.replace(/rushlane$/, "rushlane-load");
export const PYTHON = process.env.RUSHLANE_PYTHON ?? `${ROOT}tests/.venv/bin/python`;
export const CHROMIUM = process.env.RUSHLANE_CHROMIUM ?? "/usr/bin/chromium";
export const CLIP = `${ROOT}tests/media/demo.flv`;
export const OUT = `${ROOT}tests/out`;

/** Viewers in the tests of drain and upgrade; `make drill` sets as many as an edge has in a sale. */
export const CROWD = Number(process.env.RUSHLANE_CROWD ?? 12);

/** Seconds for which NATS is away in the middle of a show: longer than the test's leases; `make nats-drill` sets an hour. */
export const NATS_AWAY_SECONDS = Number(process.env.RUSHLANE_NATS_AWAY ?? 10);

/** Runs with a fault and without one that the load test's verdict is tried on; `make verdicts` sets 20. */
export const VERDICTS = Number(process.env.RUSHLANE_VERDICTS ?? 0);

/** ffmpeg 9: enhanced RTMP, which Debian's ffmpeg 5 lacks. */
export const FFMPEG9 = process.env.RUSHLANE_FFMPEG9 ?? findFfmpeg9();

function findFfmpeg9() {
  if (!existsSync(PYTHON)) return "ffmpeg";
  const program = "import imageio_ffmpeg as f; print(f.get_ffmpeg_exe())";
  return execFileSync(PYTHON, ["-c", program], { encoding: "utf8" }).trim();
}

if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: run make e2e`);
