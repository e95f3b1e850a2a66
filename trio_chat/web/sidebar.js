/** The list of rooms and conversations, with what is unread in each; and the way into others. */

import { ask, field, openDialog } from "./dialogs.js";
import { avatar, byId, el, icon, plainText, reconcile } from "./dom.js";
import { later } from "./later.js";
import { BY_NAME, counted } from "./text.js";

const MOST = 99; // of a count that is still written out
const OFFERED = 50; // rooms at once
const LISTED = 2000; // rooms among which is looked

export class Sidebar {
  #chat;
  #buttons = new Map(); // room → its list item and what it is drawn of

  draw = later(() => this.#draw());

  constructor(chat) {
    this.#chat = chat;
    for (const what of ["rooms", "opened", "members"]) chat.on(what, () => this.draw());
    byId("add-room").addEventListener("click", () => this.#browse());
    byId("add-private").addEventListener("click", () => this.#write());
    byId("rooms").addEventListener("keydown", (event) => this.#key(event));
  }

  #draw() {
    const rooms = [...this.#chat.rooms.values()];
    const byName = (one, other) => BY_NAME.compare(one.title, other.title);
    const home = (room) => (room.key === "general" ? 0 : 1);
    const open = rooms.filter((room) => !room.isPrivate).sort((one, other) => home(one) - home(other) || byName(one, other));
    const talks = rooms.filter((room) => room.isPrivate).sort((one, other) => other.unread - one.unread || byName(one, other));
    reconcile(byId("room-list"), open.map((room) => this.#item(room)));
    reconcile(byId("talk-list"), talks.map((room) => this.#item(room)));
    byId("no-talks").hidden = talks.length > 0;
  }

  #item(room) {
    const current = room === this.#chat.current;
    const here = room.isPrivate && this.#isHere(room.title);
    const drawn = [current, room.unread, room.atLeast, room.mentioned, room.access, here].join();
    const had = this.#buttons.get(room);
    if (had?.drawn === drawn) return had.item;
    const focused = had?.item.contains(document.activeElement);
    const sign = room.isPrivate ? avatar(room.title) : el("span", { class: "sign" }, icon(room.access === "private" ? "lock" : "hash"));
    const button = el("button", {
      type: "button", class: room.unread > 0 ? "room unread" : "room", "aria-current": current ? "page" : null,
      onclick: () => this.#chat.open(room.name),
    }, sign, plainText(room.title, "title"),
      here ? el("span", { class: "dot" }, el("span", { class: "visually-hidden" }, " is here")) : null,
      room.unread > 0 ? badge(room) : null);
    const item = el("li", {}, button);
    this.#buttons.set(room, { item, drawn });
    if (focused) queueMicrotask(() => button.focus());
    return item;
  }

  /** The protocol tells presence by room; who is in the one that everyone is in is here. */
  #isHere(name) {
    return [...this.#chat.rooms.values()].some((room) => room.users?.includes(name));
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...byId("rooms").querySelectorAll("button.room")];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  }

  // --- Other rooms ----------------------------------------------------------------------------------------------

  async #browse() {
    const input = el("input", { name: "room", maxlength: "32", dir: "auto", autocomplete: "off", placeholder: "Find a room, or make one" });
    const list = el("ul", { class: "found" });
    const problem = el("p", { class: "problem", role: "alert" });
    const enter = (name) => this.#chat.join(name).then(() => dialog.close(), (error) => (problem.textContent = error.message));
    const form = el("form", {
      onsubmit: (event) => {
        event.preventDefault();
        if (input.value.trim()) enter(input.value.trim());
      },
    }, field("Room", input, "A room that is not there yet is made, and is yours."), problem,
      el("footer", {}, el("button", { type: "submit", class: "primary" }, "Go to this room")), list);
    const dialog = openDialog("Rooms", form);
    input.focus();
    const rooms = [];
    const show = () => {
      const wanted = input.value.trim().toLowerCase();
      const found = rooms.filter(({ room }) => room.toLowerCase().includes(wanted));
      list.replaceChildren(...found.slice(0, OFFERED).map((room) => offer(room, () => enter(room.room))));
      if (found.length > OFFERED) list.append(el("li", { class: "hint" }, "There are more: write a part of the name."));
    };
    input.addEventListener("input", show);
    let page = {};
    do {
      page = await this.#chat.client.rooms({ limit: 200, cursor: page.cursor }).catch(() => ({ rooms: [] }));
      rooms.push(...page.rooms);
      show();
    } while (page.cursor && dialog.open && rooms.length < LISTED);
  }

  #write() {
    const input = el("input", { name: "to", required: true, maxlength: "32", dir: "auto", autocomplete: "off" });
    ask("Write in private", {
      fields: [field("To", input, "A name. Only the two of you see what is written.")],
      confirm: "Begin",
      act: ({ to }) => {
        if (this.#chat.isMe(to.trim())) throw new Error("That is you");
        this.#chat.open(`@${to.trim()}`);
      },
    });
  }
}

function badge({ unread, atLeast, mentioned }) {
  const words = unread > MOST ? `${MOST}+` : `${unread}${atLeast ? "+" : ""}`;
  return el("span", { class: mentioned ? "badge mention" : "badge" }, words, el("span", { class: "visually-hidden" }, " unread"));
}

function offer({ room, members, topic }, onclick) {
  return el("li", {}, el("button", { type: "button", class: "offer", onclick },
    plainText(room, "title"), el("small", {}, counted(members, "person").replace("persons", "people")),
    topic ? plainText(topic, "topic") : null));
}
