/**
 * What one can do with a message. There is one toolbar, and it stands in the row that is pointed at or has the focus:
 * thousands of messages have no thousands of buttons.
 */

import { ask } from "./dialogs.js";
import { el, iconButton } from "./dom.js";
import { openMenu } from "./menu.js";
import { isSaid } from "./room.js";
import { summary } from "./text.js";

const EMOJI = { "👍": "thumbs up", "❤️": "heart", "😂": "tears of joy", "🎉": "party", "😮": "surprise", "😢": "sad", "🙏": "thanks", "👀": "eyes", "✅": "done", "❌": "no", "🔥": "fire", "🤔": "thinking" };

export class Toolbar {
  #chat;
  #composer;
  #item = null;
  #react = iconButton("smile", "React", () => this.#pick());
  #reply = iconButton("reply", "Reply", () => this.#composer.reply(this.#item));
  #edit = iconButton("edit", "Edit", () => this.#composer.edit(this.#item));
  #delete = iconButton("delete", "Delete", () => this.#remove());
  element = el("div", { class: "toolbar", role: "toolbar", "aria-label": "Message" }, this.#react, this.#reply, this.#edit, this.#delete);

  constructor(chat, composer) {
    this.#chat = chat;
    this.#composer = composer;
    this.element.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Stand in this message's row; nowhere where `item` is none that anything can be done with. */
  attach(row, item) {
    if (!item || !isSaid(item)) {
      this.element.remove();
      return;
    }
    if (this.element.parentElement === row) return;
    this.#item = item;
    const mine = this.#chat.isMe(item.sender);
    this.#edit.hidden = !mine;
    this.#delete.hidden = !mine && !this.#chat.current.mayModerate;
    row.append(this.element);
  }

  focus() {
    this.#react.focus();
  }

  toggle(item, emoji, had) {
    const { name } = this.#chat.current;
    this.#chat.client.react(name, item.seq, emoji, had).catch((error) => this.#chat.notice(error.message));
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.element.children].filter((button) => !button.hidden);
    buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length).focus();
    event.preventDefault();
    event.stopPropagation();
  }

  #pick() {
    const item = this.#item;
    const had = (emoji) => item.reactions.get(emoji)?.users.some((name) => this.#chat.isMe(name)) ?? false;
    const entries = Object.entries(EMOJI).map(([short, label]) => ({ label, short, action: () => this.toggle(item, short, had(short)) }));
    openMenu(this.#react, "React with", entries, { grid: true });
  }

  #remove() {
    const { name } = this.#chat.current;
    const { seq, content } = this.#item;
    ask("Delete this message?", {
      text: `“${summary(content)}” is gone then, for everybody and for good.`,
      confirm: "Delete",
      danger: true,
      act: () => this.#chat.client.delete(name, seq),
    });
  }
}
