// The buttons and keys over the picture.

import { byId, element, icon } from "../dom";
import type { Player } from "../player/player";
import { text, type Key } from "../text";

const ICONS = {
  play: "M7 4.5v15l13-7.5z",
  pause: "M6 4.5h4.2v15H6zm7.8 0H18v15h-4.2z",
  loud: "M4 9v6h4l5 4.5v-15L8 9zm11.6-1.8a6 6 0 0 1 0 9.6l1 1.4a7.8 7.8 0 0 0 0-12.4z",
  muted: "M4 9v6h4l5 4.5v-15L8 9zm16.6.6-1.2-1.2-2.4 2.4-2.4-2.4-1.2 1.2 2.4 2.4-2.4 2.4 1.2 1.2 2.4-2.4 2.4 2.4 1.2-1.2-2.4-2.4z",
  small: "M3 5h18v6.5h-2V7H5v10h5.500v2H3zm9.500 8.500H21V19h-8.500z",
  full: "M4 4h6v2H6v4H4zm10 0h6v6h-2V6h-4zM4 14h2v4h4v2H4zm14 0h2v6h-6v-2h4z",
};

const IDLE_MS = 2_800;

interface SafariVideo extends HTMLVideoElement {
  webkitEnterFullscreen?(): void;
}

/** Builds the controls into the page and keeps them true for the life of the page. */
export function addControls(video: HTMLVideoElement, player: Player): void {
  const controls = new Controls(video, player);
  controls.listen();
}

class Controls {
  readonly #stage = byId("stage", HTMLElement);
  readonly #sound = byId("sound", HTMLButtonElement);
  readonly #play = button("play", ICONS.play);
  readonly #mute = button("mute", ICONS.loud);
  readonly #volume = element("input", {
    type: "range",
    class: "volume",
    min: "0",
    max: "1",
    step: "0.05",
    "aria-label": text("volume"),
  });
  readonly #live = element("button", { type: "button", class: "to-live" });
  readonly #small = button("picture_in_picture", ICONS.small);
  readonly #full = button("fullscreen", ICONS.full);
  #idleTimer = 0;
  #chosenSound = false;

  constructor(
    private readonly video: SafariVideo,
    private readonly player: Player,
  ) {
    this.#sound.append(icon(ICONS.muted), text("turn_sound_on"));
    this.#live.textContent = text("live");
    this.#live.title = text("to_live");
    this.#small.hidden = !document.pictureInPictureEnabled;
    const space = element("span", { class: "space" });
    const bar = byId("controls", HTMLElement);
    bar.append(this.#play, this.#mute, this.#volume, this.#live, space, this.#small, this.#full);
    this.#showSound();
    this.#showPlay();
  }

  listen(): void {
    const { video } = this;
    this.#play.addEventListener("click", () => this.#togglePlay());
    this.#mute.addEventListener("click", () => this.#setMuted(!video.muted));
    this.#sound.addEventListener("click", () => this.#setMuted(false));
    this.#volume.addEventListener("input", () => {
      video.volume = Number(this.#volume.value);
      this.#setMuted(video.volume === 0);
    });
    this.#live.addEventListener("click", () => this.player.toLive());
    this.#small.addEventListener("click", () => void this.#togglePictureInPicture());
    this.#full.addEventListener("click", () => void this.#toggleFullscreen());
    video.addEventListener("volumechange", () => this.#showSound());
    video.addEventListener("play", () => this.#showPlay());
    video.addEventListener("pause", () => this.#showPlay());
    video.addEventListener("playing", () => this.#showSound());

    for (const event of ["pointermove", "pointerdown", "focusin"]) {
      this.#stage.addEventListener(event, () => this.#wake());
    }
    this.#stage.addEventListener("pointerleave", () => this.#sleep());
    video.addEventListener("click", () => matchMedia("(hover: hover)").matches && this.#togglePlay());
    document.addEventListener("keydown", (event) => this.#key(event));
    this.#wake();
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    if (target.closest("input")) return;
    // A focused button or link keeps its own meaning of the space bar.
    if (event.key === " " && target.closest("button, a")) return;
    const commands: Record<string, () => void> = {
      " ": () => this.#togglePlay(),
      k: () => this.#togglePlay(),
      m: () => this.#setMuted(!this.video.muted),
      f: () => void this.#toggleFullscreen(),
      l: () => this.player.toLive(),
    };
    const command = commands[event.key.toLowerCase()];
    if (!command) return;
    event.preventDefault();
    command();
    this.#wake();
  }

  #togglePlay(): void {
    // Live goes on while we pause: coming back means coming back to live.
    if (this.video.paused) this.player.toLive();
    else this.video.pause();
  }

  #setMuted(muted: boolean): void {
    this.#chosenSound = true;
    this.video.muted = muted;
    if (!muted && this.video.volume === 0) this.video.volume = 1;
    this.#showSound();
  }

  #showPlay(): void {
    show(this.#play, this.video.paused ? "play" : "pause", this.video.paused ? ICONS.play : ICONS.pause);
    this.#stage.classList.toggle("paused", this.video.paused);
  }

  #showSound(): void {
    const { muted, volume, paused } = this.video;
    show(this.#mute, muted ? "unmute" : "mute", muted ? ICONS.muted : ICONS.loud);
    this.#volume.value = String(muted ? 0 : volume);
    // Offered while the browser's autoplay rule silences us, not when the viewer chose silence.
    this.#sound.hidden = !muted || this.#chosenSound || paused;
  }

  async #toggleFullscreen(): Promise<void> {
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (document.fullscreenEnabled) await this.#stage.requestFullscreen();
    else this.video.webkitEnterFullscreen?.();
  }

  async #togglePictureInPicture(): Promise<void> {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await this.video.requestPictureInPicture().catch(() => {});
  }

  #wake(): void {
    this.#stage.classList.remove("idle");
    clearTimeout(this.#idleTimer);
    this.#idleTimer = window.setTimeout(() => this.#sleep(), IDLE_MS);
  }

  #sleep(): void {
    const focused = this.#stage.querySelector(":focus-visible") !== null;
    this.#stage.classList.toggle("idle", !this.video.paused && !focused);
  }
}

function button(label: Key, path: string): HTMLButtonElement {
  const made = element("button", { type: "button", class: "control" });
  show(made, label, path);
  return made;
}

function show(control: HTMLButtonElement, label: Key, path: string): void {
  if (control.dataset.shows === label) return;
  control.dataset.shows = label;
  control.replaceChildren(icon(path));
  control.setAttribute("aria-label", text(label));
  control.title = text(label);
}
