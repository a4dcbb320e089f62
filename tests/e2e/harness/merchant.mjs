// The shop behind the orders: a web service that checks signatures and keeps a book.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SKEW_SECONDS = 60;

export class Merchant {
  secret = "the-merchant-and-the-origin-know-it";
  /** What was ordered, by key: `{order, attempts}`. */
  book = new Map();
  /** Requests that should not have been. */
  faults = [];
  /** What is answered: `{status, body}`, `"hang"` or `"drop"`. */
  decide = () => ({ status: 200, body: { state: "confirmed" } });
  #server;
  #port = 0;

  static async open(t) {
    const merchant = new Merchant();
    await merchant.open();
    t.after(() => merchant.shut());
    return merchant;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/orders`;
  }

  /** Takes orders, always at the same address. */
  async open() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error) => {
        this.faults.push(String(error));
        response.destroy();
      });
    });
    await new Promise((done) => this.#server.listen(this.#port, "127.0.0.1", done));
    this.#port = this.#server.address().port;
  }

  /** As if its machine had no power. */
  async shut() {
    if (!this.#server.listening) return;
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request, response) {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (!this.#isSigned(request.headers, body)) {
      this.faults.push(`a wrong signature: ${JSON.stringify(request.headers)}`);
      response.writeHead(401).end();
      return;
    }
    const order = JSON.parse(body);
    if (order.key !== request.headers["idempotency-key"]) this.faults.push(`key of ${body}`);
    const entry = this.#enter(order);
    const answer = await this.decide(order, entry.attempts);
    if (answer === "drop") return void response.destroy();
    if (answer === "hang") return;
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(JSON.stringify(answer.body ?? {}));
  }

  /** One key is one order, however often it comes. */
  #enter({ attempt, ...order }) {
    const entry = this.book.get(order.key) ?? { order, attempts: 0, last: 0 };
    if (JSON.stringify(entry.order) !== JSON.stringify(order)) {
      this.faults.push(`another order under ${order.key}`);
    }
    entry.attempts += 1;
    entry.last = attempt;
    this.book.set(order.key, entry);
    return entry;
  }

  #isSigned(headers, body) {
    const timestamp = headers["rushlane-timestamp"] ?? "";
    const tag = createHmac("sha256", this.secret).update(`${timestamp}.${body}`).digest("hex");
    const wanted = Buffer.from(`v1=${tag}`);
    const given = Buffer.from(headers["rushlane-signature"] ?? "");
    const isFresh = Math.abs(Date.now() / 1000 - Number(timestamp)) < SKEW_SECONDS;
    return isFresh && given.length === wanted.length && timingSafeEqual(given, wanted);
  }
}
