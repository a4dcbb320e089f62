// The usual way into a room: one WebSocket with JSON text frames.

import { parse, type Command } from "./envelope";
import { doorUrl, type Address, type Link, type Reports } from "./link";

/** A socket that has not opened after this long will not. */
const OPEN_MAX_MS = 8_000;

/** Both ways over one WebSocket. */
export class SocketLink implements Link {
  readonly #socket: WebSocket;
  readonly #openTimer: ReturnType<typeof setTimeout>;
  #over = false;

  constructor(
    address: Address,
    private readonly reports: Reports,
  ) {
    const url = doorUrl(address, "ws");
    url.protocol = url.protocol.replace("http", "ws");
    this.#socket = new WebSocket(url);
    this.#socket.onopen = () => clearTimeout(this.#openTimer);
    this.#socket.onclose = ({ code, reason }) => this.#end(code, reason);
    this.#socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (this.#over || typeof data !== "string") return;
      const event = parse(data);
      if (event) reports.event(event);
    };
    this.#openTimer = setTimeout(() => this.#end(1006, "no answer"), OPEN_MAX_MS);
  }

  send(command: Command): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command));
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#openTimer);
    this.#socket.close();
  }

  #end(code: number, reason: string): void {
    if (this.#over) return;
    this.close();
    this.reports.ended({ code, reason });
  }
}
