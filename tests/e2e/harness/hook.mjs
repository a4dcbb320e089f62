// A service of the operator's that a node posts to: it takes signed JSON and answers JSON.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SKEW_SECONDS = 60;

export class Hook {
  secret = "the-operator-and-the-node-know-it";
  /** Requests that should not have been. */
  faults = [];
  #server;
  #port = 0;

  static async open(t) {
    const hook = new this();
    await hook.open();
    t.after(() => hook.shut());
    return hook;
  }

  /** To be overridden: answers `{status, body}`, `"hang"` or `"drop"`. */
  async answer(_message, _headers) {
    return { status: 204 };
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/hook`;
  }

  /** Takes posts, always at the same address. */
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
    const answer = await this.answer(JSON.parse(body), request.headers);
    if (answer === "drop") return void response.destroy();
    if (answer === "hang") return;
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(JSON.stringify(answer.body ?? {}));
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
