/** Search, in the room that is open or in all of one's rooms. */

import { openDialog } from "./dialogs.js";
import { el, nameOf, plainText } from "./dom.js";
import { hitOf } from "./chat.js";
import { clock, counted, dayName, summary } from "./text.js";

const WAIT_MS = 350; // after the last key, before it is asked

export function openSearch(chat) {
  const room = chat.current;
  const input = el("input", { type: "search", maxlength: "256", dir: "auto", autocomplete: "off", "aria-label": "Words to look for", placeholder: "Words to look for" });
  const everywhere = el("input", { type: "checkbox" });
  const status = el("p", { class: "status", role: "status" }, "All the words must be there, in any order.");
  const list = el("ol", { class: "hits" });
  const more = el("button", { type: "button", hidden: true, onclick: () => look(true) }, "Show more");
  const form = el("form", { onsubmit: (event) => event.preventDefault() }, input,
    el("label", { class: "check" }, everywhere, " In all rooms"), status, list, more);
  const dialog = openDialog("Search", form, "wide");
  let asked = 0;
  let cursor = null;
  let timer;

  async function look(further = false) {
    const query = input.value.trim();
    const mine = ++asked;
    if (query === "") return;
    status.textContent = "Looking…";
    const which = { room: everywhere.checked ? undefined : room.name, limit: 20, cursor: further ? cursor : undefined };
    try {
      const page = await chat.client.search(query, which);
      if (mine !== asked) return;
      cursor = page.cursor;
      const hits = page.hits.map((hit) => hitRow(hitOf(hit), everywhere.checked));
      if (further) list.append(...hits);
      else list.replaceChildren(...hits);
      const found = list.children.length;
      status.textContent = found === 0 ? "Nothing found." : `${counted(found, "message")}${cursor ? ", and more" : ""}.`;
      more.hidden = !cursor;
    } catch (error) {
      status.textContent = error.message;
    }
  }

  function hitRow(hit, withRoom) {
    const go = () => {
      dialog.close();
      chat.jump(hit.room, hit.seq);
    };
    return el("li", {}, el("button", { type: "button", class: "hit", onclick: go },
      el("span", { class: "head" }, nameOf(hit.sender), " ", el("time", { datetime: hit.at.toISOString() }, `${dayName(hit.at)}, ${clock(hit.at)}`),
        withRoom ? plainText(` in ${hit.room}`, "where") : null),
      plainText(summary(hit.content, 200), "content")));
  }

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT_MS);
  };
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // it would only empty the field
    dialog.close();
  });
  input.addEventListener("input", soon);
  everywhere.addEventListener("change", () => look());
  input.focus();
}
