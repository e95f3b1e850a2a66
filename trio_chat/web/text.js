/**
 * What a message's content becomes: text nodes, links, code. Nothing else is markup, and nothing in a content can make
 * an element of any other kind. Also how times and days are written.
 */

import { el } from "./dom.js";

const FENCE = /^```[^\n`]*\n([\s\S]*?)(?:\n```[ \t]*(?:\n|$)|$(?![\s\S]))/m;
const INLINE = /`([^`\n]+)`|\bhttps?:\/\/[^\s<>"'`]+/giu;
const STOPS = new Set(`.,:;!?…'"*_`); // of a sentence, not of an address
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

/** A content as nodes. */
export function render(content) {
  const parts = [];
  let rest = content;
  for (let fence = FENCE.exec(rest); fence; fence = FENCE.exec(rest)) {
    parts.push(...paragraph(rest.slice(0, fence.index).replace(/\n$/, "")));
    parts.push(el("pre", { dir: "ltr", tabindex: "0" }, el("code", {}, fence[1])));
    rest = rest.slice(fence.index + fence[0].length);
  }
  return [...parts, ...paragraph(rest)];
}

function paragraph(text) {
  return text === "" ? [] : [el("p", { dir: "auto" }, ...inline(text))];
}

function inline(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    const code = match[1];
    const address = code === undefined ? trimmed(match[0]) : "";
    const node = code === undefined ? link(address) : el("code", { dir: "auto" }, code);
    if (node === null) continue;
    parts.push(text.slice(at, match.index), node);
    at = match.index + (code === undefined ? address.length : match[0].length);
  }
  parts.push(text.slice(at));
  return parts.filter((part) => part !== "");
}

/** An address without the stop of the sentence, and without a bracket that was opened before it. */
function trimmed(address) {
  const counts = new Map();
  for (const char of address) counts.set(char, (counts.get(char) ?? 0) + 1);
  const opened = (close) => (counts.get(BRACKETS[close]) ?? 0) >= counts.get(close);
  let end = address.length;
  for (let last = address[end - 1]; STOPS.has(last) || (last in BRACKETS && !opened(last)); last = address[end - 1]) {
    counts.set(last, counts.get(last) - 1);
    end -= 1;
  }
  return address.slice(0, end);
}

/** A link to a page of the web, and to nothing else; null where the text is no address. */
export function link(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  if ((url.protocol !== "http:" && url.protocol !== "https:") || url.username || url.password) return null;
  return el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", dir: "ltr" }, text);
}

/** The first words of a content, for a quote, a notification or a screen reader. */
export function summary(content, chars = 120) {
  const line = content.replace(/\s+/g, " ").trim();
  const cut = [...line.slice(0, chars * 2)].slice(0, chars).join("");
  return cut.length < line.length ? `${cut}…` : cut;
}

/** The order of names for people: "member 2" comes before "member 10". */
export const BY_NAME = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const UNTIL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const DAY_OF_YEAR = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });

export const clock = (date) => CLOCK.format(date);
export const fullTime = (date) => FULL.format(date);

/** Which day it is, here: two messages of one day have the same. */
export const dayOf = (date) => date.getFullYear() * 10000 + date.getMonth() * 100 + date.getDate();

export function dayName(date, today = new Date()) {
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (dayOf(date) === dayOf(today)) return "Today";
  if (dayOf(date) === dayOf(yesterday)) return "Yesterday";
  return (date.getFullYear() === today.getFullYear() ? DAY : DAY_OF_YEAR).format(date);
}

/** What a note of the server's says, with the time in it as it is here: "muted until 12:30". */
export function noteText({ content, until }) {
  return until ? content.replace(until, UNTIL.format(new Date(until))) : content;
}

/** "3 messages", "1 message". */
export const counted = (number, word) => `${number.toLocaleString()} ${word}${number === 1 ? "" : "s"}`;
