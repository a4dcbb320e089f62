// The shop behind the orders: keeps a book, in which one key is one order.

import { Hook } from "./hook.mjs";

export class Merchant extends Hook {
  /** What was ordered, by key: `{order, attempts}`. */
  book = new Map();
  /** What an order is answered with: as {@link Hook.answer}. */
  decide = () => ({ status: 200, body: { state: "confirmed" } });

  async answer(order, headers) {
    if (order.key !== headers["idempotency-key"]) this.faults.push(`no key of ${order.key}`);
    const entry = this.#enter(order);
    return this.decide(order, entry.attempts);
  }

  /** Attempts differ in their number alone. */
  #enter({ attempt, ...order }) {
    const entry = this.book.get(order.key) ?? { order, attempts: 0 };
    if (JSON.stringify(entry.order) !== JSON.stringify(order)) {
      this.faults.push(`another order under ${order.key}`);
    }
    if (!(attempt >= 1)) this.faults.push(`attempt ${attempt} of ${order.key}`);
    entry.attempts += 1;
    this.book.set(order.key, entry);
    return entry;
  }
}
