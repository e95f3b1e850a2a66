/** The JavaScript client's session, frame by frame: no socket, no clock, no chance. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { OutcomeUnknown, Refused, newKey } from "../../../trio_chat/web/chat-client.js";
import { ChatSession } from "../../../trio_chat/web/chat-session.js";

const GENERAL = { room: "general", epoch: "e1", last: 5, read: 0 };

function welcome(fields = {}) {
  return {
    type: "system", event: "welcome", content: "Welcome ann!", id: 0, user: "ann", session: "s1", ticket: "t1", resumed: false,
    rooms: [GENERAL], heartbeat: { interval: 20, timeout: 10 }, reconnect: { base: 1, max: 30, jitter: 1 },
    limits: { messages_per_second: 10, messages_burst: 40, content_chars: 100, message_bytes: 10_000 }, ...fields,
  };
}

const message = (seq, fields = {}) => ({ type: "message", room: "general", seq, sender: "bob", content: `message ${seq}`, timestamp: "t", ...fields });
const feed = (session, frame, now = 0) => session.received(JSON.stringify(frame), now);
const types = (events) => events.map(({ type }) => type);
const sent = (session, now = 0) => session.dataToSend(now).map((text) => JSON.parse(text));

function connected(options = { username: "ann" }, fields = {}) {
  const session = new ChatSession(options);
  session.opened();
  feed(session, welcome(fields));
  return session;
}

/** Lose the connection, and come back. Returns the `connect` frame. */
function resume(session, fields = {}) {
  session.closed(1006, "", 1, 0);
  const connect = JSON.parse(session.opened());
  feed(session, welcome({ resumed: true, ...fields }), 2);
  return connect;
}

test("an entry comes once, in order", () => {
  const session = connected();
  assert.deepEqual(types(feed(session, message(6))), ["message"]);
  assert.deepEqual(feed(session, message(6)), []);
  assert.deepEqual(types(feed(session, message(7))), ["message"]);
});

test("an event has its room and its epoch, and a system frame's type is its event", () => {
  const session = connected();
  const [event] = feed(session, { type: "system", event: "topic", room: "general", seq: 6, by: "bob", topic: "tea", content: "…" });
  assert.equal(event.type, "topic");
  assert.equal(event.epoch, "e1");
  assert.equal(event.sender, "bob");
  const [psst] = feed(session, { type: "private", from: "bob", sender: "bob", to: "ann", seq: 1, epoch: "p1", content: "psst", timestamp: "t" });
  assert.equal(psst.room, "@bob");
});

test("where an entry is missing, the session is behind until it is resumed from where it stands", () => {
  const session = connected();
  feed(session, message(6));
  assert.deepEqual(feed(session, message(8)), []);
  assert.equal(session.behind, true);
  assert.deepEqual(feed(session, message(9)), []);
  session.detached();
  const connect = JSON.parse(session.opened());
  assert.deepEqual(connect.resume, { session: "s1", rooms: { general: { epoch: "e1", seq: 6 } } });
  feed(session, welcome({ resumed: true }));
  assert.deepEqual([7, 8, 9].flatMap((seq) => types(feed(session, message(seq)))), ["message", "message", "message"]);
});

test("a gap that stays is told as lagged, and the session goes on", () => {
  const session = connected();
  feed(session, message(8));
  session.detached();
  session.opened();
  feed(session, welcome({ resumed: true }));
  const events = feed(session, message(8));
  assert.deepEqual(types(events), ["lagged", "message"]);
});

test("what was not answered is sent again, with its key, and answered once", () => {
  const session = connected();
  const id = session.request("message", { room: "general", content: "hello", key: newKey() });
  const [first] = sent(session);
  resume(session);
  const [second] = sent(session, 2);
  assert.deepEqual(second, first);
  const events = feed(session, { type: "ack", id, seq: 6, room: "general", epoch: "e1" });
  assert.deepEqual(types(events), ["answered"]);
  assert.deepEqual(feed(session, { type: "ack", id, seq: 6, room: "general", epoch: "e1" }), []);
});

test("typing is never sent again", () => {
  const session = connected();
  session.request("typing", { room: "general", isTyping: true });
  sent(session);
  assert.deepEqual(types(session.closed(1006, "", 1, 0)), ["answered", "disconnected"]);
  session.opened();
  feed(session, welcome({ resumed: true }));
  assert.deepEqual(sent(session, 2), []);
});

test("a guest of a new session cannot tell what became of a message; a proven user sends it again", () => {
  for (const [options, outcome] of [[{ username: "ann" }, "failed"], [{ proven: true }, undefined]]) {
    const session = connected(options);
    session.request("message", { room: "general", content: "hello", key: "k" });
    sent(session);
    session.closed(1006, "", 1, 0);
    session.opened();
    const events = feed(session, welcome({ session: "s2" }));
    assert.equal(events[0].type === "failed" ? "failed" : undefined, outcome);
    if (outcome) assert.ok(events[0].error instanceof OutcomeUnknown);
    assert.equal(sent(session, 2).length, outcome ? 0 : 1);
  }
});

test("a new session says where one stood in the old one", () => {
  const session = connected();
  feed(session, message(6));
  session.closed(1006, "", 1, 0);
  session.opened();
  const event = feed(session, welcome({ session: "s2" })).at(-1);
  assert.equal(event.type, "welcomed");
  assert.deepEqual(event.lost, { general: { epoch: "e1", seq: 6 } });
});

test("a session goes on in another page", () => {
  const first = connected();
  feed(first, message(6));
  const second = new ChatSession({ saved: JSON.parse(JSON.stringify(first.saved())) });
  const connect = JSON.parse(second.opened());
  assert.equal(connect.username, "ann");
  assert.deepEqual(connect.resume, { session: "s1", rooms: { general: { epoch: "e1", seq: 6 } } });
});

test("the range of a close code is the verdict", () => {
  for (const [code, final] of [[1000, false], [1006, false], [1009, true], [4001, false], [4499, false], [4500, true], [4999, true], [null, false]]) {
    const session = connected();
    assert.equal(session.closed(code, "", 1, 0).at(-1).type, final ? "ended" : "disconnected", `${code}`);
  }
});

test("it comes back later and later, and at once the draining server is back", () => {
  const session = connected();
  const delays = Array.from({ length: 7 }, () => session.closed(null, "", 1, 0.5).at(-1).delay);
  assert.deepEqual(delays, [1.5, 2.5, 4.5, 8.5, 16.5, 30.5, 30.5]);
  const other = connected();
  feed(other, { type: "system", event: "draining", content: "…", retry_after: 3, jitter: 2 });
  assert.equal(other.closed(4001, "", 1, 0.5).at(-1).delay, 4);
});

test("a draining server is obeyed after losses, too", () => {
  const session = connected();
  resume(session);
  feed(session, { type: "system", event: "draining", content: "…", retry_after: 30, jitter: 0 });
  assert.equal(session.closed(4001, "", 3, 0.5).at(-1).delay, 30);
});

test("no more is sent than the server allows", () => {
  const session = connected();
  for (let number = 0; number < 50; number++) session.request("ping");
  assert.equal(sent(session, 0).length, 36); // nine tenths of the burst
  assert.equal(sent(session, 0).length, 0);
  assert.equal(sent(session, 1).length, 9); // and of a second's worth
  assert.ok(session.nextDue() > 1);
});

test("what is too large is refused before it is sent", () => {
  const tooLarge = (error) => error instanceof Refused && error.code === "too_large";
  const session = connected();
  session.request("message", { content: "😀".repeat(100) });
  assert.throws(() => session.request("message", { content: "x".repeat(101) }), tooLarge);
  const wide = connected({ username: "ann" }, { limits: { content_chars: 10_000, message_bytes: 10_000 } });
  assert.throws(() => wide.request("message", { content: "\u0001".repeat(1000) }), tooLarge); // six bytes each, as JSON
});

test("a refusal that passes is waited out where the first sending may have been done", () => {
  const session = connected();
  const id = session.request("message", { room: "general", content: "hello", key: "k" });
  sent(session);
  resume(session);
  sent(session, 2);
  assert.deepEqual(feed(session, { type: "error", id, code: "rate_limited", content: "…", retry_after: 5 }, 2), []);
  assert.deepEqual(sent(session, 6), []);
  assert.equal(sent(session, 7).length, 1);
});

test("what is done is not refused", () => {
  const session = connected();
  const id = session.request("delete", { room: "general", seq: 3 });
  sent(session);
  resume(session);
  sent(session, 2);
  assert.deepEqual(types(feed(session, { type: "error", id, code: "no_such_entry", content: "…" })), ["answered"]);
});

test("a join that asks for what was missed gets it, and nothing twice", () => {
  const session = connected();
  const id = session.request("join", { room: "den", after: { epoch: "d1", seq: 2 } });
  sent(session);
  feed(session, { type: "ack", id, room: "den", epoch: "d1", last: 4 });
  assert.deepEqual([3, 4, 4, 5].flatMap((seq) => types(feed(session, message(seq, { room: "den" })))), ["message", "message", "message"]);
});

test("whoever is sent away stands there no longer", () => {
  const session = connected({ username: "ann" }, { rooms: [GENERAL, { room: "den", epoch: "d1", last: 0, read: 0 }] });
  feed(session, { type: "system", event: "moderation", room: "den", seq: 1, by: "bob", action: "kick", user: "ann", content: "…" });
  assert.deepEqual(Object.keys(session.saved().rooms), ["general"]);
});

test("rooms that did not fit into the welcome are asked for", () => {
  const session = connected({ username: "ann" }, { more: true });
  const [asked] = sent(session);
  assert.deepEqual([asked.type, asked.mine], ["rooms", true]);
  const page = { type: "room_list", id: asked.id, rooms: [{ room: "den", epoch: "d1", last: 7 }] };
  assert.deepEqual(types(feed(session, page)), ["more_rooms"]);
  assert.deepEqual(session.saved().rooms.den, { epoch: "d1", seq: 7 });
});

test("what makes no sense is left out", () => {
  const session = connected();
  for (const text of ["", "null", "[]", "7", "{", '"x"', '{"id": 99, "type": "ack"}']) {
    assert.deepEqual(session.received(text, 0), [], text);
  }
  assert.deepEqual(types(feed(session, { type: "from_a_newer_server" })), ["from_a_newer_server"]);
});

test("an account logs in, registers once, and logs in again when its session is gone", () => {
  const session = new ChatSession({ account: { username: "ann", password: "secret", register: true } });
  assert.equal(JSON.parse(session.opened()).type, "register");
  feed(session, welcome());
  session.closed(1006, "", 1, 0);
  assert.equal(JSON.parse(session.opened()).type, "connect");
  feed(session, { type: "error", code: "bad_credentials", content: "…", id: 0 });
  assert.equal(session.closed(4501, "", 1, 0).at(-1).type, "disconnected");
  assert.equal(JSON.parse(session.opened()).type, "login");
});

test("a frame that makes no sense is left out, whatever is wrong with it", () => {
  const wrong = [null, true, -1.5, "x", [], [null], {}, { toString: 1 }];
  const kinds = ["welcome", "lagged", "draining", "room_closed", "room_created", "joined", "topic", "moderation"];
  const frames = [
    ...kinds.map((event) => ({ type: "system", event })),
    ...["message", "private", "typing", "user_list", "error", "ack", "read"].map((type) => ({ type })),
  ];
  const given = { ...welcome(), ...message(6), from: "bob", to: "ann", of: 1, by: "bob", action: "kick", users: ["bob"], first: 1, last: 4, retry_after: 1, jitter: 1 };
  for (const frame of frames) {
    for (const field of Object.keys(given)) {
      for (const value of wrong) {
        const session = new ChatSession({ username: "ann" });
        session.opened();
        feed(session, { ...welcome(), [field]: value });
        if (session.state !== "welcomed") feed(session, welcome());
        feed(session, { ...given, ...frame, [field]: value });
        session.closed(1006, "", 1, 0.5);
        assert.ok(Number.isFinite(session.delay), `${JSON.stringify(frame)} ${field}: ${JSON.stringify(value)}`);
      }
    }
  }
});

test("a room has whatever name it has", () => {
  const session = connected({ username: "ann" }, { rooms: [GENERAL, { room: "__proto__", epoch: "e2", last: 3 }] });
  const { rooms } = JSON.parse(JSON.stringify(resume(session).resume));
  assert.deepEqual(Object.keys(rooms), ["general", "__proto__"]);
});
