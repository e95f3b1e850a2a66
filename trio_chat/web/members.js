/** Who is here, in the room that is open. Of a crowd the first ones are shown, and more where one asks for them. */

import { avatar, byId, el, nameOf, reconcile } from "./dom.js";
import { later } from "./later.js";
import { openMenu } from "./menu.js";
import { personEntries } from "./moderation.js";
import { BY_NAME } from "./text.js";

const MOST = 100; // rows, and as many more each time
const STALE_MS = 5000; // between two looks at a crowd of which only the number is told

export class Members {
  #chat;
  #most = MOST;
  #rows = new Map(); // name → row
  #filter = byId("member-filter");
  #looking = null;

  draw = later(() => this.#draw());

  constructor(chat) {
    this.#chat = chat;
    chat.on("opened", () => {
      this.#most = MOST;
      this.#filter.value = "";
      this.draw();
    });
    chat.on("members", (room) => {
      if (room !== chat.current) return;
      this.draw();
      this.#look(room);
    });
    chat.on("rooms", () => this.draw());
    this.#filter.addEventListener("input", () => this.draw());
    byId("more-members").addEventListener("click", () => this.#more());
    byId("member-list").addEventListener("keydown", (event) => this.#key(event));
  }

  #draw() {
    const room = this.#chat.current;
    if (!room) return;
    byId("member-toggle").hidden = room.isPrivate;
    byId("member-count").textContent = room.isPrivate ? "" : room.total.toLocaleString();
    byId("people-count").textContent = room.isPrivate ? "" : room.total.toLocaleString();
    const wanted = this.#filter.value.trim().toLowerCase();
    const all = room.isPrivate ? [this.#chat.user, room.title] : (room.users ?? []);
    const names = all.filter((name) => name.toLowerCase().includes(wanted));
    names.sort((one, other) => BY_NAME.compare(one, other));
    const shown = names.slice(0, this.#most);
    reconcile(byId("member-list"), shown.map((name) => this.#row(name)));
    this.#filter.hidden = all.length <= 10;
    byId("more-members").hidden = names.length <= this.#most && !(room.usersCursor && !wanted);
    byId("no-members").hidden = shown.length > 0 || room.users === null;
    if (this.#rows.size > 2000) this.#rows = new Map(shown.map((name) => [name, this.#rows.get(name)]));
  }

  #row(name) {
    if (this.#rows.has(name)) return this.#rows.get(name);
    const me = this.#chat.isMe(name);
    const open = ({ currentTarget }) => {
      const entries = personEntries(this.#chat, this.#chat.current, name);
      if (entries.length > 0) openMenu(currentTarget, name, entries);
    };
    const row = el("li", {}, el("button", { type: "button", class: "member", "aria-haspopup": me ? null : "menu", onclick: open },
      avatar(name), nameOf(name), me ? el("small", {}, "you") : null));
    this.#rows.set(name, row);
    return row;
  }

  #more() {
    const room = this.#chat.current;
    this.#most += MOST;
    if (this.#most > (room.users?.length ?? 0) && room.usersCursor) this.#chat.loadUsers(room, true);
    else this.draw();
  }

  /** A crowd's comings and goings are told as numbers only: look again, now and then. */
  #look(room) {
    if (room.users === null || room.usersCursor || room.users.length === room.total || this.#looking) return;
    this.#looking = setTimeout(() => {
      this.#looking = null;
      if (room === this.#chat.current) this.#chat.loadUsers(room);
    }, STALE_MS);
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...byId("member-list").querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  }
}
