// What people say: a list that follows the newest, unless somebody reads back.

import { element } from "../dom";
import type { EventOf, Member } from "../sdk";
import { counted, text } from "../text";

/** Older comments leave the page. */
const SHOWN_MAX = 120;
/** So near to the end counts as the end. */
const END_PX = 40;

/** The list of comments. */
export class Comments {
  readonly node = element("div", { class: "comments" });
  readonly #list = element("ol", {
    "aria-label": text("comments"),
    "data-empty": text("nobody_spoke"),
    tabindex: "0",
  });
  readonly #more = element("button", { type: "button", class: "more", hidden: true });
  /** What came since the last frame, or while somebody reads back. */
  #new: HTMLLIElement[] = [];
  #frame = 0;
  #readsBack = false;
  #top = 0;

  constructor() {
    this.node.append(this.#list, this.#more);
    this.#list.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#more.addEventListener("click", () => this.#follow());
    new ResizeObserver(() => this.#readsBack || this.#toEnd()).observe(this.#list);
  }

  /** Shows a comment; `own`: of this viewer. */
  add({ id, from, body }: EventOf<"comment">, own: boolean): void {
    this.#add(lineOf(id, from, body.text, own ? "own" : ""));
  }

  /** Shows a word of the room itself. */
  announce(words: string): void {
    this.#add(element("li", { class: "announced" }, element("span", { dir: "auto" }, words)));
  }

  /** A comment is taken back. */
  remove(id: string): void {
    const isIt = (line: HTMLElement): boolean => line.dataset.id === id;
    this.#new = this.#new.filter((line) => !isIt(line));
    const shown = [...this.#list.children].filter((line) => line instanceof HTMLElement);
    for (const line of shown.filter(isIt)) line.remove();
  }

  #add(line: HTMLLIElement): void {
    this.#new.push(line);
    if (this.#new.length > SHOWN_MAX) this.#new.shift();
    if (this.#readsBack) return this.#offer();
    // One layout for a batch. A hidden page draws no frames and needs no list.
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  #show(): void {
    this.#frame = 0;
    if (this.#readsBack) return this.#offer();
    this.#list.append(...this.#new.splice(0));
    while (this.#list.childElementCount > SHOWN_MAX) this.#list.firstElementChild?.remove();
    this.#toEnd();
  }

  #toEnd(): void {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#top = this.#list.scrollTop;
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    const wentUp = scrollTop < this.#top; // only somebody who reads back does that
    this.#top = scrollTop;
    if (scrollHeight - clientHeight - scrollTop > END_PX) this.#readsBack ||= wentUp;
    else if (this.#readsBack) this.#follow();
  }

  #offer(): void {
    this.#more.hidden = this.#new.length === 0;
    this.#more.textContent = counted("new_one", "new_many", this.#new.length);
  }

  #follow(): void {
    this.#readsBack = false;
    this.#more.hidden = true;
    this.#show();
  }
}

function lineOf(id: string, from: Member | undefined, words: string, kind: string): HTMLLIElement {
  const { name = "", role = "viewer" } = from ?? {};
  const author = element("bdi", { class: "author" }, name);
  const badge = role === "viewer" ? [] : [element("span", { class: "role" }, text(`role_${role}`))];
  const said = element("span", { class: "words", dir: "auto" }, words);
  return element("li", { class: `${kind} ${role}`.trim(), "data-id": id }, ...badge, author, said);
}
