/**
 * The page: it makes the parts, gives each what it needs, and keeps what outlives a reload. Read it first, then
 * `chat.js` (what is known), `timeline.js` (what is shown), and `chat-client.js` (how it stays connected).
 */

import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { ConnectionWords } from "./connection.js";
import { byId } from "./dom.js";
import { browser, tab } from "./keep.js";
import { later } from "./later.js";
import { Login } from "./login.js";
import { Members } from "./members.js";
import { openMenu } from "./menu.js";
import { roomEntries } from "./moderation.js";
import { Notices } from "./notices.js";
import { Notifier } from "./notify.js";
import { openSearch } from "./search.js";
import { Sidebar } from "./sidebar.js";
import { Timeline } from "./timeline.js";
import { Toolbar } from "./toolbar.js";

const SESSION = "trio_chat.session"; // in this tab's storage: a reload goes on with it
const NAME = "trio_chat.name"; // in this browser's: what one was called last

const address = new URL("ws", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
address.hash = "";

const chat = new Chat();
const composer = new Composer(chat);
const timeline = new Timeline(chat, new Toolbar(chat, composer));
const sidebar = new Sidebar(chat);
const members = new Members(chat);
const login = new Login((options) => enter(options));
const words = [new ConnectionWords(chat), new Notifier(chat), new Notices(chat)];

function enter(options) {
  chat.start = roomOfAddress() || chat.start;
  chat.enter(address, options);
}

/** The room that the page's address names; nothing where it names none that could be. */
function roomOfAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

// --- The session, over a reload ----------------------------------------------------------------------------------

window.addEventListener("pagehide", () => {
  const saved = chat.client?.saved();
  if (saved && chat.connection.state !== "ended") tab.setItem(SESSION, JSON.stringify(saved));
  chat.client?.detach();
});
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

chat.on("connection", ({ state }) => {
  if (state === "connected") {
    login.hide();
    browser.setItem(NAME, chat.user);
    byId("me").textContent = chat.user;
  } else if (!byId("login").hidden && state === "lost") login.waits("The server cannot be reached. Trying again…");
});

chat.on("ended", (event) => {
  tab.removeItem(SESSION);
  const { user } = chat;
  chat.leave();
  if (event.code === 1000) chat.outbox.clear();
  chat.user = "";
  login.show(event, user);
});

// --- The room that is open ----------------------------------------------------------------------------------------

const title = later(() => {
  const room = chat.current;
  if (!room) return;
  byId("room-title").textContent = room.title;
  byId("room-topic").textContent = room.isPrivate ? "Only the two of you see this" : room.topic;
  byId("room-menu").hidden = roomEntries(chat, room).length === 0;
  byId("empty-title").textContent = room.isPrivate ? `You and ${room.title}` : `Welcome to ${room.title}`;
  byId("messages").setAttribute("aria-label", `Messages in ${room.title}`);
});

const typing = later(() => {
  const room = chat.current;
  const names = room?.typists() ?? [];
  const last = room?.items.at(-1);
  const seen = [...(room?.receipts ?? [])].filter(([name, seq]) => last && seq >= last.seq && !chat.isMe(name)).map(([name]) => name);
  const some = (list) => (list.length > 3 ? `${list.length} people` : list.join(", "));
  const now = names.length > 0 ? `${some(names)} ${names.length === 1 ? "is" : "are"} typing…` : seen.length > 0 ? `Seen by ${some(seen)}` : "";
  if (byId("typing").textContent !== now) byId("typing").textContent = now;
});
setInterval(typing, 2000);

chat.on("opened", (room) => {
  closeDrawers();
  history.replaceState(null, "", `#${encodeURIComponent(room.name)}`);
  title();
  typing();
});
for (const what of ["rooms", "members"]) chat.on(what, title);
for (const what of ["typing", "entries"]) chat.on(what, typing);
window.addEventListener("hashchange", () => {
  const name = roomOfAddress();
  if (chat.connection.state !== "connected" || !name || name === chat.current?.name) return;
  if (name.startsWith("@")) chat.open(name);
  else chat.join(name).catch((error) => chat.notice(error.message));
});

// --- Buttons, drawers, keys ----------------------------------------------------------------------------------------

const drawers = [["rooms", "rooms-toggle"], ["people", "member-toggle"]];

function setDrawer(id, open) {
  const [, toggle] = drawers.find(([drawer]) => drawer === id);
  byId(id).classList.toggle("open", open);
  byId(toggle).setAttribute("aria-expanded", String(open));
  byId("shade").hidden = !drawers.some(([drawer]) => byId(drawer).classList.contains("open"));
  if (open) byId(id).querySelector("button:not([hidden]), input")?.focus();
}

function closeDrawers() {
  for (const [id] of drawers) setDrawer(id, false);
}

for (const [id, toggle] of drawers) {
  byId(toggle).addEventListener("click", () => setDrawer(id, !byId(id).classList.contains("open")));
}
byId("shade").addEventListener("click", closeDrawers);
byId("people-close").addEventListener("click", closeDrawers);
byId("rooms-close").addEventListener("click", closeDrawers);
byId("search").addEventListener("click", () => openSearch(chat));
byId("room-menu").addEventListener("click", ({ currentTarget }) => openMenu(currentTarget, "Room", roomEntries(chat, chat.current)));
byId("leave").addEventListener("click", () => chat.client.close());

document.addEventListener("keydown", (event) => {
  if (byId("app").hidden || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && !byId("shade").hidden) {
    closeDrawers();
    composer.focus();
  } else if ((event.ctrlKey || event.metaKey) && event.key === "k") {
    event.preventDefault();
    openSearch(chat);
  }
});

// --- Begin ------------------------------------------------------------------------------------------------------

const saved = JSON.parse(tab.getItem(SESSION) ?? "null");
tab.removeItem(SESSION);
byId("login-form").elements.username.value = browser.getItem(NAME) ?? "";
if (saved) {
  login.hide();
  enter({ saved });
} else login.show();

export { chat, timeline, sidebar, members, words }; // for whoever looks in from the browser's console
