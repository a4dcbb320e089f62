// Where the viewer speaks and taps.

import { element, icon } from "../dom";
import { Refused } from "../sdk";
import { text, type Key } from "../text";
import { HEART } from "./hearts";

const CHARACTERS_MAX = 500;
const TOLD_MS = 6_000;

/** What the room says by these codes, in the viewer's language; else its own sentence. */
const SAID: Record<string, Key> = {
  slow_mode: "said_slow",
  muted: "said_muted",
  banned: "said_banned",
  lost: "said_lost",
};

/** What the composer asks for. */
export interface Wishes {
  say(words: string): Promise<unknown>;
  like(): void;
}

/** The line to write in, the heart, and why something was not said. */
export class Composer {
  readonly node = element("form", { class: "composer", autocomplete: "off" });
  readonly #input = element("input", {
    type: "text",
    maxlength: String(CHARACTERS_MAX),
    enterkeyhint: "send",
    dir: "auto",
    placeholder: text("say_something"),
    "aria-label": text("say_something"),
  });
  readonly #send = element("button", { type: "submit", class: "send" }, text("send"));
  readonly #heart = element("button", { type: "button", class: "like" }, icon(HEART));
  readonly #told = element("p", { class: "told", role: "status", hidden: true });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #mayAt = 0;

  constructor(private readonly wishes: Wishes) {
    this.#heart.setAttribute("aria-label", text("like"));
    this.node.append(this.#told, this.#input, this.#send, this.#heart);
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#say();
    });
    this.#heart.addEventListener("click", () => this.wishes.like());
  }

  /** Says why nothing can be said at present; null: it can. */
  close(words: string | null): void {
    this.#input.disabled = words !== null;
    this.#input.placeholder = words ?? text("say_something");
    this.#send.disabled = words !== null;
  }

  async #say(): Promise<void> {
    const words = this.#input.value.trim();
    if (words === "" || this.#send.disabled) return;
    this.#send.disabled = true;
    try {
      await this.wishes.say(words);
      this.#input.value = "";
      this.#tell(null);
    } catch (error) {
      this.#refused(error);
    }
    this.#allow();
  }

  #refused(error: unknown): void {
    if (!(error instanceof Refused)) return this.#tell(String(error));
    const { code, message, retryAfterSeconds: seconds } = error;
    if (seconds !== null) this.#mayAt = performance.now() + seconds * 1000;
    const key = SAID[code];
    this.#tell(key ? text(key, { n: seconds ?? "…" }) : message);
  }

  /** The button comes back when the room will listen again. */
  #allow(): void {
    const wait = Math.max(0, this.#mayAt - performance.now());
    setTimeout(() => (this.#send.disabled = this.#input.disabled), wait);
  }

  #tell(words: string | null): void {
    clearTimeout(this.#timer);
    this.#told.hidden = words === null;
    this.#told.textContent = words;
    if (words !== null) this.#timer = setTimeout(() => this.#tell(null), TOLD_MS);
  }
}
