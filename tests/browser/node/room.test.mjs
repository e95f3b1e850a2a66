/** What the page holds of one room: a stretch of its log without gaps, each message in its present state. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Room } from "../../../trio_chat/web/room.js";

const message = (seq, fields = {}) => ({ type: "message", room: "den", epoch: "e1", seq, sender: "bob", content: `m${seq}`, timestamp: "2026-01-31T12:00:00.000Z", ...fields });
const page = (entries, fields = {}) => ({ entries, epoch: "e1", first: 1, last: entries.at(-1)?.seq ?? 0, more: false, ...fields });
const shown = (room) => room.items.map(({ content }) => content);

function roomWith(...entries) {
  const room = new Room("den", { epoch: "e1", last: 0 });
  room.prepend(page(entries));
  return room;
}

test("what comes before the first page is there behind it, once", () => {
  const room = new Room("den", { epoch: "e1", last: 3 });
  for (const seq of [4, 5]) room.append(message(seq));
  assert.deepEqual(shown(room), []);
  room.prepend(page([message(3), message(4)]));
  assert.deepEqual(shown(room), ["m3", "m4", "m5"]);
  room.append(message(5));
  room.append(message(6));
  assert.deepEqual(shown(room), ["m3", "m4", "m5", "m6"]);
});

test("older pages stand before, until there is no more", () => {
  const room = new Room("den", { epoch: "e1", last: 4 });
  room.prepend(page([message(3), message(4)], { more: true }));
  assert.equal(room.complete, false);
  room.prepend(page([message(1), message(2)], { last: 4 }));
  assert.deepEqual(shown(room), ["m1", "m2", "m3", "m4"]);
  assert.deepEqual([room.from, room.to, room.complete], [1, 4, true]);
});

test("edits, deletions and reactions change the message they are of", () => {
  const room = roomWith(message(1), message(2));
  room.append({ ...message(3), type: "edited", of: 1, content: "better" });
  room.append({ ...message(4), type: "deleted", of: 2, content: undefined });
  assert.deepEqual(shown(room), ["better", ""]);
  assert.equal(room.items[1].type, "deleted");
  const reacted = (seq, sender, remove) => room.append({ type: "reacted", room: "den", epoch: "e1", seq, of: 1, emoji: "👍", sender, remove, timestamp: "t" });
  reacted(5, "ann");
  reacted(6, "ann");
  reacted(7, "bob");
  assert.deepEqual(room.items[0].reactions.get("👍"), { count: 2, users: ["ann", "bob"] });
  reacted(8, "ann", true);
  reacted(9, "bob", true);
  assert.equal(room.items[0].reactions.size, 0);
  assert.equal(room.to, 9);
});

test("a page shows what was deleted in its place, and no edits of their own", () => {
  const room = roomWith(
    { type: "deleted", room: "den", seq: 1, of: 1, sender: "bob", timestamp: "t" },
    message(2, { edited: "t", reactions: { "👍": { count: 3, users: ["a"] } } }),
    { type: "edited", room: "den", seq: 3, of: 2, content: "m2", sender: "bob", timestamp: "t" },
    { type: "deleted", room: "den", seq: 4, of: 1, sender: "bob", timestamp: "t" },
    { type: "system", event: "topic", room: "den", seq: 5, by: "ann", topic: "tea", content: "ann set the topic: tea", timestamp: "t" },
  );
  assert.deepEqual(room.items.map(({ type }) => type), ["deleted", "message", "topic"]);
  assert.equal(room.items[1].reactions.get("👍").count, 3);
});

test("another log is begun anew", () => {
  const room = roomWith(message(1), message(2));
  room.append(message(1, { epoch: "e2" }));
  assert.deepEqual(shown(room), []);
  room.prepend(page([message(1, { content: "new" })], { epoch: "e2" }));
  assert.deepEqual(shown(room), ["new"]);
});

test("unread is what others said behind the marker", () => {
  const room = new Room("den", { epoch: "e1", last: 4, read: 1 });
  room.prepend(page([message(2), message(3, { sender: "ann" }), message(4)]));
  room.countUnread("ann");
  assert.deepEqual([room.unread, room.atLeast], [2, false]);
  assert.equal(room.markRead(4), true);
  assert.equal(room.markRead(3), false);
  room.countUnread("ann");
  assert.equal(room.unread, 0);
});

test("who typed and said nothing more has stopped", () => {
  const room = new Room("den");
  room.typed("bob", true, 0);
  room.typed("ann", true, 3000);
  assert.deepEqual(room.typists(5000), ["bob", "ann"]);
  assert.deepEqual(room.typists(7000), ["ann"]);
});

test("of a flood the newest is held, and what was before it can be asked for again", () => {
  const room = roomWith(message(1));
  for (let seq = 2; seq <= 30_000; seq++) room.append(message(seq));
  assert.ok(room.items.length <= 20_000);
  assert.deepEqual([room.to, room.items.at(-1).seq, room.complete], [30_000, 30_000, false]);
  assert.equal(room.from, room.items[0].seq);
  room.prepend(page([message(room.from - 1)], { last: 30_000, more: true }));
  assert.equal(room.items[0].seq, room.from);
});

test("of long messages fewer are held", () => {
  const room = roomWith(message(1));
  for (let seq = 2; seq <= 100; seq++) room.append(message(seq, { content: "x".repeat(1_000_000) }));
  assert.ok(room.items.length <= 17);
  assert.equal(room.items.at(-1).seq, 100);
});
