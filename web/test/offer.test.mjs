// What a host writes on a card is shown as it is meant, and leads nowhere but to the web.

import assert from "node:assert/strict";
import test from "node:test";

import { priceOf, webAddress } from "../src/view/offer.ts";

test("prices are shown in their currency, anything else as it is written", () => {
  const yuan = new Intl.NumberFormat(undefined, { style: "currency", currency: "CNY" });
  const table = [
    [9.5, "CNY", yuan.format(9.5)],
    ["39.90", "CNY", yuan.format(39.9)],
    ["two for one", "", "two for one"],
    ["¥9.50", "CNY", "¥9.50 CNY"],
    [5, "beads", "5 beads"],
    [undefined, undefined, ""],
  ];
  for (const [price, currency, shown] of table) assert.equal(priceOf(price, currency), shown);
});

test("only addresses of the web pass", () => {
  globalThis.location = new URL("https://edge.example/watch/show");
  const table = [
    ["https://shop.example/tea", "https://shop.example/tea"],
    ["/img/tea.webp", "https://edge.example/img/tea.webp"],
    ["//cdn.example/x.png", "https://cdn.example/x.png"],
    ["javascript:alert(1)", null],
    ["\tjava\nscript:alert(1)", null],
    ["data:text/html,x", null],
    ["blob:https://edge.example/1", null],
    ["", null],
    [undefined, null],
    [{ toString: () => "https://a.example" }, null],
  ];
  for (const [address, expect] of table) assert.equal(webAddress(address), expect, String(address));
});
