/** Telling somebody who looks elsewhere: the number in the title, and notifications, if they were asked for. */

import { announce, byId } from "./dom.js";
import { browser } from "./keep.js";
import { summary } from "./text.js";

const KEEP = "trio_chat.notify";
const NAME = "trio_chat";

export class Notifier {
  #chat;
  #button = byId("notify");

  constructor(chat) {
    this.#chat = chat;
    chat.on("rooms", () => this.#title());
    chat.on("opened", () => this.#title());
    chat.on("said", (room, item) => this.#said(room, item));
    this.#button.hidden = !("Notification" in window);
    this.#button.addEventListener("click", () => this.#toggle());
    this.#draw();
  }

  get #on() {
    return "Notification" in window && Notification.permission === "granted" && browser.getItem(KEEP) === "on";
  }

  async #toggle() {
    if (this.#on) browser.setItem(KEEP, "off");
    else if ((await Notification.requestPermission()) === "granted") browser.setItem(KEEP, "on");
    else this.#chat.notice("The browser does not allow notifications for this page.");
    this.#draw();
  }

  #draw() {
    this.#button.setAttribute("aria-pressed", String(this.#on));
    this.#button.title = this.#on ? "Notifications are on" : "Notifications are off";
  }

  #title() {
    const rooms = [...this.#chat.rooms.values()];
    const unread = rooms.reduce((sum, room) => sum + room.unread, 0);
    const where = this.#chat.current ? `${this.#chat.current.title} · ${NAME}` : NAME;
    document.title = unread > 0 ? `(${unread}) ${where}` : where;
  }

  #said(room, item) {
    const words = `${item.sender}: ${summary(item.content)}`;
    const looking = document.visibilityState === "visible" && document.hasFocus();
    if (room === this.#chat.current && looking) announce(words);
    if (looking || !this.#on || !room.mentioned) return;
    const title = room.isPrivate ? item.sender : `${item.sender} in ${room.title}`;
    const shown = new Notification(title, { body: summary(item.content), tag: room.key });
    shown.onclick = () => {
      window.focus();
      this.#chat.open(room.name);
      shown.close();
    };
  }
}
