// A certificate authority that speaks ACME (RFC 8555), as far as the tests must know it. It believes
// nothing: signatures, nonces and proofs are checked.

import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { join } from "node:path";

import { until } from "./wait.mjs";

const decode = (text) => Buffer.from(text, "base64url");
const json = (text) => JSON.parse(decode(text));

export class Authority {
  /** Certificates issued. */
  issued = 0;
  /** What clients did wrong. */
  faults = [];
  /** No proof is taken. */
  refuses = false;
  #nonces = new Set();
  #accounts = new Map();
  #orders = [];

  /** `lookUp(name)`: the address of port 80 of a name, once it has one; `records()`: what stands in the DNS. */
  static async open(t, fleet, { lookUp, records = () => [] }) {
    const authority = new Authority();
    Object.assign(authority, { fleet, lookUp, records });
    const at = (name) => readFileSync(join(fleet.folder, name));
    const options = { cert: at("node.pem"), key: at("node.key") };
    const server = https.createServer(options, (request, response) =>
      authority.#serve(request, response).catch((error) => {
        authority.faults.push(error.message);
        response.writeHead(400, { "content-type": "application/problem+json" });
        response.end(JSON.stringify({ type: "malformed", detail: error.message, status: 400 }));
      }));
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    t.after(() => server.close());
    authority.base = `https://localhost:${server.address().port}`;
    return authority;
  }

  get directory() {
    return `${this.base}/directory`;
  }

  async #serve(request, response) {
    let body = "";
    for await (const piece of request) body += piece;
    const nonce = randomBytes(12).toString("base64url");
    this.#nonces.add(nonce);
    response.setHeader("replay-nonce", nonce);
    const [, what, ...rest] = request.url.split("/");
    const at = (path) => `${this.base}/${path}`;
    const answer = (value, status = 200, headers = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(value));
    };
    if (what === "directory") {
      return answer({ newNonce: at("nonce"), newAccount: at("account"), newOrder: at("order") });
    }
    if (what === "nonce") return response.end();
    const { payload, thumbprint, account } = this.#open(body, `${this.base}${request.url}`);
    if (what === "account") {
      return answer({ status: "valid" }, 201, { location: at(`account/${account}`) });
    }
    if (what === "order" && rest.length === 0) {
      const order = { identifiers: payload.identifiers, proofs: [], tokens: [] };
      order.tokens = payload.identifiers.map(() => randomBytes(16).toString("base64url"));
      const number = this.#orders.push(order) - 1;
      return answer(this.#order(number, at), 201, { location: at(`order/${number}`) });
    }
    const [number, index, kind] = rest;
    const order = this.#orders[number];
    switch (what) {
      case "order":
        return answer(this.#order(number, at));
      case "authorization":
        return answer(this.#authorization(number, index, at));
      case "challenge":
        order.proofs[index] = await this.#look(order, index, kind, thumbprint);
        return answer(this.#challenge(number, index, kind, at));
      case "finalize":
        order.certificate = this.#sign(order, decode(payload.csr));
        return answer(this.#order(number, at));
      case "certificate":
        response.setHeader("content-type", "application/pem-certificate-chain");
        return response.end(order.certificate);
      default:
        throw new Error(`no such resource: ${request.url}`);
    }
  }

  /** Checks a request's signature and nonce. */
  #open(body, url) {
    const { protected: head, payload, signature } = JSON.parse(body);
    const { alg, nonce, url: signed, jwk, kid } = json(head);
    if (alg !== "ES256" || signed !== url) throw new Error(`signed for ${signed} by ${alg}`);
    if (!this.#nonces.delete(nonce)) throw new Error("a nonce was used twice");
    const known = kid === undefined ? jwk : this.#accounts.get(kid.split("/").pop());
    if (known === undefined) throw new Error("no such account");
    const key = createPublicKey({ key: known, format: "jwk" });
    const data = Buffer.from(`${head}.${payload}`);
    const fits = verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, decode(signature));
    if (!fits) throw new Error("the signature does not fit");
    const { crv, kty, x, y } = known;
    const text = JSON.stringify({ crv, kty, x, y });
    const thumbprint = createHash("sha256").update(text).digest("base64url");
    this.#accounts.set(thumbprint, known);
    return { payload: payload === "" ? undefined : json(payload), thumbprint, account: thumbprint };
  }

  #order(number, at) {
    const order = this.#orders[number];
    const { identifiers, proofs } = order;
    const proved = identifiers.every((_, i) => proofs[i] === "valid");
    let status = proofs.includes("invalid") ? "invalid" : proved ? "ready" : "pending";
    if (order.certificate) status = "valid";
    return {
      status,
      identifiers,
      authorizations: identifiers.map((_, i) => at(`authorization/${number}/${i}`)),
      finalize: at(`finalize/${number}`),
      ...(order.certificate && { certificate: at(`certificate/${number}`) }),
    };
  }

  #authorization(number, index, at) {
    const { identifiers, proofs } = this.#orders[number];
    const challenges = ["http-01", "dns-01"].map((kind) => this.#challenge(number, index, kind, at));
    return { identifier: identifiers[index], status: proofs[index] ?? "pending", challenges };
  }

  #challenge(number, index, kind, at) {
    const { tokens, proofs } = this.#orders[number];
    const url = at(`challenge/${number}/${index}/${kind}`);
    return { type: kind, url, token: tokens[index], status: proofs[index] ?? "pending" };
  }

  /** Looks at the proof of one name. */
  async #look(order, index, kind, thumbprint) {
    const { value } = order.identifiers[index];
    const expected = `${order.tokens[index]}.${thumbprint}`;
    if (this.refuses) return "invalid";
    if (kind === "dns-01") {
      const text = createHash("sha256").update(expected).digest("base64url");
      const found = this.records().includes(`_acme-challenge.${value} ${text}`);
      return found ? "valid" : "invalid";
    }
    const path = `/.well-known/acme-challenge/${order.tokens[index]}`;
    // A node may order before its test knows where it listens.
    const address = await until("the name has an address", () => this.lookUp(value));
    const found = await fetchText(`${address}${path}`);
    if (found !== expected) this.faults.push(`${value} says ${found}`);
    return found === expected ? "valid" : "invalid";
  }

  #sign({ identifiers }, csr) {
    const at = (name) => join(this.fleet.folder, name);
    writeFileSync(at("acme.csr"), csr);
    const names = identifiers.map(({ value }) => `DNS:${value}`).join(",");
    writeFileSync(at("acme.names"), `subjectAltName=${names}\n`);
    const args = ["x509", "-req", "-inform", "DER", "-in", at("acme.csr"), "-days", "90"];
    const signer = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial"];
    const options = { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    const signed = execFileSync("openssl", [...args, ...signer, "-extfile", at("acme.names")], options);
    this.issued += 1;
    return signed + readFileSync(at("ca.pem"), "utf8");
  }
}

function fetchText(url) {
  return new Promise((done, fail) => {
    http.get(url, async (response) => {
      let text = "";
      for await (const piece of response.setEncoding("utf8")) text += piece;
      done(text);
    }).on("error", fail);
  });
}
