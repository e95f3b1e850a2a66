/**
 * What this page knows: who we are, our rooms, which one is open, and what is on its way. It hears the client's events,
 * keeps the rooms true, and tells the views what has changed; it draws nothing.
 *
 * It tells: `connection` (state), `rooms`, `opened` (room), `entries` (room), `said` (room, item), `members` (room),
 * `typing` (room), `notice` (text), `ended` (event), `jump` (room, seq).
 */

import { ChatClient, ENTRIES, Refused, eventOf, keyOf } from "./chat-client.js";
import { Outbox } from "./outbox.js";
import { Room, isSaid } from "./room.js";
import { noteText } from "./text.js";

const PAGE = 50; // entries of a first page
const OLDER = 100; // of each that is asked for by scrolling
const LONG = 200; // of each, on the way to a message that is far up
const HOME = "general";
const TOKEN_EXPIRED = 4002;
const LETTERS = "\\p{L}\\p{M}\\p{N}_.\\-"; // of a name

export class Chat {
  rooms = new Map();
  current = null;
  user = "";
  connection = { state: "closed" };
  outbox = new Outbox(
    () => this.client,
    (name) => this.#tell("entries", this.rooms.get(keyOf(name)) ?? null),
  );
  client = null;
  start = HOME; // the room to begin in
  #suspended = null; // the session that waits for a new token
  #listeners = new Map();
  #lost = new Set(); // rooms that we were in, and are coming back to

  on(what, listener) {
    this.#listeners.set(what, [...(this.#listeners.get(what) ?? []), listener]);
  }

  #tell(what, ...details) {
    for (const listener of this.#listeners.get(what) ?? []) listener(...details);
  }

  notice(text) {
    this.#tell("notice", text);
  }

  /** Come in. `options`: as `ChatClient` takes them. */
  enter(url, options) {
    const saved = options.saved ?? this.#suspended;
    this.#suspended = null;
    this.client = new ChatClient(url, { ...options, saved, onEvent: (event) => this.#hear(event) });
    this.client.open();
  }

  /** Leave for good, and forget everything. */
  leave() {
    this.client?.close();
    this.rooms.clear();
    this.current = null;
  }

  isMe(name) {
    return keyOf(name ?? "") === keyOf(this.user);
  }

  // --- Rooms ----------------------------------------------------------------------------------------------------

  room(name, given = {}) {
    const key = keyOf(name);
    if (!this.rooms.has(key)) {
      this.rooms.set(key, new Room(name, given));
      this.#tell("rooms");
    }
    return this.rooms.get(key);
  }

  /** Go to a room that we are in, or to a conversation, which is there as soon as somebody is written to. */
  async open(name) {
    const room = this.room(name);
    this.current = room;
    room.newFrom = room.last > room.read ? room.read + 1 : null;
    this.#tell("opened", room);
    this.#tell("rooms");
    await this.load(room);
    this.#learn(room);
  }

  async join(name) {
    const answer = await this.client.join(name);
    const room = this.room(answer.room, { epoch: answer.epoch, last: answer.last });
    await this.open(room.name);
    this.describe();
  }

  send(room, content, replyTo) {
    this.outbox.add(room, content, replyTo);
  }

  async quit(room) {
    if (!room.isPrivate) await this.client.leave(room.name);
    this.#drop(room);
  }

  #drop(room) {
    this.rooms.delete(room.key);
    if (this.current === room) this.open(HOME);
    this.#tell("rooms");
  }

  /** Topics and kinds of our rooms, which `welcome` does not say. */
  async describe() {
    let cursor;
    do {
      const page = await this.client.rooms({ mine: true, limit: 200, cursor }).catch(() => ({ rooms: [] }));
      for (const { room: name, topic = "", kind, members } of page.rooms) {
        const room = this.rooms.get(keyOf(name));
        if (room) Object.assign(room, { topic, access: kind, total: members });
      }
      cursor = page.cursor;
    } while (cursor);
    this.#tell("rooms");
  }

  /** Who is here, and whether we may moderate: the protocol tells ranks to nobody, but it refuses what one may not. */
  async #learn(room) {
    if (room.isPrivate) return;
    this.loadUsers(room);
    const harmless = this.client.request("unban", { room: room.name, user: this.user }); // who is in a room is not banned
    await harmless.then(
      () => (room.mayModerate = true),
      (error) => (room.mayModerate = error instanceof Refused && error.code === "no_such_user"),
    );
    this.#tell("members", room);
  }

  async loadUsers(room, more = false) {
    const cursor = more ? room.usersCursor : undefined;
    const page = await this.client.users(room.name, { limit: 200, cursor }).catch(() => null);
    if (!page) return;
    room.users = more ? [...new Set([...room.users, ...page.users])] : page.users;
    Object.assign(room, { usersCursor: page.cursor, total: page.total });
    this.#tell("members", room);
  }

  // --- History --------------------------------------------------------------------------------------------------

  /** Hold the newest page of a room. */
  load(room) {
    if (room.from !== null) return Promise.resolve();
    return this.#page(room, { limit: PAGE });
  }

  /** Hold one page more, of what was before. */
  loadOlder(room, limit = OLDER) {
    if (room.complete || room.from === null) return Promise.resolve();
    return this.#page(room, { before: room.from, limit });
  }

  #page(room, which) {
    room.loading ??= this.client
      .history(room.name, which)
      .then((page) => room.prepend(page))
      .catch((error) => {
        // A conversation that nobody has begun: it is empty, and that is all of it.
        if (room.isPrivate && error instanceof Refused) Object.assign(room, { from: 1, to: 0, complete: true });
        else if (error instanceof Refused) this.notice(error.message);
      })
      .finally(() => {
        room.loading = null;
        this.outbox.arrived(room, room.to);
        if (room !== this.current) room.countUnread(this.user);
        this.#tell("entries", room);
        this.#tell("rooms");
      });
    return room.loading;
  }

  /** Open the room, and show the message, loading all that is between. */
  async jump(name, seq) {
    if (this.current !== this.rooms.get(keyOf(name))) await this.open(name);
    const room = this.current;
    while (room.from !== null && room.from > seq && !room.complete) await this.loadOlder(room, LONG);
    if (room === this.current) this.#tell("jump", room, seq);
  }

  /** All that is shown of the room is read. */
  markRead(room) {
    const news = room.markRead(Math.max(room.to, room.read));
    if (room.unread === 0 && !news) return;
    Object.assign(room, { unread: 0, atLeast: false, mentioned: false });
    if (news && room.read > 0) this.client.markRead(room.name, room.read).catch(() => {});
    this.#tell("rooms");
  }

  // --- What the client tells ------------------------------------------------------------------------------------

  // What is done with each type of event; a type that is not here is for a newer page.
  #hears = new Map(
    Object.entries({
      connecting: () => this.#connected({ state: this.user ? "reconnecting" : "connecting" }),
      disconnected: (event) => this.#disconnected(event),
      ended: (event) => this.#ended(event),
      welcomed: (event) => this.#welcomed(event),
      more_rooms: (event) => this.#moreRooms(event),
      lagged: (event) => this.#lagged(event),
      user_list: (event) => this.#userList(event),
      joined: (event) => this.#arrived(event),
      left: (event) => this.#departed(event),
      room_created: ({ room, epoch, last }) => this.room(room, { epoch, last }),
      room_closed: (event) => this.#roomClosed(event),
      typing: (event) => this.#typed(event),
      read: (event) => this.#wasRead(event),
      invited: ({ room, content }) => this.#tell("invited", room, content),
      announcement: ({ content }) => this.notice(content),
      draining: ({ content }) => this.notice(content),
      error: ({ content }) => this.notice(content),
      token_expiring: () => this.notice("Your token expires soon. Sign in with a new one then."),
    }),
  );

  #hear(event) {
    if (ENTRIES.has(event.type)) this.#entry(event);
    else this.#hears.get(event.type)?.(event);
  }

  #disconnected({ code, delay }) {
    if (code === TOKEN_EXPIRED) this.#expired();
    else this.#connected({ state: "lost", code, until: Date.now() + delay * 1000 });
  }

  /** The session lives on for whoever brings a new token: ask for one. */
  #expired() {
    this.#suspended = this.client.saved();
    this.client.detach();
    this.client = null;
    this.outbox.wait();
    this.#ended({ code: TOKEN_EXPIRED, reason: "Your token has expired", error: "bad_token" });
  }

  #ended(event) {
    this.#connected({ state: "ended" });
    this.#tell("ended", event);
  }

  #connected(connection) {
    this.connection = connection;
    this.#tell("connection", connection);
  }

  #welcomed({ user, resumed, rooms, lost, more }) {
    const first = this.user === "";
    this.user = user;
    const listed = new Set(rooms.map(({ room }) => keyOf(room)));
    this.#lost = new Set(resumed ? [] : Object.keys(lost).filter((name) => !listed.has(keyOf(name)) && !name.startsWith("@")));
    for (const here of rooms) this.#here(here, resumed);
    for (const [key, room] of this.rooms) {
      if (listed.has(key) || more || [...this.#lost].some((name) => keyOf(name) === key)) continue;
      if (room.isPrivate) room.reset(null, 0);
      else this.rooms.delete(key);
    }
    this.#connected({ state: "connected", resumed, first });
    this.outbox.recall(resumed);
    this.#return();
  }

  #here({ room: name, epoch, last, read }, resumed) {
    const room = this.room(name, { epoch, last, read });
    if (!resumed && !room.isPrivate && !read) room.read = last; // we are new here: nothing waits for us
    else room.read = Math.max(room.epoch === epoch ? room.read : 0, read ?? 0);
    if (!resumed || room.epoch !== epoch) room.reset(epoch, last);
    room.last = Math.max(last, room.last);
  }

  /** Come back into the rooms we were in, open the one that is looked at, and hold those that have news. */
  async #return() {
    for (const name of this.#lost) {
      await this.client.join(name).catch((error) => {
        this.rooms.delete(keyOf(name));
        this.notice(`You are no longer in ${name}: ${error.message}`);
      });
    }
    this.#lost.clear();
    const wanted = this.current && this.rooms.has(this.current.key) ? this.current.name : await this.#startRoom();
    if (this.current?.name !== wanted || this.current.from === null) await this.open(wanted);
    else this.#learn(this.current);
    this.#tell("rooms");
    await this.describe();
    for (const room of this.rooms.values()) if (room.last > room.read) await this.load(room);
  }

  /** The room to begin in, if one can be there. */
  async #startRoom() {
    const name = this.start;
    if (name.startsWith("@") || this.rooms.has(keyOf(name))) return name;
    return this.client.join(name).then(
      ({ room, epoch, last }) => this.room(room, { epoch, last }).name,
      () => HOME,
    );
  }

  #moreRooms({ rooms }) {
    for (const here of rooms) this.#here(here, true);
    this.#tell("rooms");
  }

  #entry(event) {
    if (event.room.startsWith("@") && event.type !== "private" && !this.rooms.has(keyOf(event.room))) return; // by one we block
    const room = this.room(event.room, { epoch: event.epoch, last: event.seq - 1 });
    const item = room.append(event);
    this.outbox.arrived(room, event.seq);
    if (event.sender) room.typed(event.sender, false);
    if (event.type === "moderation" && this.isMe(event.user)) this.#judged(room, event);
    const said = isSaid(event) && !this.isMe(event.sender);
    if (said) {
      room.unread += 1;
      room.mentioned ||= room.isPrivate || this.mentions(event.content);
    }
    this.#tell("entries", room);
    if (said) this.#tell("said", room, item ?? event);
    if (said || event.type === "topic") this.#tell("rooms");
  }

  /** Whether a content calls us by name: as a word, of which the stop of a sentence is no part. */
  mentions(content) {
    const name = keyOf(this.user).replaceAll(".", "\\.");
    return new RegExp(`(?<![${LETTERS}])${name}(?=[.-]*(?![${LETTERS}]))`, "u").test(keyOf(content));
  }

  #judged(room, event) {
    const { action } = event;
    if (action === "kick" || action === "ban") this.#drop(room);
    else if (room === this.current) this.#learn(room);
    this.notice(`${room.name}: ${noteText(event)}`);
  }

  #lagged({ room: name, epoch, last }) {
    const room = this.room(name);
    room.reset(epoch, last);
    this.load(room);
  }

  #userList({ room: name, users, total, cursor }) {
    const room = this.room(name ?? HOME);
    Object.assign(room, { users, total: total ?? users.length, usersCursor: cursor });
    this.#tell("members", room);
  }

  #arrived({ room: name, users = [], total }) {
    const room = this.room(name);
    room.arrived(users);
    room.total = total;
    this.#tell("members", room);
  }

  #departed({ room: name, users = [], total }) {
    const room = this.room(name);
    room.departed(users);
    room.total = total;
    for (const user of users) room.typed(user, false);
    this.#tell("members", room);
  }

  #roomClosed({ room: name, content }) {
    const room = this.rooms.get(keyOf(name));
    if (room) this.#drop(room);
    this.notice(content);
  }

  #typed({ room: name, sender, isTyping }) {
    const room = this.rooms.get(keyOf(name));
    if (!room || this.isMe(sender)) return;
    room.typed(sender, isTyping);
    this.#tell("typing", room);
  }

  #wasRead({ room: name, seq, sender }) {
    const room = this.rooms.get(keyOf(name));
    if (!room) return;
    if (!this.isMe(sender)) room.receipts.set(sender, seq);
    else if (room.markRead(seq)) room.countUnread(this.user);
    this.#tell(this.isMe(sender) ? "rooms" : "typing", room);
  }
}

/** A search hit as the page shows it. */
export function hitOf({ room, entry }) {
  const { seq, content = "", timestamp, sender } = eventOf(entry);
  return { room, seq, content, sender, at: new Date(timestamp) };
}
