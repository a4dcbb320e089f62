// Peers that keep no rule: raw sockets that send what they like, when they like.

import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect } from "node:net";

import { sleep } from "./wait.mjs";

/** A socket to the host and port of `address` that forgives every error; it ends with test `t`. */
export function open(t, address, { onData } = {}) {
  const [host, port] = address.split(":");
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.on("error", () => {});
  if (onData) socket.on("data", onData);
  t.after(() => socket.destroy());
  return socket;
}

/** When the peer has closed: how long that took, in seconds. */
export function closed(socket) {
  const start = performance.now();
  return new Promise((done) => {
    socket.on("close", () => done((performance.now() - start) / 1000));
    socket.resume();
  });
}

/** Sends `opening`, then a byte each half second until the peer closes; answers after how long. */
export function drip(t, address, opening) {
  const socket = open(t, address);
  socket.write(opening);
  const timer = setInterval(() => socket.write("a"), 500);
  return closed(socket).finally(() => clearInterval(timer));
}

/** Sends `bytes` at once and stays until the peer closes or `seconds` are over. */
export async function throwAt(t, address, bytes, { seconds = 2 } = {}) {
  const socket = open(t, address);
  socket.write(bytes);
  await Promise.race([closed(socket), sleep(seconds * 1000)]);
  socket.destroy();
}

/** Sends `count` datagrams of noise, half of them with the looks of QUIC version 1. */
export async function throwDatagrams(address, count) {
  const [host, port] = address.split(":");
  const socket = createSocket("udp4");
  for (let i = 0; i < count; i += 1) {
    const noise = randomBytes(20 + (i % 1200));
    if (i % 2 === 0) noise.set([0xc0, 0, 0, 0, 1, 8]);
    await new Promise((done) => socket.send(noise, Number(port), host, done));
  }
  socket.close();
}

/**
 * Sends `count` GET requests for what `path()` makes over eight kept-alive connections, forty at a
 * time on each, and answers how often each status came back.
 */
export async function knock(t, address, count, path) {
  const CONNECTIONS = 8;
  const BATCH = 40;
  const statuses = {};
  const one = (share) => new Promise((done, fail) => {
    let text = "";
    let left = share;
    let awaited = 0;
    const more = () => {
      if (left === 0) return void socket.end();
      awaited = Math.min(BATCH, left);
      left -= awaited;
      const request = () => `GET ${path()} HTTP/1.1\r\nhost: stranger\r\n\r\n`;
      socket.write(Array.from({ length: awaited }, request).join(""));
    };
    const socket = open(t, address, {
      onData: (bytes) => {
        text += bytes.toString("latin1");
        const found = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)];
        for (const [, status] of found) statuses[status] = (statuses[status] ?? 0) + 1;
        // A status line may be cut in two: its beginning stays, and no line counts twice.
        text = text.slice(found.length ? found.at(-1).index + found.at(-1)[0].length : 0).slice(-11);
        awaited -= found.length;
        if (awaited === 0) more();
      },
    });
    socket.on("connect", more);
    socket.on("close", () => (left + awaited === 0 ? done() : fail(new Error("closed early"))));
  });
  await Promise.all(Array.from({ length: CONNECTIONS }, () => one(Math.ceil(count / CONNECTIONS))));
  return statuses;
}
