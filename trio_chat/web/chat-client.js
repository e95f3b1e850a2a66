/**
 * A client of the protocol for pages and for Node: it stays connected, comes back by itself, resumes, sends again what
 * was not answered, and gives each entry of a room once, in order. It knows nothing of this page: take it (with
 * `chat-session.js`, `chat-calls.js` and `chat-positions.js`) for your own. docs/web.md shows how.
 *
 *     const client = new ChatClient("wss://chat.example/ws", { username: "ann", onEvent: (event) => … });
 *     client.open();
 *     const { seq } = await client.sendMessage("hello", "general");
 *
 * Commands may be given at any time: they wait until there is a connection. Each returns a promise of the server's
 * answer; it rejects with `Refused`, `OutcomeUnknown` or `ConnectionEnded`.
 */

import { ConnectionEnded } from "./chat-calls.js";
import { ChatSession } from "./chat-session.js";

export { ConnectionEnded, OutcomeUnknown, Refused } from "./chat-calls.js";
export { keyOf } from "./chat-positions.js";
export { ENTRIES, eventOf } from "./chat-session.js";

const OPENING_SECONDS = 15; // for a connection to be made, and `connect` to be answered
const CHECK_SECONDS = 4; // for a sign of life when there is reason to doubt it

const now = () => performance.now() / 1000;

/** A key that makes a message one message, however often it is sent. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class ChatClient {
  #url;
  #session;
  #token;
  #renews;
  #onEvent;
  #socket = null;
  #waiting = new Map(); // id → {resolve, reject}
  #retryTimer;
  #flushTimer;
  #lifeTimer;

  /**
   * @param {string | URL} url `ws://…/ws` or `wss://…/ws`.
   * @param {object} options `username`; or with it `password` (and `register`), where the server has accounts; or
   *   `token`, where it asks for tokens: a string, or a function (async or not) that is asked before each connection.
   *   `saved`: what `client.saved()` returned on an earlier page. `onEvent`: called with each event, in order.
   */
  constructor(url, { username, password, register = false, token, saved = null, onEvent = () => {} } = {}) {
    this.#url = new URL(url);
    this.#renews = typeof token === "function";
    this.#token = typeof token === "function" ? token : () => token;
    this.#onEvent = onEvent;
    const account = password ? { username, password, register } : null;
    this.#session = new ChatSession({ username, proven: token !== undefined, account, saved });
  }

  get user() {
    return this.#session.user;
  }

  get connected() {
    return this.#session.state === "welcomed";
  }

  get limits() {
    return this.#session.limits;
  }

  /** Connect, and stay so. Call it once; afterwards it means "try now, and don't wait". */
  open() {
    clearTimeout(this.#retryTimer);
    if (this.#socket === null && !this.#session.ended) this.#connect();
  }

  /** Leave for good: the session ends with it. */
  close() {
    if (this.#session.ended) return;
    this.#stop();
    this.#socket?.close(1000);
    this.#socket = null;
    this.#emit(this.#session.end(new ConnectionEnded(1000, "You left")));
  }

  /** Go away without ending the session: another page goes on with what `saved()` returned. */
  detach() {
    this.#stop();
    this.#release()?.close(4000);
  }

  saved() {
    return this.#session.saved();
  }

  /** Whether the line is really there, for a page that was asleep: if nothing comes in a few seconds, connect anew. */
  check() {
    if (this.#socket === null) this.open();
    else if (this.connected) this.#ask(CHECK_SECONDS);
  }

  // --- Commands -------------------------------------------------------------------------------------------------

  /** Any command of the protocol. Fields that are null or undefined are left out. */
  request(type, fields) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(this.#session.request(type, fields), { resolve, reject });
      queueMicrotask(() => this.#flush());
    });
  }

  /** Post to a room, joining it first if need be. With the same `key` it is posted once, however often it is sent. */
  sendMessage(content, room = "general", { replyTo, key = newKey() } = {}) {
    return this.request("message", { content, room, key, reply_to: replyTo });
  }

  sendPrivate(content, to, { replyTo, key = newKey() } = {}) {
    return this.request("private", { content, to, key, reply_to: replyTo });
  }

  join(room, after) {
    return this.request("join", { room, after });
  }

  leave(room) {
    return this.request("leave", { room });
  }

  history(room, { before, after, limit } = {}) {
    return this.request("history", { room, before, after, limit });
  }

  search(query, { room, limit, cursor } = {}) {
    return this.request("search", { query, room, limit, cursor });
  }

  rooms({ mine, limit, cursor } = {}) {
    return this.request("rooms", { mine, limit, cursor });
  }

  users(room, { limit, cursor } = {}) {
    return this.request("users", { room, limit, cursor });
  }

  edit(room, seq, content) {
    return this.request("edit", { room, seq, content });
  }

  delete(room, seq) {
    return this.request("delete", { room, seq });
  }

  react(room, seq, emoji, remove = false) {
    return this.request("react", { room, seq, emoji, remove: remove || undefined });
  }

  markRead(room, seq) {
    return this.request("read", { room, seq });
  }

  /** Say that one is typing in a room or, where it begins with `@`, to a user. Never sent again. */
  typing(room, isTyping = true) {
    const target = room.startsWith("@") ? { to: room.slice(1) } : { room };
    return this.request("typing", { ...target, isTyping });
  }

  /** `action`: kick, mute, unmute, ban, unban, promote or demote. `duration`: seconds, for a mute or a ban. */
  moderate(action, room, user, { duration, reason } = {}) {
    return this.request(action, { room, user, duration, reason: reason || undefined });
  }

  // --- The connection -------------------------------------------------------------------------------------------

  async #connect() {
    const url = new URL(this.#url);
    if (this.#session.ticket) url.searchParams.set("ticket", this.#session.ticket);
    const socket = (this.#socket = new WebSocket(url, "chat"));
    let opened = false;
    socket.onopen = async () => {
      opened = true;
      const token = await this.#token();
      if (this.#socket === socket) socket.send(this.#session.opened(token));
    };
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => {
      this.#release();
      this.#lost(opened ? code : null, reason);
    };
    this.#emit([{ type: "connecting" }]);
    this.#lifeTimer = setTimeout(() => this.#drop("no answer"), OPENING_SECONDS * 1000);
  }

  #received(data) {
    const events = this.#session.received(data, now());
    if (this.connected) this.#watch();
    this.#emit(events);
    if (this.#session.behind) {
      this.#release()?.close(4000);
      this.#emit(this.#session.detached());
      this.#connect();
    } else this.#flush();
  }

  /** After `interval` seconds of silence ask for a sign of life, and `timeout` seconds later take the line for dead. */
  #watch() {
    clearTimeout(this.#lifeTimer);
    const { interval, timeout } = this.#session.heartbeat;
    this.#lifeTimer = setTimeout(() => this.#ask(timeout), interval * 1000);
  }

  #ask(seconds) {
    this.request("ping").catch(() => {});
    clearTimeout(this.#lifeTimer);
    this.#lifeTimer = setTimeout(() => this.#drop("no sign of life"), seconds * 1000);
  }

  /** Give the connection up without waiting for a peer that may be gone. */
  #drop(reason) {
    this.#release()?.close(4000);
    this.#lost(null, reason);
  }

  #release() {
    const socket = this.#socket;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    this.#socket = null;
    clearTimeout(this.#lifeTimer);
    clearTimeout(this.#flushTimer);
    return socket;
  }

  #lost(code, reason) {
    this.#emit(this.#session.closed(code, reason, now(), Math.random()));
    if (!this.#session.ended) this.#retryTimer = setTimeout(() => this.open(), this.#session.delay * 1000);
  }

  /** A token that is a function's is renewed on the live connection, before it expires. */
  async #refresh() {
    if (this.#renews) this.request("refresh", { token: await this.#token() }).catch(() => {});
  }

  #flush() {
    clearTimeout(this.#flushTimer);
    if (this.#socket?.readyState !== 1) return;
    for (const frame of this.#session.dataToSend(now())) this.#socket.send(frame);
    const due = this.#session.nextDue();
    if (due !== null) this.#flushTimer = setTimeout(() => this.#flush(), Math.max(1, (due - now()) * 1000));
  }

  #stop() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#lifeTimer);
    if (this.#socket) this.#socket.onclose = this.#socket.onmessage = null;
  }

  #emit(events) {
    for (const event of events) {
      if (event.type === "token_expiring") this.#refresh();
      const waiting = this.#waiting.get(event.id);
      if (event.type === "answered") waiting?.resolve(event.frame);
      else if (event.type === "failed") waiting?.reject(event.error);
      else this.#onEvent(event);
      if (event.type === "answered" || event.type === "failed") this.#waiting.delete(event.id);
    }
  }
}
