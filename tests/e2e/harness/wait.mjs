// Waiting for conditions, with a bound.

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** An error that no waiting will mend. */
export class Hopeless extends Error {}

/**
 * Calls `probe` until it answers something other than undefined, null or false, and answers that.
 * An error counts as "not yet" and is told when time is over, unless it is `Hopeless`.
 */
export async function until(what, probe, { seconds = 15, everyMs = 100 } = {}) {
  const deadline = performance.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last !== undefined && last !== null && last !== false) return last;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${seconds} s (last: ${last})`, { cause: last });
    }
    await sleep(everyMs);
  }
}
