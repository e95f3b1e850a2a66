/**
 * What was written and is not yet in the log: kept over a lost connection and a reload of the page, marked as what it
 * is, and each posted once, by its key.
 */

import { ConnectionEnded, OutcomeUnknown, newKey } from "./chat-client.js";
import { tab } from "./keep.js";

const KEEP = "trio_chat.outbox"; // in this tab's storage
const MOST_KEPT = 2_000_000; // characters over a reload: browsers differ in what they take, and it is enough for any message

/**
 * A message on its way is `{key, room, content, replyTo, at, state, reason, seq}`; `state`: "sending", or "uncertain"
 * (it was sent, and nobody can tell whether it is posted), or "failed" (it is not). `seq`: the ack's.
 */
export class Outbox {
  items = [];
  #client;
  #changed;

  /** `client()`: the client of now; `changed(room)`: called when something of a room has changed. */
  constructor(client, changed) {
    this.#client = client;
    this.#changed = changed;
    const kept = JSON.parse(tab.getItem(KEEP) ?? "[]");
    this.items = kept.map((item) => ({ ...item, at: new Date(item.at), state: "waiting" }));
  }

  of(room) {
    return this.items.filter((item) => item.room === room.name);
  }

  add(room, content, replyTo) {
    const item = { key: newKey(), room: room.name, content, replyTo, at: new Date(), seq: null };
    this.items.push(item);
    this.send(item);
  }

  /** Send it, or send it again: the key makes that one message. */
  async send(item) {
    this.#mark(item, "sending");
    const { content, room, replyTo, key } = item;
    const client = this.#client();
    try {
      const answer = room.startsWith("@")
        ? await client.sendPrivate(content, room.slice(1), { replyTo, key })
        : await client.sendMessage(content, room, { replyTo, key });
      item.seq = answer.seq;
      this.#mark(item, "sending");
    } catch (error) {
      const uncertain = error instanceof OutcomeUnknown || (error instanceof ConnectionEnded && item.state === "sending");
      this.#mark(item, uncertain ? "uncertain" : "failed", error.message);
    }
  }

  discard(item) {
    this.items = this.items.filter((other) => other !== item);
    this.#mark(item, "discarded");
  }

  /** Nothing can be sent now: the next session is to say what becomes of it. */
  wait() {
    for (const item of this.items) if (item.seq === null) item.state = "waiting";
  }

  clear() {
    this.items = [];
    this.#keep();
  }

  /** An earlier page left these behind. In a resumed session its keys hold; in a new one nobody can tell. */
  recall(resumed) {
    for (const item of this.items.filter(({ state }) => state === "waiting")) {
      if (resumed) this.send(item);
      else this.#mark(item, "uncertain", "This page was loaded anew before the answer came");
    }
  }

  /** What is in the log up to `seq` is not on its way any longer. */
  arrived(room, seq) {
    const left = this.items.filter((item) => item.room !== room.name || item.seq === null || item.seq > seq);
    if (left.length === this.items.length) return;
    this.items = left;
    this.#keep();
  }

  #mark(item, state, reason = "") {
    Object.assign(item, { state, reason });
    this.#keep();
    this.#changed(item.room);
  }

  #keep() {
    const kept = [];
    let left = MOST_KEPT;
    for (const item of this.items.filter(({ seq }) => seq === null)) {
      const text = JSON.stringify(item);
      left -= text.length;
      if (left < 0) break;
      kept.push(text);
    }
    tab.setItem(KEEP, `[${kept.join()}]`);
  }
}
