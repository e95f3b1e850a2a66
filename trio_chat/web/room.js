/**
 * What is known of one room: a stretch of its log without gaps, as messages in their present state, and what does not
 * last: who is there, who is typing, what is unread. No page in it, so that it can be read and tested by itself.
 */

import { eventOf, keyOf } from "./chat-client.js";

const SHOWN = new Set(["message", "private", "topic", "moderation", "deleted"]);
const EARLY = 200; // entries that are kept while the first page is on its way
const EARLY_CHARS = 4_000_000; // of their contents
const MOST = 20_000; // messages that are held: more than a log holds, if its operator didn't say otherwise
const MOST_CHARS = 16_000_000; // of all their contents
const TYPING_MS = 6000; // after which somebody who said nothing more is taken to have stopped

export class Room {
  items = []; // messages and notes, ascending by `seq`
  from = null; // the first `seq` of the stretch that is held; null: nothing is held yet
  to = 0; // the last one
  complete = false; // the log holds nothing before `from`
  loading = null; // the promise of a page that was asked for
  topic = "";
  access = "public"; // or "private", "readonly"
  receipts = new Map(); // who has read how far, where the room tells it
  users = null; // names of those present, or null where only `total` is known
  total = 0;
  unread = 0;
  atLeast = false; // `unread` is where we stopped counting
  mentioned = false;
  newFrom = null; // the first `seq` that was unread when the room was opened: the "new" mark stands before it
  mayModerate = null; // null: not asked yet
  draft = "";
  #early = []; // entries that came before the first page did
  #chars = 0; // of what is held, about: an edit is not counted
  #typing = new Map(); // name → until when (ms)

  constructor(name, { epoch = null, last = 0, read } = {}) {
    Object.assign(this, { name, epoch, last, read: read ?? last });
  }

  get key() {
    return keyOf(this.name);
  }

  /** Whether it is a conversation of two. */
  get isPrivate() {
    return this.name.startsWith("@");
  }

  /** What the other is called, or the room. */
  get title() {
    return this.isPrivate ? this.name.slice(1) : this.name;
  }

  /** Forget what is held: the log is another one, or there is a gap. */
  reset(epoch, last) {
    Object.assign(this, { items: [], from: null, to: 0, complete: false, loading: null, epoch, last });
    this.#early = [];
    this.#chars = 0;
    if (this.read > last) this.read = 0;
  }

  // --- The log --------------------------------------------------------------------------------------------------

  /** An entry came live, or in a replay. Returns the message that it made, if it did; not what it changed. */
  append(entry) {
    if (entry.epoch && this.epoch && entry.epoch !== this.epoch) this.reset(entry.epoch, entry.seq - 1);
    this.epoch = entry.epoch ?? this.epoch;
    this.last = Math.max(this.last, entry.seq);
    this.#effect(entry);
    if (this.from === null) this.#early = newest([...this.#early, entry], EARLY, EARLY_CHARS);
    if (this.from === null || entry.seq <= this.to) return null;
    this.to = entry.seq;
    const item = this.#add(entry, this.items.length);
    if (this.items.length > MOST || this.#chars > MOST_CHARS) this.#release();
    return item;
  }

  /** Let go of the older half: a flood fills nobody's memory. By scrolling up it comes again. */
  #release() {
    this.items = newest(this.items, MOST / 2, MOST_CHARS / 2);
    this.#chars = this.items.reduce((sum, { content }) => sum + content.length, 0);
    Object.assign(this, { from: this.items[0].seq, complete: false });
  }

  /** A page of history that ends where the stretch begins, or is the newest one. */
  prepend({ entries, epoch, first, last, more }) {
    if (this.epoch !== epoch) this.reset(epoch, last);
    if (this.from === null) this.to = entries.at(-1)?.seq ?? last;
    const older = entries.filter(({ seq }) => this.from === null || seq < this.from);
    const held = this.items;
    this.items = [];
    for (const frame of older) this.#add(frame, this.items.length);
    this.items.push(...held);
    this.from = older[0]?.seq ?? this.from ?? first;
    this.complete = !more;
    this.last = Math.max(this.last, last);
    for (const entry of this.#early.splice(0)) this.append(entry);
  }

  /** Keep an entry's message in its place. Of those that only change another one, a page has the present state already. */
  #add(frame, index) {
    const { type } = eventOf(frame);
    if (!SHOWN.has(type) || (type === "deleted" && frame.of !== frame.seq)) return null;
    const { seq, content = "", timestamp, reply_to: replyTo = null, edited = null, until } = frame;
    const item = { seq, type, content, sender: frame.sender ?? frame.by, at: new Date(timestamp), replyTo, edited, until };
    item.reactions = new Map();
    for (const [emoji, { count, users }] of Object.entries(frame.reactions ?? {})) {
      item.reactions.set(emoji, { count, users: [...users] });
    }
    item.version = 0; // moves with each change: what is drawn of it is stale then
    this.items.splice(index, 0, item);
    this.#chars += content.length;
    return item;
  }

  #effect(entry) {
    if (entry.type === "topic") this.topic = entry.topic;
    if (entry.type === "moderation" && entry.kind) this.access = entry.kind;
    const item = entry.of === undefined ? null : this.find(entry.of);
    if (!item) return;
    if (entry.type === "edited" && entry.content !== undefined) {
      Object.assign(item, { content: entry.content, edited: entry.timestamp });
    } else if (entry.type === "deleted") {
      Object.assign(item, { type: "deleted", content: "", reactions: new Map() });
    } else if (entry.type === "reacted") react(item.reactions, entry);
    item.version += 1;
  }

  /** The message with this `seq`, if it is held. */
  find(seq) {
    const index = this.indexOf(seq);
    return this.items[index]?.seq === seq ? this.items[index] : null;
  }

  /** Where it is among `items`, or where it would be. */
  indexOf(seq) {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // --- What does not last ---------------------------------------------------------------------------------------

  countUnread(user) {
    const unread = this.items.filter((item) => item.seq > this.read && isSaid(item) && item.sender !== user);
    this.unread = unread.length;
    this.atLeast = this.from !== null && this.from > this.read + 1 && !this.complete;
  }

  /** All up to `seq` is read. Returns whether that is news. */
  markRead(seq) {
    if (seq <= this.read) return false;
    this.read = seq;
    return true;
  }

  typed(name, isTyping, now = Date.now()) {
    if (isTyping) this.#typing.set(name, now + TYPING_MS);
    else this.#typing.delete(name);
  }

  /** Who is typing. */
  typists(now = Date.now()) {
    for (const [name, until] of this.#typing) if (until <= now) this.#typing.delete(name);
    return [...this.#typing.keys()];
  }

  arrived(names) {
    if (this.users) this.users = [...new Set([...this.users, ...names])];
  }

  departed(names) {
    if (this.users) this.users = this.users.filter((name) => !names.includes(name));
  }
}

/** Whether somebody said it: not a note of the server's, and not deleted. */
export const isSaid = (item) => item.type === "message" || item.type === "private";

/** The last ones, at most so many, and with at most so many characters in all. */
function newest(items, most, chars) {
  let from = items.length;
  let left = chars;
  while (from > 0 && items.length - from < most && left >= 0) {
    from -= 1;
    left -= items[from].content?.length ?? 0;
  }
  return items.slice(left < 0 ? from + 1 : from);
}

function react(reactions, { emoji, sender, remove }) {
  const one = reactions.get(emoji) ?? { count: 0, users: [] };
  const had = one.users.includes(sender);
  if (remove) {
    if (had || one.count > one.users.length) one.count -= 1;
    one.users = one.users.filter((name) => name !== sender);
  } else if (!had) {
    one.users.push(sender);
    one.count += 1;
  }
  if (one.count > 0) reactions.set(emoji, one);
  else reactions.delete(emoji);
}
