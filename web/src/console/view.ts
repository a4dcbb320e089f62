// What the page shows, one at a time.

import type { Report } from "./api";

/** One view; it lives while the address names it. */
export interface View {
  readonly title: string;
  readonly node: HTMLElement;
  /** Shows the newest report, and asks for what else it needs. */
  show(root: Report): Promise<void> | void;
  /** Frees what it holds. */
  close?(): void;
}
