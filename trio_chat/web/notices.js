/**
 * What is told in passing, and invitations, which stay until they are answered. Neither takes the focus from whoever
 * is writing, and there are few of them at once: nobody covers the page of others by sending many.
 */

import { keyOf } from "./chat-client.js";
import { byId, el, iconButton } from "./dom.js";

const NOTICE_MS = 7000;
const MOST = 4; // of each kind; the oldest goes

export class Notices {
  #chat;
  #told = [];
  #invitations = new Map(); // room → what is shown of it

  constructor(chat) {
    this.#chat = chat;
    chat.on("notice", (text) => this.#tell(text));
    chat.on("invited", (room, text) => this.#invited(room, text));
    chat.on("opened", ({ key }) => this.#answered(key));
    chat.on("ended", () => [...this.#invitations.keys()].forEach((key) => this.#answered(key)));
  }

  #tell(text) {
    const shown = el("p", { class: "notice", dir: "auto" }, text);
    byId("notices").append(shown);
    this.#told = [...this.#told, shown].filter((one) => one.isConnected);
    if (this.#told.length > MOST) this.#told.shift().remove();
    setTimeout(() => shown.remove(), NOTICE_MS);
  }

  #invited(room, text) {
    const key = keyOf(room);
    this.#answered(key);
    const go = () => this.#chat.join(room).catch((error) => this.#chat.notice(error.message));
    const shown = el("div", { class: "notice invitation" }, el("p", { dir: "auto" }, text),
      el("button", { type: "button", class: "primary", onclick: go }, "Go there"), iconButton("close", "Not now", () => this.#answered(key)));
    this.#invitations.set(key, shown);
    byId("notices").append(shown);
    if (this.#invitations.size > MOST) this.#answered(this.#invitations.keys().next().value);
  }

  #answered(key) {
    this.#invitations.get(key)?.remove();
    this.#invitations.delete(key);
  }
}
