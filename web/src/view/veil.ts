// What covers the picture when there is none: connecting, trying again, ended.

import { byId, element } from "../dom";
import type { Player, State } from "../player/player";
import { text } from "../text";

/** Shows `state` over the picture. */
export class Veil {
  readonly #stage = byId("stage", HTMLElement);
  readonly #veil = byId("veil", HTMLElement);

  constructor(private readonly room: string) {}

  show(state: State, player: Player): void {
    this.#stage.dataset.state = state.name;
    this.#veil.replaceChildren(...this.#content(state, player));
  }

  #content(state: State, player: Player): Node[] {
    switch (state.name) {
      case "playing":
        return [];
      case "loading":
      case "buffering":
        return [spinner(), paragraph(text(state.name))];
      case "retrying":
        return [spinner(), paragraph(text("retrying", { n: state.seconds }))];
      case "queued": {
        const { place, seconds } = state;
        const turn = text("queued_turn", { n: seconds });
        const line = place === null ? [] : [paragraph(text("queued_place", { n: place }))];
        return [spinner(), heading(text("queued")), ...line, paragraph(turn)];
      }
      case "absent":
        return [
          heading(text("absent")),
          paragraph(text("absent_more", { room: this.room })),
          element("a", { href: "/", class: "action" }, text("other_rooms")),
        ];
      case "ended":
        return [
          heading(text("ended")),
          paragraph(text("ended_more")),
          element("a", { href: "/", class: "action" }, text("other_rooms")),
        ];
      case "failed": {
        const again = element("button", { type: "button", class: "action" }, text("try_again"));
        again.addEventListener("click", () => void player.start());
        return [heading(text("failed")), paragraph(state.detail), again];
      }
    }
  }
}

function spinner(): HTMLElement {
  const lanes = element("span", { class: "spinner", "aria-hidden": "true" });
  lanes.append(element("i"), element("i"), element("i"));
  return lanes;
}

const heading = (words: string): HTMLElement => element("h2", {}, words);
const paragraph = (words: string): HTMLElement => element("p", {}, words);
