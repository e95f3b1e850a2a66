/**
 * What one may do with a person or a room beyond talking. Whether one may moderate a room is `room.mayModerate`; the
 * server has the last word on each act.
 */

import { ask, choice, field } from "./dialogs.js";
import { el } from "./dom.js";

const DURATIONS = [["600", "10 minutes"], ["3600", "1 hour"], ["86400", "1 day"], ["604800", "1 week"], ["", "For good"]];

const ACTS = [
  { action: "mute", label: "Mute…", title: "Mute", says: "can read along, but not write here.", lasts: true },
  { action: "unmute", label: "Unmute" },
  { action: "kick", label: "Remove from room…", title: "Remove", says: "leaves the room, and may come back.", danger: true },
  { action: "ban", label: "Ban…", title: "Ban", says: "leaves the room, and may not come back.", lasts: true, danger: true },
  { action: "promote", label: "Make a moderator" },
  { action: "demote", label: "Moderator no longer" },
];

/** Menu entries for a person in a room: nothing for oneself. */
export function personEntries(chat, room, name) {
  if (chat.isMe(name)) return [];
  const entries = [{ label: "Write in private", action: () => chat.open(`@${name}`) }];
  if (room && !room.isPrivate && room.mayModerate) {
    const everyone = room.key === "general"; // nobody can be sent away from there
    const acts = ACTS.filter(({ action }) => !everyone || (action !== "kick" && action !== "ban"));
    for (const act of acts) entries.push({ label: act.label, danger: act.danger, action: () => judge(chat, room, name, act) });
  }
  const block = (command, done) => async () => {
    await chat.client.request(command, { user: name }).then(() => chat.notice(done), (error) => chat.notice(error.message));
  };
  entries.push({ label: "Block", danger: true, action: block("block", `${name} is blocked: you hear nothing more in private`) });
  entries.push({ label: "Unblock", action: block("unblock", `${name} is no longer blocked`) });
  return entries;
}

function judge(chat, room, name, { action, title, says, lasts, danger }) {
  const act = ({ duration, reason } = {}) =>
    chat.client.moderate(action, room.name, name, { duration: duration ? Number(duration) : undefined, reason });
  if (!title) {
    act().catch((error) => chat.notice(error.message));
    return;
  }
  ask(`${title}: ${name}`, {
    text: `${name} ${says} All in ${room.title} see it.`,
    fields: [
      lasts && field("For how long", choice("duration", DURATIONS, "3600")),
      field("Reason (may be left out)", el("input", { name: "reason", maxlength: "250", dir: "auto" })),
    ],
    confirm: title,
    danger,
    act,
  });
}

/** Lift a ban: whoever is banned is not among the members. */
function unban(chat, room) {
  ask("Lift a ban", {
    fields: [field("Name", el("input", { name: "user", required: true, maxlength: "32", dir: "auto", autocomplete: "off" }))],
    confirm: "Lift the ban",
    act: ({ user }) => chat.client.moderate("unban", room.name, user),
  });
}

function setTopic(chat, room) {
  const input = el("input", { name: "topic", maxlength: "250", dir: "auto", value: room.topic, autocomplete: "off" });
  ask("Topic", {
    fields: [field("What the room is about", input, "Leave it empty to take the topic away.")],
    confirm: "Set the topic",
    act: ({ topic }) => chat.client.request("topic", { room: room.name, topic }),
  });
}

function invite(chat, room) {
  ask("Invite", {
    fields: [field("Name", el("input", { name: "user", required: true, maxlength: "32", dir: "auto", autocomplete: "off" }))],
    confirm: "Invite",
    act: ({ user }) => chat.client.request("invite", { room: room.name, user }),
  });
}

const KINDS = [["public", "Public: who knows it may come in"], ["private", "Private: by invitation"], ["readonly", "Read-only: only moderators write"]];

function settings(chat, room) {
  ask("Room settings", {
    text: "The owner of a room may change these.",
    fields: [
      field("Who comes in, and writes", choice("kind", KINDS, room.access)),
      field("Seconds between two messages of one person", el("input", { name: "slow", type: "number", min: "0", max: "86400", placeholder: "no change" })),
      field("Show who has read", choice("receipts", [["", "No change"], ["yes", "Yes"], ["no", "No"]], "")),
    ],
    confirm: "Save",
    act: ({ kind, slow, receipts }) =>
      chat.client.request("room", {
        room: room.name,
        kind: kind === room.access ? undefined : kind,
        slow_mode: slow === "" ? undefined : Number(slow),
        receipts: receipts === "" ? undefined : receipts === "yes",
      }),
  });
}

/** Menu entries for the room that is open. */
export function roomEntries(chat, room) {
  const leave = () => chat.quit(room).catch((error) => chat.notice(error.message));
  if (room.isPrivate) {
    return [...personEntries(chat, null, room.title).slice(1), { label: "Close the conversation", action: leave }];
  }
  const may = room.mayModerate;
  return [
    may && { label: "Set the topic…", action: () => setTopic(chat, room) },
    may && room.access === "private" && { label: "Invite…", action: () => invite(chat, room) },
    may && room.key !== "general" && { label: "Lift a ban…", action: () => unban(chat, room) },
    may && { label: "Room settings…", action: () => settings(chat, room) },
    room.key !== "general" && { label: "Leave the room", danger: true, action: leave },
  ].filter(Boolean);
}
