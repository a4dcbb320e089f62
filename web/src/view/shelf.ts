// The product over the picture: shown at its picture, gone at its end, with a button to buy it.

import { byId, element, setText } from "../dom";
import type { Card, EventOf, Order } from "../sdk";
import { text } from "../text";
import { priceOf, webAddress } from "./offer";

/** Cards remembered, the newest last; the room keeps as many. */
const CARDS_MAX = 24;

/** Shows the newest card, and what is left of it. */
export class Shelf {
  readonly #place = element("section", { class: "shelf", "aria-label": text("product") });
  readonly #cards = new Map<string, Card>();
  readonly #left = new Map<string, number>();
  readonly #closed = new Set<string>();
  readonly #buy = element("button", { type: "button", class: "buy" });
  readonly #state = element("p", { class: "left", role: "status" });
  #shown: Card | null = null;

  /** `buy` is asked for an order of one. */
  constructor(private readonly buy: (sku: string) => void) {
    this.#place.hidden = true;
    byId("stage", HTMLElement).append(this.#place);
    this.#buy.addEventListener("click", () => this.#shown?.sku && this.buy(this.#shown.sku));
  }

  /** What the host calls the thing, if it has been on the shelf. */
  titleOf(sku: string): string {
    const card = [...this.#cards.values()].findLast((one) => one.sku === sku);
    return card?.title ?? sku;
  }

  /** A card is shown, changed or taken away. */
  put(card: Card): void {
    this.#cards.delete(card.id);
    if (card.action !== "hide") this.#cards.set(card.id, card);
    const [oldest] = this.#cards.keys();
    if (this.#cards.size > CARDS_MAX && oldest !== undefined) this.#cards.delete(oldest);
    this.#show();
  }

  /** Takes the card away, unless it has been put anew since. */
  takeAway(card: Card): void {
    if (this.#cards.get(card.id) === card) this.put({ ...card, action: "hide" });
  }

  /** All anew: a snapshot follows. */
  clear(): void {
    this.#cards.clear();
    this.#left.clear();
    this.#closed.clear();
    this.#show();
  }

  setLeft({ sku, left }: EventOf<"stock">["body"]): void {
    this.#left.set(sku, left);
    this.#refresh();
  }

  /** A sale of one thing, or of all, opens or closes. */
  setSale({ action, sku = "" }: EventOf<"sale">["body"]): void {
    if (action === "close") this.#closed.add(sku);
    else this.#closed.delete(sku);
    this.#refresh();
  }

  /** An order of the thing on the shelf is on its way: no second one by a slip of the finger. */
  ordered({ sku, state }: Order): void {
    if (this.#shown?.sku !== sku) return;
    this.#buy.classList.toggle("waiting", state === "pending");
    this.#refresh();
  }

  #show(): void {
    const card = [...this.#cards.values()].at(-1) ?? null;
    this.#shown = card;
    this.#place.hidden = card === null;
    if (!card) return this.#place.replaceChildren();
    this.#buy.classList.remove("waiting");
    this.#place.replaceChildren(...this.#content(card));
    this.#refresh();
  }

  #content(card: Card): HTMLElement[] {
    const title = element("h2", { dir: "auto" }, card.title ?? card.sku ?? "");
    const page = webAddress(card.url);
    const attributes = { href: page ?? "", target: "_blank", rel: "noopener noreferrer" };
    const heading = page === null ? title : element("a", attributes, title);
    const price = element("p", { class: "price", dir: "auto" }, priceOf(card.price, card.currency));
    const words = element("div", { class: "product" }, heading, price, this.#state);
    const away = element("button", { type: "button", class: "away" }, "×");
    away.setAttribute("aria-label", text("close"));
    away.addEventListener("click", () => this.takeAway(card));
    const image = webAddress(card.image);
    const picture = image === null ? [] : [element("img", { src: image, alt: "" })];
    for (const one of picture) one.addEventListener("error", () => one.remove());
    return [...picture, words, this.#buy, away];
  }

  #refresh(): void {
    const sku = this.#shown?.sku;
    this.#buy.hidden = sku === undefined;
    if (sku === undefined) return;
    const left = this.#left.get(sku);
    const over = this.#closed.has(sku) || this.#closed.has("");
    const waiting = this.#buy.classList.contains("waiting");
    this.#buy.disabled = left === 0 || over || waiting;
    setText(this.#buy, text(waiting ? "ordering" : "buy"));
    setText(this.#state, over ? text("sale_closed") : left === undefined ? "" : leftOf(left));
  }
}

function leftOf(left: number): string {
  return left === 0 ? text("none_left") : text("left", { n: left.toLocaleString() });
}
