// A real NATS server with JetStream.

import { connect, createServer } from "node:net";
import { join } from "node:path";

import { folder } from "./node.mjs";
import { Process } from "./process.mjs";
import { until } from "./wait.mjs";

function freePort() {
  const server = createServer();
  return new Promise((done) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

const answers = (port) => new Promise((done) => {
  const socket = connect(port, "127.0.0.1");
  socket.once("data", () => done(true)).once("error", () => done(false));
  socket.once("close", () => done(false));
  setTimeout(() => socket.destroy(), 500);
});

/** A server; `again()` starts it anew with what it has stored. */
export async function nats(t, { port, store } = {}) {
  const at = { port: port ?? await freePort(), store: store ?? join(folder(t), "jetstream") };
  const words = ["-a", "127.0.0.1", "-p", String(at.port), "-js", "-sd", at.store];
  const server = new Process(t, "nats-server", words);
  await until("NATS answers", () => answers(at.port));
  return { url: `nats://127.0.0.1:${at.port}`, process: server, again: () => nats(t, at) };
}
