// Commands, each confirmed before it is carried out.

import { byId, element } from "../dom";
import { Refused } from "./api";

const TOAST_MS = 6_000;

/** What is asked before a command. */
export interface Question {
  title: string;
  /** What it does to viewers. */
  words: string;
  /** The word on the button that does it. */
  act: string;
  /** What else must be known: a choice, its first entry taken unless another is chosen. */
  choice?: { label: string; entries: [label: string, value: string][] };
}

/**
 * A button that asks `question` and then does `carryOut`, which answers what there is to say. The
 * question may depend on what the page shows by then.
 */
export function command(
  label: string,
  question: () => Question,
  carryOut: (choice: string) => Promise<string>,
): HTMLButtonElement {
  const button = element("button", { type: "button", class: "command" }, label);
  const clicked = async (): Promise<void> => {
    const choice = await ask(question());
    if (choice === null) return;
    button.disabled = true;
    try {
      toast(await carryOut(choice));
    } catch (error) {
      toast(`Not done: ${reasonOf(error)}`);
    }
    button.disabled = false;
  };
  button.addEventListener("click", () => void clicked());
  return button;
}

function reasonOf(error: unknown): string {
  if (error instanceof Refused) return error.message;
  return error instanceof Error && error.message ? error.message : "the node did not answer";
}

/** The choice, empty when there was none to make; null when it was called off. */
function ask(question: Question): Promise<string | null> {
  const dialog = byId("ask", HTMLDialogElement);
  const select = element("select", { id: "ask-choice" });
  for (const [label, value] of question.choice?.entries ?? []) {
    select.append(element("option", { value }, label));
  }
  const back = element("button", { value: "", autofocus: true }, "Cancel");
  const act = element("button", { value: "act", class: "act" }, question.act);
  const form = element("form", { method: "dialog" });
  form.append(
    element("h2", { id: "ask-title" }, question.title),
    element("p", {}, question.words),
    ...(question.choice
      ? [element("label", { for: "ask-choice" }, question.choice.label), select]
      : []),
    element("div", { class: "buttons" }, back, act),
  );
  dialog.replaceChildren(form);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = (): void => resolve(dialog.returnValue === "act" ? select.value : null);
    dialog.addEventListener("close", closed, { once: true });
  });
}

let hiding: ReturnType<typeof setTimeout> | undefined;

/** Says `words` for a while. */
export function toast(words: string): void {
  const node = byId("toast", HTMLElement);
  node.textContent = words;
  node.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (node.hidden = true), TOAST_MS);
}
