// The way into a room where WebSockets do not get through: server-sent events down, posts up.

import { madeUp, parse, type Bodies, type Command } from "./envelope";
import { doorUrl, type Address, type Link, type Reports } from "./link";

const POST_MAX_MS = 12_000;
/** An event of a room is at most 32 KB; what is longer without an end is no event stream. */
const LINE_CHARS_MAX = 1 << 20;

/** Where each command is posted to; hosts and moderators need a socket. */
const DOORS: Partial<Record<Command["type"], string>> = {
  comment: "comments",
  like: "likes",
  order: "orders",
};

/** Reads the stream by fetch: EventSource hides the status of a refusal, and retries by itself. */
export class StreamLink implements Link {
  readonly #abort = new AbortController();

  constructor(
    private readonly address: Address,
    private readonly reports: Reports,
  ) {
    void this.#read();
  }

  send(command: Command): void {
    void this.#post(command);
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(): Promise<void> {
    const { signal } = this.#abort;
    let ending = { code: 1006, reason: "the stream ended" };
    try {
      const headers = { accept: "text/event-stream" };
      const response = await fetch(doorUrl(this.address, "events"), {
        headers,
        signal,
        cache: "no-store",
      });
      if (response.ok && response.body) await this.#readBody(response.body);
      else ending = await refusal(response);
    } catch (error) {
      ending = { code: 1006, reason: String(error) };
    }
    if (signal.aborted) return;
    this.close();
    this.reports.ended(ending);
  }

  async #readBody(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const lines = new EventLines();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#abort.signal.aborted) return;
      for (const data of lines.push(decoder.decode(value, { stream: true }))) {
        const event = parse(data);
        if (event) this.reports.event(event);
      }
    }
  }

  async #post(command: Command): Promise<void> {
    const { signal } = this.#abort;
    try {
      const event = await this.#ask(command);
      if (!signal.aborted) this.reports.event(event);
    } catch (error) {
      // The answer is lost, and whoever needs it asks again over the next link.
      if (signal.aborted) return;
      this.close();
      this.reports.ended({ code: 1006, reason: String(error) });
    }
  }

  async #ask(command: Command): Promise<ReturnType<typeof answerOf>> {
    const door = DOORS[command.type];
    if (!door)
      return failed(command, 501, "needs_socket", "This connection carries no such command.");
    const headers: Record<string, string> = { "content-type": "application/json" };
    let { body } = command;
    if (command.type === "order") {
      const { key, ...order } = body as { key: string };
      headers["idempotency-key"] = key;
      body = order;
    }
    const response = await fetch(doorUrl(this.address, door), {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      signal: AbortSignal.any([this.#abort.signal, AbortSignal.timeout(POST_MAX_MS)]),
    });
    return answerOf(command, response, await response.text());
  }
}

/** The event that a socket would have sent for this HTTP answer. */
function answerOf(
  command: Command,
  { status, headers }: Response,
  text: string,
): NonNullable<ReturnType<typeof parse>> {
  const whole = parse(text);
  if (whole) return { ...whole, ref: command.ref };
  const said = object(text);
  const seconds = Number(headers.get("retry-after"));
  const retry = seconds > 0 ? { retry_after_s: seconds } : {};
  if (command.type === "order") {
    const body: Bodies["order"] = { ...retry, ...said, status };
    return madeUp("order", { class: 0, id: command.ref, ref: command.ref, at: Date.now(), body });
  }
  if (status >= 400) {
    const detail = typeof said.detail === "string" ? said.detail : `the edge answered ${status}`;
    return failed(
      command,
      status,
      typeof said.code === "string" ? said.code : "refused",
      detail,
      retry,
    );
  }
  if (command.type === "like") {
    const body = { total: typeof said.total === "number" ? said.total : 0 };
    return madeUp("like", { class: 4, id: command.ref, ref: command.ref, at: Date.now(), body });
  }
  return madeUp("notice", {
    class: 2,
    id: command.ref,
    ref: command.ref,
    at: Date.now(),
    body: {},
  });
}

function failed(command: Command, status: number, code: string, detail: string, more = {}) {
  const body = { status, code, detail, ...more };
  return madeUp("error", { class: 0, id: command.ref, ref: command.ref, at: Date.now(), body });
}

async function refusal(
  response: Response,
): Promise<{ code: number; reason: string; retryAfterMs?: number }> {
  const { detail } = object(await response.text());
  const seconds = Number(response.headers.get("retry-after"));
  return {
    code: 4000 + response.status,
    reason: typeof detail === "string" ? detail : `the edge answered ${response.status}`,
    ...(seconds > 0 ? { retryAfterMs: seconds * 1000 } : {}),
  };
}

function object(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Cuts an event stream into the data of its events (HTML, section 9.2.6). */
export class EventLines {
  #rest = "";
  #data: string[] = [];

  /** Takes a piece of the stream, answers the data of each event that it completes. */
  push(piece: string): string[] {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LINE_CHARS_MAX) throw new Error("a line without an end");
    const found = [];
    for (const line of lines) {
      if (line.startsWith("data:")) this.#data.push(line.slice(line[5] === " " ? 6 : 5));
      if (line !== "" || this.#data.length === 0) continue;
      found.push(this.#data.join("\n"));
      this.#data = [];
    }
    return found;
  }
}
