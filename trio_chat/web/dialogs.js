/** Questions to the person in front of the page, each a native dialog: the focus stays in it, and Escape leaves it. */

import { el, iconButton } from "./dom.js";

/** A dialog with a title and a button that closes it; it is gone from the page when it is closed. */
export function openDialog(title, body, className = "") {
  const heading = el("h2", { id: "dialog-title", dir: "auto" }, title);
  const dialog = el("dialog", { class: className, "aria-labelledby": "dialog-title" },
    el("header", {}, heading, iconButton("close", "Close", () => dialog.close())), body);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** A field of a form, below its label. */
export function field(label, input, hint) {
  return el("label", { class: "field" }, el("span", {}, label), input, hint ? el("small", {}, hint) : null);
}

export function choice(name, options, selected) {
  const made = options.map(([value, label]) => el("option", { value, selected: value === selected }, label));
  return el("select", { name }, ...made);
}

/**
 * Ask: `fields` are elements with named inputs. `act` gets their values; what it throws is shown, and the dialog stays.
 */
export function ask(title, { text, fields = [], confirm, danger = false, act }) {
  const problem = el("p", { class: "problem", role: "alert" });
  const button = el("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  const form = el("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await act(Object.fromEntries(new FormData(form)));
        dialog.close();
      } catch (error) {
        problem.textContent = error.message;
        button.disabled = false;
      }
    },
  }, text ? el("p", { dir: "auto" }, text) : null, ...fields, problem,
    el("footer", {}, el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), button));
  const dialog = openDialog(title, form);
  (form.querySelector("input, select, textarea") ?? button).focus();
  return dialog;
}
