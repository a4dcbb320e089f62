// Waiting for conditions, with a bound.

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/**
 * Calls `probe` until it answers something other than undefined, null or false, and answers that.
 * An error counts as "not yet" and is told when time is over.
 */
export async function until(what, probe, { seconds = 15, everyMs = 100 } = {}) {
  const deadline = performance.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last !== undefined && last !== null && last !== false) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${seconds} s (last: ${last})`, { cause: last });
    }
    await sleep(everyMs);
  }
}
