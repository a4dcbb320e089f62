// Members of a room, through each of its doors.

import { X509Certificate, createHash, randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import http2 from "node:http2";

import { decode, encode } from "cbor2";
import { Receiver, Sender, WebSocket } from "ws";

import { browser } from "./browser.mjs";
import { Process } from "./process.mjs";
import { until } from "./wait.mjs";

const FOLLOWED = [0, 1];

/** What one connection has been told, and how it speaks. */
export class Member {
  /** All events, in the order in which they came. */
  events = [];
  /** Numbers of class 0 and 1 that were left out or came twice. */
  faults = [];
  #seq = {};
  #refs = 0;
  #end;

  /** `query`: what it entered with. `link`: `{send(envelope), close()}`. */
  constructor(query, link) {
    this.query = query;
    this.link = link;
    this.ended = new Promise((done) => (this.#end = done));
  }

  get hello() {
    return this.events.findLast(({ type }) => type === "hello");
  }

  /** Where it stands, as the query of the next connection. */
  get position() {
    return { epoch: this.hello.body.epoch, c0: this.#seq[0], c1: this.#seq[1] };
  }

  take(event) {
    this.events.push(event);
    if (event.type === "hello") return this.#begin(event.body);
    // The answer to its own command has the number of the event, which comes in its turn too.
    if (event.seq === undefined || event.ref) return;
    if (event.seq !== this.#seq[event.class] + 1) {
      this.faults.push(`class ${event.class}: ${event.seq} after ${this.#seq[event.class]}`);
    }
    this.#seq[event.class] = event.seq;
  }

  /** Numbers go on where the member stood, or from where the snapshot stands. */
  #begin({ resumed, seq }) {
    for (const kind of FOLLOWED) {
      this.#seq[kind] = resumed ? Number(this.#seq[kind] ?? this.query[`c${kind}`]) : seq[kind];
    }
  }

  /** The connection is over. */
  end(code, reason) {
    this.#end({ code, reason });
  }

  /** The first event that matches, among all that came and come. */
  see(what, matches, { seconds = 10 } = {}) {
    const told = `${this.query.user ?? "a member"} sees ${what}`;
    return until(told, () => this.events.find(matches), { seconds, everyMs: 10 });
  }

  /** Sends a command, answers the one event with its `ref`. */
  async ask(type, body, more = {}) {
    const ref = `r${(this.#refs += 1)}`;
    this.link.send({ v: 1, type, ref, ...more, body });
    return this.see(`the answer to ${type} ${ref}`, (event) => event.ref === ref);
  }

  say(text) {
    return this.ask("comment", { text });
  }

  close() {
    this.link.close();
  }
}

/** The address of a door. */
export function door(base, room, name, query = {}) {
  const url = new URL(`/rooms/${room}/${name}`, base);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  return url;
}

/** Enters over a WebSocket and waits for the first words. `cbor`: speaks in binary frames. */
export async function enter(t, base, room, query = {}, { cbor = false } = {}) {
  const url = door(base, room, "ws", cbor ? { format: "cbor", ...query } : query);
  const socket = new WebSocket(url.href.replace(/^http/, "ws"), { perMessageDeflate: false });
  t.after(() => socket.terminate());
  const send = (envelope) => socket.send(cbor ? encode(envelope) : JSON.stringify(envelope));
  const member = new Member(query, { send, close: () => socket.close(1000), socket });
  let failure;
  socket.on("error", (error) => (failure = error));
  socket.on("message", (data, binary) => {
    if (binary !== cbor) member.faults.push(binary ? "a binary frame" : "a text frame");
    member.take(binary ? decode(data) : JSON.parse(data));
  });
  socket.on("close", (code, reason) => {
    failure ??= new Error(`closed with ${code}: ${reason}`);
    member.end(code, reason.toString());
  });
  const told = `${room} lets ${query.user ?? "a member"} in`;
  await until(told, () => failure ?? member.hello, { everyMs: 5 });
  if (!member.hello) throw failure;
  return member;
}

/** As {@link enter}, over HTTP/2 (RFC 8441). */
export async function enterHttp2(t, base, room, query = {}) {
  const session = http2.connect(base);
  t.after(() => session.destroy());
  session.on("error", () => {});
  await until("extended CONNECT is offered", () => session.remoteSettings?.enableConnectProtocol);
  const { pathname, search, host } = door(base, room, "ws", query);
  const stream = session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "http",
    ":authority": host,
    ":path": pathname + search,
    "sec-websocket-version": "13",
  }, { endStream: false });
  const status = await new Promise((done, fail) => {
    stream.on("response", (headers) => done(headers[":status"]));
    stream.on("error", fail);
  });
  if (status !== 200) throw new Error(`extended CONNECT: ${status}`);
  const sender = new Sender(stream);
  const options = { binary: false, compress: false, fin: true, mask: true };
  const send = (envelope) => sender.send(JSON.stringify(envelope), options);
  const member = new Member(query, { send, close: () => sender.close(1000, "", true) });
  const receiver = new Receiver({ isServer: false });
  receiver.on("message", (data) => member.take(JSON.parse(data)));
  receiver.on("conclude", (code, reason) => member.end(code, reason.toString()));
  stream.pipe(receiver);
  await until(`${room} lets ${query.user} in`, () => member.hello, { everyMs: 5 });
  return member;
}

/** As {@link enter}, over WebTransport, by Chromium. */
export async function enterWebTransport(t, node, room, query = {}) {
  const { host, pathname, search } = door(node.http, room, "wt", query);
  const url = `https://${node.address("http.tls_listen")}${pathname}${search}`;
  const { raw } = new X509Certificate(readFileSync(node.sections.http.certificate));
  const hash = [...createHash("sha256").update(raw).digest()];
  const page = await (await browser(t)).newPage();
  const member = new Member(query, {
    send: (envelope) => page.evaluate((line) => window.say(line), `${JSON.stringify(envelope)}\n`),
    close: () => page.close(),
  });
  await page.exposeFunction("take", (line) => member.take(JSON.parse(line)));
  // Any page of a trustworthy origin that has no policy of its own.
  await page.goto(`http://${host}/rooms/${room}/snapshot`);
  await page.evaluate(async ([url, hash]) => {
    const value = new Uint8Array(hash);
    const certificate = { algorithm: "sha-256", value };
    const session = new WebTransport(url, { serverCertificateHashes: [certificate] });
    await session.ready;
    const { readable, writable } = await session.createBidirectionalStream();
    const writer = writable.getWriter();
    const encoder = new TextEncoder();
    window.say = (line) => writer.write(encoder.encode(line));
    // A stream is opened by its first bytes.
    await window.say("\n");
    const read = async () => {
      let text = "";
      for await (const piece of readable.pipeThrough(new TextDecoderStream())) {
        const lines = (text + piece).split("\n");
        text = lines.pop();
        for (const line of lines.filter((one) => one !== "")) await window.take(line);
      }
    };
    void read();
  }, [url, hash]);
  await until(`${room} lets ${query.user} in`, () => member.hello);
  return member;
}

/** Listens by server-sent events, as curl reads them. */
export async function listen(t, base, room, query = {}, { after } = {}) {
  const args = ["--silent", "--no-buffer"];
  if (after) args.push("--header", `last-event-id: ${after}`);
  const curl = new Process(t, "curl", [...args, door(base, room, "events", query).href]);
  const [epoch, c0, c1] = after?.split(".") ?? [];
  const listener = new Member({ ...query, epoch, c0, c1 }, { close: () => curl.stop("SIGKILL") });
  let fields = {};
  let read = 0;
  const take = () => {
    for (; read < curl.stdout.length; read += 1) {
      const line = curl.stdout[read];
      const [, name, value] = line.match(/^([a-z]+): ?(.*)$/) ?? [];
      if (name) fields[name] = value;
      if (line !== "") continue;
      if (fields.id) listener.lastId = fields.id;
      if (fields.data) listener.take(JSON.parse(fields.data));
      fields = {};
    }
  };
  const timer = setInterval(take, 10);
  t.after(() => clearInterval(timer));
  await until(`${room} is heard`, () => listener.hello);
  return listener;
}

/** A request with a body; answers `{status, headers, text, json}`. */
export async function send(url, body, headers = {}, method = "POST") {
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" || body === undefined ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const json = isJson ? JSON.parse(text) : undefined;
  return { status: response.status, headers: response.headers, text, json };
}

/** The operator puts something into the program, at the admin port of `node`. */
export async function show(node, room, type, body, more = {}) {
  const url = `${node.admin}/api/v1/rooms/${room}/events`;
  const answer = await send(url, { type, body, ...more });
  if (answer.status !== 200) throw new Error(`${type}: ${answer.status} ${answer.text}`);
  return answer.json;
}

/** The operator moderates. */
export async function moderate(node, room, body) {
  const answer = await send(`${node.admin}/api/v1/rooms/${room}/moderation`, body);
  if (answer.status !== 200) throw new Error(`${body.action}: ${answer.status} ${answer.text}`);
  return answer.json;
}

/** Waits until `room` is open at all `nodes`. */
export async function isOpen(room, ...nodes) {
  await Promise.all(nodes.map((node) => until(`${room} is open at ${node.name}`, async () => {
    return (await send(door(node.http, room, "snapshot"), undefined, {}, "GET")).status === 200;
  })));
}

/** A name that no other test has. */
export const someone = (prefix = "u") => `${prefix}-${randomBytes(4).toString("hex")}`;

/** The key of an order, as a client makes it. */
export const someKey = () => randomUUID();
