/**
 * The client's side of a session, without I/O: frames in, events and frames out.
 *
 * It has no clock, no chance and no socket: times (seconds) and random numbers are arguments. Whoever drives it says
 * what happened to the connection (`opened`, `received`, `closed`) and writes what `dataToSend` returns. An entry comes
 * out once, in order, or a `lagged` says that it cannot: where one is missing, the session goes `behind`, and drops
 * entries until it is resumed from where it really stands. Part of the module that `chat-client.js` is the door of.
 *
 * An event is a frame's fields; the `type` of a `system` frame's is its `event`. Entries have their `room` (a private
 * conversation is `@` and the other's name) and `epoch`.
 */

import { Calls, ConnectionEnded, OutcomeUnknown, failureOf, roomOfCall } from "./chat-calls.js";
import { Positions, keyOf } from "./chat-positions.js";

/** The types of what has a place in the log of a room. */
export const ENTRIES = new Set(["message", "private", "edited", "deleted", "reacted", "topic", "moderation"]);
const GUEST_KEYS_END = "The session ended before the answer came";

const isText = (value) => typeof value === "string";
const isDuration = (value) => Number.isFinite(value) && value >= 0;
const isRoom = (value) => typeof value?.room === "string" && Number.isInteger(value.last ?? 0);
// What a field is where it is there; a frame in which it is something else makes no sense.
const FIELDS = new Map([
  ...["type", "event", "room", "epoch", "user", "sender", "from", "to", "by", "session", "ticket", "action", "content"].map((name) => [name, isText]),
  ...["seq", "of", "first", "last", "total", "count"].map((name) => [name, Number.isInteger]),
  ...["retry_after", "jitter"].map((name) => [name, isDuration]),
  ["users", (value) => Array.isArray(value) && value.every(isText)],
  ["rooms", (value) => Array.isArray(value) && value.every(isRoom)],
  ["heartbeat", (value) => value?.interval > 0 && value.timeout > 0],
  ["reconnect", (value) => [value?.base, value?.max, value?.jitter].every(isDuration)],
]);

/** A frame, if the text is one that makes sense; else null. */
function frameOf(text) {
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    return null;
  }
  if (frame === null || typeof frame !== "object" || Array.isArray(frame)) return null;
  return Object.entries(frame).every(([name, value]) => FIELDS.get(name)?.(value) ?? true) ? frame : null;
}

/** A frame as an event, also one of a page of `history`. */
export function eventOf(frame) {
  return frame.type === "system" ? { ...frame, type: String(frame.event) } : frame;
}

export class ChatSession {
  state = "closed"; // or "opening", "welcomed", "ended"
  user = "";
  ticket = null; // for `/ws?ticket=…`: a returning client is not charged to its address
  delay = 0; // seconds until the next connection may be tried
  ended = null; // a ConnectionEnded
  behind = false; // entries were left out: a new connection brings them
  heartbeat = { interval: 20, timeout: 10 };
  limits = {};
  #username;
  #proven; // we come with a token or a password: then keys outlive a session
  #account; // {username, password, register}
  #session = null; // the token to resume it with
  #positions = new Positions();
  #calls = new Calls();
  #backoff = { base: 1, max: 30, jitter: 1 };
  #tries = 0; // since a connection last held
  #welcomedAt = 0;
  #farewell = null; // `retry_after` and `jitter` of `draining`
  #complaint = null; // the error that answered `connect`
  #gap = null; // where one was found, and not yet filled

  /** `saved`: what `saved()` of an earlier page returned, to go on with its session. */
  constructor({ username = null, proven = false, account = null, saved = null } = {}) {
    this.#username = username ?? saved?.user ?? null;
    this.#proven = proven || account !== null;
    this.#account = account;
    if (saved) {
      this.#session = saved.session;
      for (const [room, { epoch, seq }] of Object.entries(saved.rooms)) this.#positions.put(room, epoch, seq);
    }
  }

  // --- Commands -------------------------------------------------------------------------------------------------

  /** Let a command wait to be sent; its `answered` or `failed` event has the id that is returned. */
  request(type, fields = {}) {
    if (this.ended) throw this.ended;
    return this.#calls.add(type, fields, this.limits).id;
  }

  /** The frames to be written now, in order; not faster than the server allows. */
  dataToSend(now) {
    return this.state === "welcomed" ? this.#calls.takeDue(now) : [];
  }

  /** When `dataToSend` has more, if nothing else happens; null: never. */
  nextDue() {
    return this.state === "welcomed" ? this.#calls.nextDue() : null;
  }

  /** What a page that is opened anew needs to go on with this session: JSON, and a secret. Null: there is none. */
  saved() {
    return this.#session && { session: this.#session, user: this.user, rooms: this.#positions.known() };
  }

  // --- The connection -------------------------------------------------------------------------------------------

  /** There is a connection. Returns the frame to begin with. */
  opened(token = null) {
    Object.assign(this, { state: "opening", behind: false });
    this.#complaint = this.#farewell = null;
    if (this.#session === null && this.#account !== null) {
      const { username, password, register } = this.#account;
      return JSON.stringify({ type: register ? "register" : "login", id: 0, username, password });
    }
    const connect = { type: "connect", id: 0 };
    if (this.#username) connect.username = this.#username;
    if (token) connect.token = token;
    if (this.#session !== null) {
      connect.resume = { session: this.#session, rooms: { ...this.#askedFor(), ...this.#positions.known() } };
    }
    return JSON.stringify(connect);
  }

  /** A text frame came. What makes no sense is left out, never an error: a newer server breaks no page. */
  received(text, now) {
    const frame = frameOf(text);
    if (frame === null || this.state === "ended") return [];
    const { type } = eventOf(frame);
    if (this.state === "opening") return this.#opening(frame, type, now);
    if (frame.id !== undefined) return this.#answered(frame, now);
    const room = this.#roomOf(frame);
    if (type === "lagged") return this.#lagged(frame, room);
    if (type === "draining") this.#farewell = { after: frame.retry_after ?? 0, jitter: frame.jitter ?? 0 };
    if (type === "room_closed") this.#positions.forget(room);
    if (type === "room_created" && frame.epoch) this.#positions.told(room, frame.epoch, frame.last ?? 0);
    if (Number.isInteger(frame.seq) && ENTRIES.has(type)) return this.#entry(frame, type, room);
    return this.behind ? [] : [{ ...frame, type, ...(room && { room }) }];
  }

  /** We dropped the connection, to come back at once: nothing is lost. */
  detached() {
    this.delay = 0;
    return this.#lose();
  }

  /** The connection is gone, with a close `code`, or none could be made (null). `random`: 0 ≤ random < 1. */
  closed(code, reason, now, random) {
    if (code === 4501 && this.#complaint?.code === "bad_credentials" && this.#session && this.#account) {
      this.#session = null; // it has ended meanwhile: log in again
    } else if ((code >= 4500 && code <= 4999) || code === 1009) {
      return this.end(new ConnectionEnded(code, this.#complaint?.content || reason || "The server closed the connection"));
    }
    if (this.state === "welcomed" && now - this.#welcomedAt >= this.#backoff.max) this.#tries = 0;
    const farewell = this.#farewell;
    const events = this.#lose();
    this.#tries += 1;
    const { base, max, jitter } = this.#backoff;
    this.delay = Math.min(max, base * 2 ** Math.min(this.#tries - 1, 60)) + jitter * random;
    if (farewell) {
      const asked = farewell.after + farewell.jitter * random;
      this.delay = this.#tries === 1 ? asked : Math.max(this.delay, asked);
    }
    return [...events, { type: "disconnected", code, reason, delay: this.delay }];
  }

  /** It is over for good, by us or by the server: all that waits has failed. */
  end(why) {
    Object.assign(this, { state: "ended", ended: why });
    const failed = this.#calls.clear().filter((call) => !call.internal);
    const events = failed.map(({ id }) => ({ type: "failed", id, error: why }));
    return [...events, { type: "ended", code: why.code, reason: why.message, error: this.#complaint?.code ?? null }];
  }

  #lose() {
    this.state = "closed";
    this.#farewell = null;
    return this.#calls.lost().map(({ id }) => ({ type: "answered", id, frame: {} }));
  }

  // --- Frames ---------------------------------------------------------------------------------------------------

  #roomOf(frame) {
    const other = (from, to) => `@${keyOf(from ?? "") === keyOf(this.user) ? to : from}`;
    if (frame.type === "private") return other(frame.from ?? frame.sender, frame.to);
    if (frame.type === "typing" && frame.room === undefined) return other(frame.from ?? frame.sender, frame.to);
    return frame.room;
  }

  #opening(frame, type, now) {
    if (type === "error") this.#complaint = { code: frame.code ?? "", content: frame.content ?? "" };
    if (type !== "welcome" || typeof frame.session !== "string") return [];
    const { resumed = false, rooms = [] } = frame;
    const lost = resumed ? {} : this.#positions.known();
    const failed = resumed ? [] : this.#uncertain();
    Object.assign(this, { state: "welcomed", user: frame.user, ticket: frame.ticket ?? null });
    this.#session = frame.session;
    this.heartbeat = frame.heartbeat ?? this.heartbeat;
    this.limits = frame.limits ?? {};
    this.#backoff = frame.reconnect ?? this.#backoff;
    this.#welcomedAt = now;
    this.#calls.pace(this.limits, now);
    if (this.#account) this.#account = { ...this.#account, register: false };
    if (resumed) this.#resumed(rooms, frame.more);
    else {
      this.#positions = new Positions();
      for (const { room, epoch, last, after } of rooms) this.#positions.told(room, epoch, after ?? last);
    }
    if (frame.more) this.#askRooms();
    return [...failed, { ...frame, type: "welcomed", rooms, resumed, lost }];
  }

  /** The server goes on from the places that we gave, and in all other rooms from what it last wrote. */
  #resumed(rooms, more) {
    const asked = new Map(Object.entries(this.#askedFor()).map(([room, after]) => [keyOf(room), after]));
    for (const { room, epoch, last } of rooms) {
      const place = this.#positions.place(room);
      const after = asked.get(keyOf(room));
      if (place && place.seq !== null && place.epoch === null) {
        place.epoch = epoch; // we could not say it, so what was lost on the way is not replayed:
        this.behind ||= last > place.seq; // come back, and say it
      } else if (!place && after) this.#positions.put(room, after.epoch, after.seq);
      else if (!place && room.startsWith("@")) {
        this.#positions.put(room, epoch, 0); // it began after our first welcome: we have nothing of it
        this.behind ||= last > 0;
      } else if (!place) this.#positions.put(room, epoch, null); // the next entry tells
    }
    if (!more) this.#positions.keep(rooms.map(({ room }) => room));
  }

  /** A guest of a new session is another user, whose keys are new. What may have been done is not done again. */
  #uncertain() {
    if (this.#proven) return [];
    const calls = [...this.#calls].filter((call) => call.repeated && "key" in call.fields);
    for (const { id } of calls) this.#calls.remove(id);
    return calls.map(({ id }) => ({ type: "failed", id, error: new OutcomeUnknown(GUEST_KEYS_END) }));
  }

  /** `welcome` was too small for all our rooms: ask for the rest. */
  #askRooms(cursor) {
    this.#calls.add("rooms", { mine: true, limit: 200, cursor }, this.limits).internal = true;
  }

  #answered(frame, now) {
    const call = this.#calls.sent(frame.id);
    if (!call) return [];
    if (frame.type === "error") {
      if (call.repeated && "key" in call.fields && typeof frame.retry_after === "number") {
        this.#calls.again(call, now + frame.retry_after); // it says nothing of the first sending, and passes
        return [];
      }
      this.#calls.remove(call.id);
      if (call.internal) return [];
      const error = failureOf(call, frame);
      return [error ? { type: "failed", id: call.id, error } : { type: "answered", id: call.id, frame: {} }];
    }
    this.#calls.remove(call.id);
    this.#learn(call, frame);
    if (!call.internal) return [{ type: "answered", id: call.id, frame }];
    for (const { room, epoch, last } of frame.rooms ?? []) this.#told(room, epoch, last);
    if (frame.cursor) this.#askRooms(frame.cursor);
    return [{ type: "more_rooms", rooms: frame.rooms ?? [] }];
  }

  /** What an answer says of our place in a room. */
  #learn(call, frame) {
    const room = frame.room ?? roomOfCall(call);
    const place = this.#positions.place(room);
    const known = place !== undefined && place.seq !== null;
    if (call.type === "password" && this.#account) this.#account.password = call.fields.new_password;
    else if (call.type === "leave") this.#positions.forget(room);
    else if (call.type === "join") {
      const { after } = call.fields;
      if (after && !known) this.#positions.put(room, after.epoch, after.seq);
      else this.#told(room, frame.epoch, frame.last);
    } else if (call.type === "message" || call.type === "private") {
      if (place && !known && call.repeated) this.behind = true; // what came of the first sending was lost
      this.#told(room, frame.epoch, frame.seq - 1);
    }
  }

  /** An answer says how far a log goes. A place that is behind stays. */
  #told(room, epoch, last) {
    const place = this.#positions.place(room);
    if (!this.behind || !place || place.seq === null) this.#positions.told(room, epoch, last);
  }

  #lagged(frame, room) {
    if (this.behind) return [];
    this.#positions.lagged(room, frame.epoch, frame.first, frame.last);
    return [{ ...frame, type: "lagged", room }];
  }

  #entry(frame, type, room) {
    const place = this.#positions.place(room);
    if (this.behind) {
      if (!place && frame.epoch) this.#positions.put(room, frame.epoch, frame.seq - 1); // a conversation that begins
      return [];
    }
    if ((!place || place.seq === null) && !frame.epoch && this.#entering(room)) return [];
    const before = place ? `${keyOf(room)} ${place.epoch} ${place.seq}` : null;
    const events = [];
    const verdict = this.#positions.entry(room, frame.seq, frame.epoch ?? null);
    if (verdict === "old") return [];
    if (verdict === "gap" && this.#gap !== before) {
      this.#gap = before;
      this.behind = true;
      return [];
    }
    if (verdict === "gap") {
      events.push({ type: "lagged", room, epoch: place.epoch, first: frame.seq, last: frame.seq }); // for the server, too
      place.seq = frame.seq;
    }
    this.#gap = null;
    const { epoch } = this.#positions.place(room);
    const expelled = type === "moderation" && ["kick", "ban"].includes(frame.action) && keyOf(frame.user) === keyOf(this.user);
    if (expelled) this.#positions.forget(room);
    return [...events, { ...frame, type, room, epoch, sender: frame.sender ?? frame.by }];
  }

  /** Whether the answer to a command will tell our place in a room; until then nothing of it is for us. */
  #entering(room) {
    const waits = ({ type }) => type === "message" || type === "join";
    return [...this.#calls].some((call) => waits(call) && keyOf(roomOfCall(call)) === keyOf(room));
  }

  /** Places that a `join` asked for, whose answer may be lost. */
  #askedFor() {
    const joins = [...this.#calls].filter((call) => call.type === "join" && call.repeated && call.fields.after);
    return Object.fromEntries(joins.map((call) => [call.fields.room, call.fields.after]));
  }
}
