/**
 * The messages of the room that is open: a window of them in the page, however many there are, that moves as one
 * scrolls. What is looked at stays where it is when rows come or go above it.
 */

import { byId, reconcile } from "./dom.js";
import { dayRow, messageRow, newRow, noteRow, pendingRow } from "./message.js";
import { openMenu } from "./menu.js";
import { personEntries } from "./moderation.js";
import { later } from "./later.js";
import { isSaid } from "./room.js";
import { dayOf } from "./text.js";

const MOST = 200; // rows of messages in the page
const STEP = 60; // rows by which the window moves
const NEAR = 1000; // px from an end of the window at which it moves
const STUCK = 48; // px from the end within which one is taken to be there
const GROUP_MS = 5 * 60_000; // within which messages of one sender stand together

export class Timeline {
  #chat;
  #toolbar;
  #scroller = byId("scroller");
  #list = byId("messages");
  #below = byId("below");
  #room = null;
  #top = null; // `seq` of the first row's message; null: as many as fit above the last
  #bottom = null; // of the last row's; null: the end, and whatever comes
  #stuck = true; // the end is in sight: what comes is scrolled to
  #rows = new WeakMap(); // message → {row, drawn}
  #marks = new Map(); // day, or "new" → row
  #unseen = 0; // messages that came while one read further up
  #on = {
    isMe: (name) => this.#chat.isMe(name),
    react: (item, emoji, had) => this.#toolbar.toggle(item, emoji, had),
    jump: (seq) => this.#chat.jump(this.#room.name, seq),
    person: (anchor, name) => {
      const entries = personEntries(this.#chat, this.#room, name);
      if (entries.length > 0) openMenu(anchor, name, entries);
    },
  };

  draw = later(() => this.#draw());

  constructor(chat, toolbar) {
    this.#chat = chat;
    this.#toolbar = toolbar;
    chat.on("opened", (room) => this.#open(room));
    chat.on("entries", (room) => room === this.#room && this.draw());
    chat.on("members", (room) => room === this.#room && this.draw());
    chat.on("connection", () => this.draw());
    chat.on("said", (room) => {
      if (room === this.#room && !this.#stuck) this.#unseen += 1;
    });
    chat.on("jump", (room, seq) => room === this.#room && this.#show(seq));
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#stuck && this.#toEnd()).observe(this.#scroller);
    this.#below.addEventListener("click", () => this.end());
    for (const event of ["focusin", "pointerover"]) this.#list.addEventListener(event, ({ target }) => this.#point(target));
    this.#scroller.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  // --- What is in the window ------------------------------------------------------------------------------------

  #open(room) {
    this.#room = room;
    this.#marks.clear();
    this.end();
  }

  /** Show the newest messages. */
  end() {
    this.#top = this.#bottom = null;
    this.#stuck = true;
    this.draw.now();
  }

  /** Where the window begins and ends among the room's items. */
  #range() {
    const { items } = this.#room;
    const end = this.#bottom === null ? items.length : Math.min(items.length, this.#room.indexOf(this.#bottom) + 1);
    let start = this.#top === null ? end - STEP : this.#room.indexOf(this.#top);
    if (this.#bottom === null && this.#stuck && end - start > MOST) {
      start = end - STEP; // much has come: what stands far above goes
      this.#top = items[start].seq;
    }
    return [Math.max(0, start), end];
  }

  #draw() {
    const room = this.#room;
    if (!room) return;
    const [start, end] = this.#range();
    if (this.#top === null && room.items.length > 0 && !this.#stuck) this.#top = room.items[start].seq;
    const focused = document.activeElement?.closest?.("#messages > li")?.dataset.seq;
    const inSight = this.#stuck ? [] : this.#inSight();
    reconcile(this.#list, this.#nodes(start, end));
    this.#hints(start);
    if (this.#stuck) this.#toEnd();
    else this.#keepInSight(inSight);
    if (focused && document.activeElement === document.body) this.#rowOf(focused)?.focus({ preventScroll: true });
    this.#tail();
    this.#seen();
    this.#fill();
  }

  /** What is said where there is nothing, or no more. */
  #hints(start) {
    const { complete, from } = this.#room;
    const empty = this.#list.children.length === 0;
    this.#list.setAttribute("aria-busy", String(from === null));
    byId("empty").hidden = !empty || from === null;
    byId("beginning").hidden = empty || !complete || start > 0;
    byId("older").hidden = complete || from === null || start > 0;
  }

  #nodes(start, end) {
    const { items, newFrom } = this.#room;
    const nodes = [];
    let before = items[start - 1] ?? null;
    let isNew = newFrom === null;
    for (const item of items.slice(start, end)) {
      if (!before || dayOf(before.at) !== dayOf(item.at)) nodes.push(this.#mark(dayOf(item.at), () => dayRow(item.at)));
      const mark = !isNew && item.seq >= newFrom && isSaid(item) && !this.#chat.isMe(item.sender);
      if (mark) nodes.push(this.#mark("new", newRow));
      isNew ||= mark;
      nodes.push(this.#row(item, !mark && follows(item, before)));
      before = item;
    }
    if (end < items.length) return nodes;
    const pending = this.#chat.outbox.of(this.#room).filter(({ seq }) => seq === null || seq > this.#room.to);
    return [...nodes, ...pending.map((item) => this.#pending(item))];
  }

  #mark(key, make) {
    if (!this.#marks.has(key)) this.#marks.set(key, make());
    return this.#marks.get(key);
  }

  #row(item, grouped) {
    const said = isSaid(item) || item.type === "deleted";
    const quoted = item.replyTo === null ? "" : (this.#room.find(item.replyTo)?.version ?? "none");
    const drawn = `${item.version} ${grouped} ${quoted}`;
    const had = this.#rows.get(item);
    if (had?.drawn === drawn) return had.row;
    const row = said ? messageRow(this.#chat, this.#room, item, grouped, this.#on) : noteRow(item);
    this.#rows.set(item, { row, drawn });
    return row;
  }

  #pending(item) {
    const drawn = `${item.state} ${this.#chat.connection.state === "connected"}`;
    const had = this.#rows.get(item);
    if (had?.drawn === drawn) return had.row;
    const row = pendingRow(this.#chat, item);
    this.#rows.set(item, { row, drawn });
    return row;
  }

  // --- Scrolling ------------------------------------------------------------------------------------------------

  /** The messages in sight, and where they are: after a change, the first that is still there is to be there again. */
  #inSight() {
    const { top, bottom } = this.#scroller.getBoundingClientRect();
    const rows = [...this.#list.children].map((row) => ({ row, box: row.getBoundingClientRect() }));
    return rows.filter(({ row, box }) => row.dataset.seq && box.bottom > top && box.top < bottom);
  }

  #keepInSight(rows) {
    const anchor = rows.find(({ row }) => row.isConnected);
    if (anchor) this.#scroller.scrollTop += anchor.row.getBoundingClientRect().top - anchor.box.top;
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  get #distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  #scrolled() {
    if (!this.#room) return;
    this.#stuck = this.#bottom === null && this.#distance <= STUCK;
    if (this.#stuck) this.#unseen = 0;
    this.#tail();
    this.#seen();
    this.#fill();
  }

  /** Where an end of the window is near, move it; where it is the end of what is held, ask for more. */
  #fill() {
    const { items, complete, from } = this.#room;
    const [start, end] = this.#range();
    if (this.#scroller.scrollTop < NEAR && start > 0) {
      const first = Math.max(0, start - STEP);
      this.#top = items[first].seq;
      if (!this.#stuck && end - first > MOST) this.#bottom = items[first + MOST - 1].seq;
      this.draw();
    } else if (this.#scroller.scrollTop < NEAR && !complete && from !== null) {
      this.#chat.loadOlder(this.#room);
    }
    if (this.#bottom !== null && this.#distance < NEAR) {
      const last = Math.min(items.length, end + STEP);
      this.#bottom = last === items.length ? null : items[last - 1].seq;
      if (last - start > MOST) this.#top = items[last - MOST].seq;
      this.draw();
    }
  }

  #show(seq) {
    const { items } = this.#room;
    const at = this.#room.indexOf(seq);
    if (items[at]?.seq !== seq) return;
    this.#top = items[Math.max(0, at - STEP)].seq;
    this.#bottom = at + STEP >= items.length ? null : items[at + STEP].seq;
    this.#stuck = false;
    this.draw.now();
    const row = this.#rowOf(seq);
    row.scrollIntoView({ block: "center" });
    row.classList.add("found");
    setTimeout(() => row.classList.remove("found"), 2500);
    row.focus({ preventScroll: true });
  }

  /** The button that leads back to the end, and what waits there. */
  #tail() {
    this.#below.hidden = this.#stuck || (this.#bottom === null && this.#distance <= STUCK);
    const words = this.#unseen > 0 ? `${this.#unseen} new ↓` : "Newest ↓";
    if (this.#below.textContent !== words) this.#below.textContent = words;
  }

  /** What is in sight is read. */
  #seen() {
    const room = this.#room;
    if (room && room.from !== null && this.#stuck && document.visibilityState === "visible") this.#chat.markRead(room);
  }

  // --- Keys and pointers ----------------------------------------------------------------------------------------

  #rowOf(seq) {
    return this.#list.querySelector(`:scope > li[data-seq="${Number(seq)}"]`);
  }

  #point(target) {
    if (this.#toolbar.element.querySelector(":focus-visible") && !this.#toolbar.element.contains(target)) return; // by keyboard
    const row = target.closest("#messages > li");
    if (row) this.#toolbar.attach(row, row.dataset.seq ? this.#room.find(Number(row.dataset.seq)) : null);
  }

  /** Arrows go from message to message, Enter goes to what can be done with one. */
  #key(event) {
    const row = event.target.closest("#messages > li");
    const step = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
    if (!row && (step || event.key === "Enter")) this.focus();
    else if (step) {
      let next = row[step];
      while (next?.classList.contains("mark")) next = next[step];
      (next ?? row).focus();
    } else if (event.key === "Enter" && event.target === row) this.#toolbar.focus();
    else if (event.key === "Escape") byId("composer-text").focus();
    else return;
    event.preventDefault();
  }

  /** Go to the messages by keyboard: to the newest one. */
  focus() {
    const rows = this.#list.querySelectorAll(":scope > .message, :scope > .note");
    (rows[rows.length - 1] ?? this.#scroller).focus();
  }
}

/** Whether an item stands together with the one before it. */
function follows(item, before) {
  if (!before || !isSaid(item) || !isSaid(before) || item.sender !== before.sender || item.replyTo !== null) return false;
  return dayOf(item.at) === dayOf(before.at) && item.at - before.at < GROUP_MS;
}
