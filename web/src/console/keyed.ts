// A list of elements that follows a list of items. An element that stays is changed and not made
// anew, so that focus and selection stay too.

/** What is on the page for one item. */
export interface Row<T> {
  node: HTMLElement;
  update(item: T): void;
}

/** Keeps the children of `list`. */
export class Keyed<T> {
  #rows = new Map<string, Row<T>>();

  constructor(
    readonly list: HTMLElement,
    private readonly keyOf: (item: T) => string,
    private readonly make: (item: T) => Row<T>,
  ) {}

  /** Makes, changes, moves and removes elements until they stand for `items`. */
  show(items: T[]): void {
    const rows = new Map<string, Row<T>>();
    for (const item of items) {
      const key = this.keyOf(item);
      const row = this.#rows.get(key) ?? this.make(item);
      row.update(item);
      rows.set(key, row);
    }
    for (const [key, row] of this.#rows) if (!rows.has(key)) row.node.remove();
    this.#rows = rows;
    let at = this.list.firstElementChild;
    for (const { node } of rows.values()) {
      if (node === at) at = at.nextElementSibling;
      else this.list.insertBefore(node, at);
    }
  }
}
