/** Where one writes: a new message, a reply, or an edit of one's own; and the word that one is typing. */

import { byId, el, iconButton, nameOf, plainText } from "./dom.js";
import { isSaid } from "./room.js";
import { summary } from "./text.js";

const TELL_MS = 3000; // between two words that one is still typing
const COARSE = window.matchMedia("(pointer: coarse)"); // no keyboard to speak of: Enter makes a new line there

export class Composer {
  #chat;
  #form = byId("composer");
  #text = byId("composer-text");
  #about = byId("composer-about");
  #room = null;
  #reply = null; // the message that is answered
  #edit = null; // the message that is changed
  #toldAt = 0;

  constructor(chat) {
    this.#chat = chat;
    chat.on("opened", (room) => this.#open(room));
    chat.on("connection", () => this.#label());
    chat.on("rooms", () => this.#label());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("keydown", (event) => this.#key(event));
  }

  focus() {
    this.#text.focus();
  }

  reply(item) {
    this.#set(this.#edit ? "" : this.#text.value, { reply: item });
    this.focus();
  }

  edit(item) {
    if (!this.#edit) this.#room.draft = this.#text.value;
    this.#set(item.content, { edit: item });
    this.focus();
  }

  #open(room) {
    if (this.#room && !this.#edit) this.#room.draft = this.#text.value;
    this.#room = room;
    this.#set(room.draft);
    this.#label();
    if (!COARSE.matches) this.focus();
  }

  #label() {
    if (!this.#room) return;
    const { isPrivate, title, access, mayModerate } = this.#room;
    this.#text.placeholder = access === "readonly" && mayModerate === false
      ? "Only moderators write here" : isPrivate ? `Message ${title}` : `Message in ${title}`;
    this.#text.setAttribute("aria-label", this.#text.placeholder);
  }

  #set(text, { reply = null, edit = null } = {}) {
    this.#reply = reply;
    this.#edit = edit;
    this.#text.value = text;
    this.#grow();
    const of = reply ?? edit;
    this.#about.hidden = !of;
    if (!of) return;
    const said = plainText(summary(of.content, 80));
    const stop = iconButton("close", edit ? "Don't edit" : "Don't reply", () => this.#cancel());
    const words = edit ? ["Editing: "] : ["Reply to ", nameOf(of.sender), ": "];
    this.#about.replaceChildren(el("p", {}, ...words, said), stop);
  }

  #cancel() {
    this.#set(this.#edit ? this.#room.draft : this.#text.value);
    this.focus();
  }

  #grow() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  #typed() {
    this.#grow();
    const writing = this.#text.value !== "";
    if (this.#edit || (writing && Date.now() - this.#toldAt < TELL_MS)) return;
    this.#toldAt = writing ? Date.now() : 0;
    this.#tellTyping(writing);
  }

  #tellTyping(isTyping) {
    if (this.#chat.connection.state !== "connected") return;
    this.#chat.client.typing(this.#room.name, isTyping).catch(() => {}); // a courtesy: nobody misses it
  }

  #key(event) {
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey && !event.isComposing;
    if (event.key === "Enter" && plain && !COARSE.matches) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && !this.#about.hidden) this.#cancel();
    else if (event.key === "ArrowUp" && plain && this.#text.value === "") {
      const last = this.#room.items.findLast((item) => isSaid(item) && this.#chat.isMe(item.sender));
      if (!last) return;
      event.preventDefault();
      this.edit(last);
    }
  }

  #submit() {
    const content = this.#text.value.trim();
    if (content === "") return;
    if (this.#edit) {
      const { name } = this.#room;
      const { seq } = this.#edit;
      this.#chat.client.edit(name, seq, content).catch((error) => this.#chat.notice(`Not edited: ${error.message}`));
      this.#set(this.#room.draft);
    } else {
      this.#chat.send(this.#room, content, this.#reply?.seq);
      this.#room.draft = "";
      this.#set("");
    }
    this.#toldAt = 0;
  }
}
