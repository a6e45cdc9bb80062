// Elements are made from attributes and text only, never from markup, so no stored value can become an element.

import { ask } from "./follow.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function clip(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

export function count(number) {
  return number.toLocaleString("en");
}

// Write a duration. Digits are cut off, not rounded: rounding would write 59.96 seconds as "60.0s".
export function duration(milliseconds) {
  const whole = Math.max(0, Math.floor(milliseconds));
  if (whole < 1000) return `${whole}ms`;
  const seconds = whole / 1000;
  if (seconds < 60) return `${(Math.floor(whole / 100) / 10).toFixed(1)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${Math.floor(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
}

// Call `action` when the element is clicked, and when Enter or the space bar is pressed on it.
export function pressable(element, action) {
  element.addEventListener("click", (event) => {
    event.stopPropagation();
    action(event);
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    action(event);
  });
  return element;
}

// Make all items in `container` one stop of the Tab key. The arrow keys move between items: to the item that `next`
// returns, or else to the neighbour in order. Return a function to call after the items were drawn again.
export function oneStop(container, selector, next = () => null) {
  const all = () => [...container.querySelectorAll(selector)];
  let current = null;
  const settle = () => {
    const items = all();
    const stop = items.find((item) => item.dataset.id === current) ?? items[0];
    for (const item of items) item.setAttribute("tabindex", item === stop ? 0 : -1);
  };
  container.addEventListener("focusin", ({ target }) => {
    const item = target.closest(selector);
    if (item) current = item.dataset.id;
    settle();
  });
  container.addEventListener("keydown", (event) => {
    const item = event.target.closest(selector);
    if (!item || event.shiftKey || !KEYS.has(event.key)) return;
    event.preventDefault();
    const items = all();
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const at = { Home: 0, End: items.length - 1 }[event.key] ?? items.indexOf(item) + step;
    const chosen = next(item.dataset.id, event.key);
    (items.find((other) => other.dataset.id === chosen) ?? items[at])?.focus();
  });
  return settle;
}

const KEYS = new Set(["ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "Home", "End"]);

// Scroll `container` until `element` is visible. The page itself does not scroll.
export function revealIn(container, element) {
  if (!element) return;
  const [inner, outer] = [element.getBoundingClientRect(), container.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    container.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
  }
  if (inner.left < outer.left || inner.right > outer.right) {
    container.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
  }
}

const asked = new Map();
const shown = new Map();

export function show(target, ...children) {
  asked.delete(target);
  shown.delete(target);
  target.replaceChildren(...children);
}

// Load a part of a page into `target`. The latest request wins, even if an earlier answer arrives after its answer.
export async function load(url, target) {
  const mine = Symbol(url);
  const before = shown.get(target);
  asked.set(target, mine);
  const response = await ask(url, before?.url === url ? before.mark : null);
  const text = await response.text();
  if (response.status === 304 || asked.get(target) !== mine) return;
  shown.set(target, { url, mark: response.headers.get("ETag") });
  htmx.swap(target, text, { swapStyle: "innerHTML" });
}
