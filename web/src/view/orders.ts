// The viewer's orders: the newest in one line, all behind it.

import { element, setText } from "../dom";
import type { Order } from "../sdk";
import { text } from "../text";

const LISTED_MAX = 20;

/** Shows orders and what has become of them. */
export class Orders {
  readonly node = element("details", { class: "orders", hidden: true });
  readonly #newest = element("summary");
  readonly #list = element("ul");
  readonly #announced = element("p", { class: "unseen", role: "status" });

  /** `titleOf` names a thing by its SKU. */
  constructor(private readonly titleOf: (sku: string) => string) {
    this.node.append(this.#newest, this.#list, this.#announced);
  }

  /** Oldest first. */
  show(orders: Order[]): void {
    const newest = orders.toReversed().slice(0, LISTED_MAX);
    const [first, ...others] = newest;
    this.node.hidden = first === undefined;
    if (!first) return;
    this.node.classList.toggle("only", others.length === 0);
    this.#newest.replaceChildren(...this.#line(first));
    this.#list.replaceChildren(...others.map((order) => element("li", {}, ...this.#line(order))));
    setText(this.#announced, `${this.titleOf(first.sku)}: ${stateOf(first)}`);
  }

  #line(order: Order): HTMLElement[] {
    const { sku, quantity, key, state } = order;
    const thing = element("bdi", { class: "thing" }, this.titleOf(sku));
    const count = element("span", { class: "times" }, `× ${quantity}`);
    const words = element("span", { class: `order-state ${state}`, dir: "auto" }, stateOf(order));
    words.dataset.key = key;
    return [thing, count, words];
  }
}

function stateOf({ state, reason }: Order): string {
  const words = text(`order_${state}`);
  const told = (state === "rejected" || state === "refused") && reason;
  return told ? `${words}: ${reason}` : words;
}
