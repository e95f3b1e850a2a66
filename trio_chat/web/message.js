/** How one message looks: its row, its quote, its reactions; and the rows between messages. It draws, and keeps nothing. */

import { avatar, el, nameOf, plainText } from "./dom.js";
import { clock, dayName, fullTime, noteText, render, summary } from "./text.js";

const LONG = 6000; // characters of a content that are shown at once
const PLAIN = 100_000; // of one in which links and code are not looked for: it could be nothing else

/**
 * The row of a message. `grouped`: it follows another one of the same sender's, so that the name is not said again.
 * `on`: what its parts do: `react(item, emoji)`, `jump(seq)`, `person(anchor, name)`.
 */
export function messageRow(chat, room, item, grouped, on) {
  const mine = chat.isMe(item.sender);
  const mention = !mine && item.content !== "" && !room.isPrivate && chat.mentions(item.content);
  const classes = ["message", grouped ? "grouped" : "first", mine && "mine", mention && "mention"].filter(Boolean);
  const time = el("time", { datetime: item.at.toISOString(), title: fullTime(item.at) }, clock(item.at));
  const person = el("button", {
    type: "button", class: "person", tabindex: "-1", onclick: ({ currentTarget }) => on.person(currentTarget, item.sender),
  }, nameOf(item.sender));
  const head = grouped ? el("span", { class: "visually-hidden" }, nameOf(item.sender)) : person;
  return el("li", { class: classes.join(" "), tabindex: "-1", "data-seq": item.seq },
    grouped ? null : avatar(item.sender),
    el("div", { class: "head" }, head, " ", time),
    el("div", { class: "body" }, ...body(room, item, on)));
}

function body(room, item, on) {
  if (item.type === "deleted") return [el("p", { class: "deleted" }, "This message was deleted")];
  return [
    item.replyTo === null ? null : quote(room, item.replyTo, on),
    contentOf(item.content),
    item.edited ? el("small", { class: "edited", title: fullTime(new Date(item.edited)) }, "edited") : null,
    item.reactions.size > 0 ? reactions(item, on) : null,
  ];
}

/** A content; of one that is very long the beginning, and the rest where one asks for it. */
function contentOf(content) {
  if (content.length <= LONG) return el("div", { class: "content" }, ...render(content));
  const all = () => whole.replaceChildren(...(content.length > PLAIN ? [el("p", { dir: "auto" }, content)] : render(content)));
  const more = el("button", { type: "button", class: "link", onclick: all }, `Show all ${content.length.toLocaleString()} characters`);
  const whole = el("div", { class: "content" }, ...render(`${content.slice(0, LONG)}…`), more);
  return whole;
}

function quote(room, seq, on) {
  const of = room.find(seq);
  const said = of?.content ? plainText(summary(of.content, 80)) : el("span", {}, of ? "a deleted message" : "an earlier message");
  return el("button", { type: "button", class: "quote", tabindex: "-1", onclick: () => on.jump(seq) },
    el("span", { class: "visually-hidden" }, "In reply to "), of ? nameOf(of.sender) : null, " ", said);
}

function reactions(item, on) {
  const chips = [...item.reactions].map(([emoji, { count, users }]) => {
    const mine = users.some(on.isMe);
    const who = users.length > 0 ? users.join(", ") : "";
    const label = `${emoji}, ${count}${who ? `: ${who}` : ""}`;
    return el("button", {
      type: "button", class: "reaction", tabindex: "-1", "aria-pressed": String(mine), "aria-label": label, title: who,
      onclick: () => on.react(item, emoji, mine),
    }, el("span", {}, emoji), " ", el("span", { class: "count" }, String(count)));
  });
  return el("div", { class: "reactions", role: "group", "aria-label": "Reactions" }, ...chips);
}

/** A note of the server's: a topic, a verdict. */
export function noteRow(item) {
  return el("li", { class: "note", tabindex: "-1", "data-seq": item.seq },
    plainText(noteText(item)), " ", el("time", { datetime: item.at.toISOString(), title: fullTime(item.at) }, clock(item.at)));
}

export function dayRow(date) {
  return el("li", { class: "mark day" }, el("span", {}, dayName(date)));
}

export function newRow() {
  return el("li", { class: "mark new" }, el("span", {}, "New messages"));
}

/** What is on its way, and what became of it. */
export function pendingRow(chat, item) {
  const words = {
    waiting: "Waiting for the connection",
    sending: chat.connection.state === "connected" ? "Sending…" : "Not sent yet: it goes out when the connection is back",
    uncertain: `Perhaps not sent: ${item.reason}`,
    failed: `Not sent: ${item.reason}`,
  }[item.state];
  const stuck = item.state === "uncertain" || item.state === "failed";
  const row = el("li", { class: `message pending ${item.state}`, tabindex: "-1" },
    avatar(chat.user),
    el("div", { class: "head" }, nameOf(chat.user), " ", el("time", {}, clock(item.at))),
    el("div", { class: "body" },
      contentOf(item.content),
      el("p", { class: "state" }, words, stuck ? retry(chat, item) : null)));
  return row;
}

function retry(chat, item) {
  return el("span", { class: "retry" },
    el("button", { type: "button", class: "link", onclick: () => chat.outbox.send(item) }, "Send again"),
    el("button", { type: "button", class: "link", onclick: () => chat.outbox.discard(item) }, "Discard"));
}
