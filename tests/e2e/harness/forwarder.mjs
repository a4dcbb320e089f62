// Networks to inject faults into: a UDP path with a delay and losses, a TCP path with a rate, an HTTP path that
// spoils answers.

import { once } from "node:events";
import { createSocket } from "node:dgram";
import { request as ask, createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";

const SLICE_MS = 20;

/** Splits `HOST:PORT`. */
function endpoint(address) {
  const [host, port] = address.split(":");
  return { host, port: Number(port) };
}

/** Forwards datagrams to `target`; in both directions `path.delayMs` is added and the share `path.lost` lost. */
export async function udpPath(t, target) {
  const { host, port } = endpoint(target);
  const path = { delayMs: 0, lost: 0, address: "" };
  const inside = createSocket("udp4");
  const outside = new Map();
  const later = (send) => {
    if (Math.random() < path.lost) return;
    if (path.delayMs > 0) setTimeout(send, path.delayMs);
    else send();
  };
  inside.on("message", (bytes, from) => {
    const key = `${from.address}:${from.port}`;
    let socket = outside.get(key);
    if (!socket) {
      socket = createSocket("udp4");
      socket.on("message", (answer) => {
        later(() => inside.send(answer, from.port, from.address, () => {}));
      });
      outside.set(key, socket);
    }
    later(() => socket.send(bytes, port, host, () => {}));
  });
  inside.bind(0, "127.0.0.1");
  await once(inside, "listening");
  path.address = `127.0.0.1:${inside.address().port}`;
  t.after(() => [inside, ...outside.values()].forEach((socket) => socket.close()));
  return path;
}

/** Forwards connections to `target`; towards it at `path.bytesPerSecond`, when that is set. */
export async function tcpPath(t, target) {
  const path = { bytesPerSecond: Infinity, address: "" };
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(endpoint(target));
    [near, far].forEach((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
    });
    far.pipe(near);
    let held = Buffer.alloc(0);
    const pass = (bytes) => {
      far.write(held.subarray(0, bytes));
      held = held.subarray(bytes);
      if (held.length > 65_536) near.pause();
      else near.resume();
    };
    near.on("data", (bytes) => {
      held = Buffer.concat([held, bytes]);
      if (path.bytesPerSecond === Infinity) pass(held.length);
      else if (held.length > 65_536) near.pause();
    });
    const timer = setInterval(() => {
      if (held.length > 0) pass(Math.min(held.length, (path.bytesPerSecond * SLICE_MS) / 1000));
    }, SLICE_MS);
    near.on("close", () => {
      clearInterval(timer);
      far.destroy();
    });
    far.on("close", () => near.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  path.address = `127.0.0.1:${server.address().port}`;
  t.after(() => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  });
  return path;
}

/** Forwards HTTP/1.1 requests to `target`, a URL; `spoil(url, body)` answers what becomes of a whole body. */
export async function httpPath(t, target, spoil) {
  const server = createHttpServer((request, answer) => {
    const { url, method, headers } = request;
    const asked = ask(new URL(url, target), { method, headers }, (found) => {
      if (!url.includes(".m4s")) {
        answer.writeHead(found.statusCode, found.headers);
        found.pipe(answer);
        return;
      }
      const pieces = [];
      found.on("data", (piece) => pieces.push(piece));
      found.on("end", () => {
        const { status, body } = spoil(url, Buffer.concat(pieces));
        answer.writeHead(status ?? found.statusCode, { ...found.headers, "content-length": body.length });
        answer.end(body);
      });
    });
    asked.on("error", () => answer.destroy());
    answer.on("close", () => asked.destroy());
    request.pipe(asked);
  });
  server.on("upgrade", ({ url, rawHeaders }, near, head) => {
    const { hostname, port } = new URL(target);
    const far = connect(port, hostname);
    const fields = rawHeaders.map((text, index) => (index % 2 ? `${text}\r\n` : `${text}: `)).join("");
    far.write(`GET ${url} HTTP/1.1\r\n${fields}\r\n`);
    far.write(head);
    near.pipe(far).pipe(near);
    [near, far].forEach((socket) => socket.on("error", () => [near, far].forEach((one) => one.destroy())));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Stops `child` for `stopMs` of each second, until the function that this answers is called. */
export function stutter(child, stopMs) {
  let timer;
  const stop = () => {
    child.kill("SIGSTOP");
    timer = setTimeout(go, stopMs);
  };
  const go = () => {
    child.kill("SIGCONT");
    timer = setTimeout(stop, 1000 - stopMs);
  };
  stop();
  return () => {
    clearTimeout(timer);
    child.kill("SIGCONT");
  };
}
