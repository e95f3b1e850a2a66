/** The state of the connection, in words; and what helps it along: the network that is back, the page that is looked at. */

import { byId, el } from "./dom.js";

const TICK_MS = 500;

export class ConnectionWords {
  #chat;
  #bar = byId("connection");
  #tick;
  #said = "";

  constructor(chat) {
    this.#chat = chat;
    chat.on("connection", () => this.#draw());
    window.addEventListener("online", () => chat.client?.check());
    window.addEventListener("offline", () => this.#draw());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && chat.client) chat.client.check();
    });
  }

  #draw() {
    clearTimeout(this.#tick);
    const words = this.#words();
    if (this.#chat.connection.state === "lost") this.#tick = setTimeout(() => this.#draw(), TICK_MS);
    byId("state").textContent = { connected: "Connected", ended: "Not connected" }[this.#chat.connection.state] ?? "Connecting…";
    byId("state").dataset.state = this.#chat.connection.state;
    if (words === this.#said) return;
    this.#said = words;
    this.#bar.hidden = words === "";
    const now = el("button", { type: "button", class: "link", onclick: () => this.#chat.client.open() }, "Try now");
    this.#bar.replaceChildren(el("span", {}, words), ...(this.#chat.connection.state === "lost" ? [now] : []));
  }

  #words() {
    const { state, until, code } = this.#chat.connection;
    if (state === "connected" || state === "ended" || state === "closed") return "";
    if (!navigator.onLine) return "You are offline. What you write goes out when the network is back.";
    if (state === "connecting") return "Connecting…";
    if (state === "reconnecting") return "Connecting again…";
    const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    const why = code === 4001 ? "The server is restarting." : code === null ? "The server cannot be reached." : "The connection is lost.";
    return `${why} ${seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again."}`;
  }
}
