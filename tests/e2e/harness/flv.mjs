// Reads HTTP-FLV from a raw socket, as far as tests must know it.

import { open } from "./stranger.mjs";

/**
 * Watches `path`; `times` grows by the timestamp of each video frame, in milliseconds, `arrivals` by when it
 * came.
 */
export function watch(t, address, path) {
  const [times, arrivals] = [[], []];
  let buffer = Buffer.alloc(0);
  let headed = false;
  const onData = (bytes) => {
    buffer = Buffer.concat([buffer, bytes]);
    if (!headed) {
      const end = buffer.indexOf("\r\n\r\n");
      // The response head, then the FLV header and the first "previous tag size".
      if (end < 0 || buffer.length < end + 4 + 13) return;
      buffer = buffer.subarray(end + 4 + 13);
      headed = true;
    }
    for (;;) {
      const length = buffer.length < 11 ? Infinity : 11 + buffer.readUIntBE(1, 3) + 4;
      if (buffer.length < length) return;
      // A video tag that is no sequence header.
      if (buffer[0] === 9 && buffer[12] === 1) {
        times.push(buffer.readUIntBE(4, 3) + buffer[7] * 2 ** 24);
        arrivals.push(performance.now());
      }
      buffer = buffer.subarray(length);
    }
  };
  const socket = open(t, address, { onData });
  socket.write(`GET ${path} HTTP/1.1\r\nhost: viewer\r\n\r\n`);
  return { socket, times, arrivals };
}
