/**
 * Builds elements. What people wrote gets into the page through here only, and only ever as text nodes: nothing in this
 * client makes markup of a text, so there is nothing to escape.
 */

/** An element: `props` are attributes (`true`: present; `false`, `null`: absent) or, as functions, `on…` listeners. */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A name, isolated: one written from right to left turns nothing round that stands beside it. */
export function nameOf(text, className = "name") {
  return el("bdi", { class: className }, text);
}

const SVG = "http://www.w3.org/2000/svg";

/** A picture from the sheet in index.html; it says nothing to a screen reader, its button's label does. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function iconButton(name, label, onclick, className = "quiet") {
  return el("button", { type: "button", class: `icon-button ${className}`, "aria-label": label, title: label, onclick }, icon(name));
}

const COLOURS = 8; // .c0 … .c7 in style.css

/** The first letters of a name on a colour that is always the same for it. */
export function avatar(name) {
  let sum = 0;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  const words = name.split(/[\s_.-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [...words[0]][0] + [...words[1]][0] : [...name].slice(0, 2).join("");
  return el("span", { class: `avatar c${sum % COLOURS}`, "aria-hidden": "true" }, letters.toUpperCase());
}

/** Make the children of `parent` exactly `nodes`, in order, moving and keeping what is there already. */
export function reconcile(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}

/** Say something to those who listen to the page; two in a row are both said. */
export function announce(text) {
  const region = byId("announcer");
  region.append(el("p", {}, text));
  while (region.children.length > 5) region.firstElementChild.remove();
}

/** Where `dir=auto` is not asked: texts that others wrote. */
export function plainText(text, className) {
  return el("span", { class: className, dir: "auto" }, text);
}
