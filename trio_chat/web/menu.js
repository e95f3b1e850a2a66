/** One menu for the whole page, beside whatever opened it: by mouse, by touch, or by keys as a menu is expected to. */

import { el } from "./dom.js";

const menu = el("div", { id: "menu", role: "menu", popover: "auto" });
const KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
const EDGE = 8; // px between the menu and the window's edge
let opener = null;

document.body.append(menu);
window.addEventListener("resize", () => menu.hidePopover());

menu.addEventListener("keydown", (event) => {
  const items = [...menu.querySelectorAll("[role=menuitem]")];
  const at = items.indexOf(document.activeElement);
  const step = KEYS[event.key];
  if (step) items.at((at + step) % items.length).focus();
  else if (event.key === "Home") items[0].focus();
  else if (event.key === "End") items.at(-1).focus();
  else if (event.key === "Tab") menu.hidePopover();
  else return;
  event.preventDefault();
  event.stopPropagation();
});

menu.addEventListener("toggle", ({ newState }) => {
  opener?.setAttribute("aria-expanded", String(newState === "open"));
  if (newState === "closed" && (menu.contains(document.activeElement) || document.activeElement === document.body)) opener?.focus();
});

/**
 * Open it beside `anchor`. `entries`: `{label, action, danger, short}`, null ones are left out; `short` is what is
 * shown where `label` says it at length. `grid`: side by side, for emoji.
 */
export function openMenu(anchor, label, entries, { grid = false } = {}) {
  if (menu.matches(":popover-open")) menu.hidePopover();
  opener = anchor;
  menu.setAttribute("aria-label", label);
  menu.className = grid ? "menu grid" : "menu";
  const buttons = entries.filter(Boolean).map(({ label: text, short, action, danger }) =>
    el("button", {
      type: "button",
      role: "menuitem",
      tabindex: "-1",
      class: danger ? "danger" : null,
      "aria-label": short ? text : null,
      title: short ? text : null,
      onclick: () => {
        menu.hidePopover();
        action();
      },
    }, short ?? text),
  );
  menu.replaceChildren(...buttons);
  menu.showPopover();
  place(anchor.getBoundingClientRect());
  buttons[0]?.focus();
}

function place(anchor) {
  const { width, height } = menu.getBoundingClientRect();
  const below = anchor.bottom + 4 + height <= window.innerHeight - EDGE;
  const top = below ? anchor.bottom + 4 : Math.max(EDGE, anchor.top - height - 4);
  const left = Math.min(Math.max(EDGE, anchor.right - width), window.innerWidth - width - EDGE);
  menu.style.top = `${top}px`;
  menu.style.left = `${Math.max(EDGE, left)}px`;
}
