// The viewer's part in the room, around the picture: comments, hearts, products and orders.

import { byId, element, icon, setText } from "./dom";
import type { Player } from "./player/player";
import { createRoom, type ConnectionState, type EventOf, type Options, type Room } from "./sdk";
import { text } from "./text";
import { Comments } from "./view/comments";
import { Composer } from "./view/composer";
import { HEART, Hearts } from "./view/hearts";
import { Orders } from "./view/orders";
import { Shelf } from "./view/shelf";

/** Enters the room; the views live as long as the page. */
export function takePart(options: Options, player: Player): Room {
  const room = createRoom(options);
  room.follow(() => player.playhead());
  new Part(room).listen();
  return room;
}

class Part {
  readonly #comments = new Comments();
  readonly #hearts = new Hearts();
  readonly #shelf: Shelf;
  readonly #orders: Orders;
  readonly #composer: Composer;
  readonly #pin = element("p", { class: "pin", hidden: true });
  readonly #likes = element("output", { class: "likes-total", "aria-label": text("likes") });
  readonly #online = element("output", { class: "online" });

  constructor(private readonly room: Room) {
    this.#shelf = new Shelf((sku) => room.order({ sku }));
    this.#orders = new Orders((sku) => this.#shelf.titleOf(sku));
    this.#composer = new Composer({
      say: (words) => room.comment(words),
      like: () => {
        room.like();
        this.#hearts.tap();
      },
    });
    const chat = byId("chat", HTMLElement);
    chat.setAttribute("aria-label", text("chat"));
    const parts = [this.#pin, this.#comments.node, this.#orders.node, this.#composer.node];
    chat.append(...parts);
    const hearts = element("span", { class: "likes" }, icon(HEART), this.#likes);
    hearts.hidden = true;
    byId("counter", HTMLElement).append(this.#online, hearts);
  }

  listen(): void {
    const { room } = this;
    room.on("state", (state) => this.#composer.close(closedBecause(state)));
    room.on("snapshot", () => this.#cleared());
    room.on("comment", (event) => this.#comments.add(event, event.from?.id === room.you?.id));
    room.on("like", ({ body }) => this.#showLikes(body.total));
    room.on("presence", ({ body }) =>
      setText(this.#online, text("online", { n: body.online.toLocaleString() })),
    );
    room.on("card", (event) => this.#put(event));
    room.on("pin", ({ body }) => this.#showPin(body.text));
    room.on("stock", ({ body }) => this.#shelf.setLeft(body));
    room.on("sale", ({ body }) => this.#shelf.setSale(body));
    room.on("mod", ({ body }) => {
      if (body.action === "retract" && body.id !== undefined) this.#comments.remove(body.id);
    });
    room.on("notice", ({ body }) => body.text !== undefined && this.#comments.announce(body.text));
    room.on("order", (order) => {
      this.#shelf.ordered(order);
      this.#orders.show(room.orders);
    });
  }

  #cleared(): void {
    this.#shelf.clear();
    this.#showPin(null);
  }

  #put({ body: card, media_ms, at }: EventOf<"card">): void {
    this.#shelf.put(card);
    this.#orders.show(this.room.orders); // the things have names now
    const { duration_ms: lasts, wall_ms } = card;
    if (lasts === undefined || card.action === "hide") return;
    const end = {
      wall_ms: (wall_ms ?? at) + lasts,
      ...(media_ms === undefined ? {} : { media_ms: media_ms + lasts }),
    };
    this.room.whenAt(end, () => this.#shelf.takeAway(card));
  }

  #showPin(words: string | null): void {
    this.#pin.hidden = words === null;
    this.#pin.replaceChildren(element("span", { dir: "auto" }, words ?? ""));
  }

  #showLikes(total: number): void {
    this.#hearts.show(total);
    const shown = this.#likes.parentElement;
    if (shown) shown.hidden = total === 0;
    setText(this.#likes, total.toLocaleString());
  }
}

/** Why nothing can be said; null when it can, and while a lost connection may come back. */
function closedBecause(state: ConnectionState): string | null {
  switch (state.name) {
    case "open":
      return null;
    case "refused":
      return text("not_allowed");
    case "absent":
    case "closed":
      return text("room_closed");
    case "connecting":
    case "waiting":
      return text("chat_connecting");
  }
}
