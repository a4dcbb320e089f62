// Pieces that several views use.

import { element, setText } from "../dom";
import { Keyed, type Row } from "./keyed";

/** A column of a table: its heading, and what a row shows there. */
export interface Column<T> {
  title: string;
  /** Right-aligned figures. */
  figure?: boolean;
  /** What the cell says; a link when `href` says where to. */
  text: (item: T) => string;
  href?: (item: T) => string;
}

/** A table that follows a list. On a phone each row is a card, its cells labelled. */
export class Table<T> {
  readonly node: HTMLElement;
  readonly #rows: Keyed<T>;
  readonly #none: HTMLElement;

  constructor(
    title: string,
    columns: Column<T>[],
    keyOf: (item: T) => string,
    none: string,
  ) {
    const body = element("tbody");
    const heads = columns.map(({ title, figure }) =>
      element("th", { scope: "col", class: figure ? "figure" : "" }, title),
    );
    this.#none = element("p", { class: "none" }, none);
    this.node = element(
      "section",
      { class: "block" },
      element("h2", {}, title),
      element(
        "table",
        { "aria-label": title },
        element("thead", {}, element("tr", {}, ...heads)),
        body,
      ),
      this.#none,
    );
    this.#rows = new Keyed(body, keyOf, () => rowOf(columns));
  }

  /** Shows `items`. */
  show(items: T[]): void {
    this.#rows.show(items);
    this.#none.hidden = items.length > 0;
    const table = this.node.querySelector("table");
    if (table) table.hidden = items.length === 0;
  }
}

function rowOf<T>(columns: Column<T>[]): Row<T> {
  const cells = columns.map(({ title, figure, href }) => {
    const words: HTMLElement = href ? element("a") : element("span");
    const cell = element("td", { "data-title": title, class: figure ? "figure" : "" }, words);
    return { cell, words };
  });
  return {
    node: element("tr", {}, ...cells.map(({ cell }) => cell)),
    update(item) {
      columns.forEach((column, i) => {
        const words = cells[i]?.words;
        if (!words) return;
        setText(words, column.text(item));
        if (column.href && words instanceof HTMLAnchorElement) words.href = column.href(item);
      });
    },
  };
}

/** Figures with their names, as large as they matter. */
export class Tiles {
  readonly node = element("dl", { class: "tiles" });
  readonly #values = new Map<string, { value: HTMLElement; note: HTMLElement }>();

  constructor(names: string[]) {
    for (const name of names) {
      const value = element("dd", { class: "value" }, "–");
      const note = element("dd", { class: "note" });
      this.#values.set(name, { value, note });
      this.node.append(element("div", {}, element("dt", {}, name), value, note));
    }
  }

  /** Sets the figure called `name`, and what stands below it. */
  set(name: string, text: string, note = ""): void {
    const tile = this.#values.get(name);
    if (!tile) return;
    setText(tile.value, text);
    setText(tile.note, note);
  }
}

/** Facts with their names, one a line. */
export class Facts {
  readonly node: HTMLElement;
  readonly #list = element("dl", { class: "facts" });
  readonly #rows: Keyed<[string, string]>;

  constructor(title: string) {
    this.node = element("section", { class: "block" }, element("h2", {}, title), this.#list);
    this.#rows = new Keyed<[string, string]>(this.#list, ([name]) => name, ([name]) => {
      const value = element("dd");
      return {
        node: element("div", {}, element("dt", {}, name), value),
        update: ([, text]) => setText(value, text),
      };
    });
  }

  /** Shows the facts that have a text. */
  show(facts: [string, string | null | undefined][]): void {
    const known = facts.filter((fact): fact is [string, string] => Boolean(fact[1]));
    this.#rows.show(known);
    this.node.hidden = known.length === 0;
  }
}
