// Elements are made from data with attributes and text alone, never from markup.

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

// Cut off as a clock is: rounded, 59.96 seconds would be "60.0s".
export function duration(milliseconds) {
  const whole = Math.max(0, Math.floor(milliseconds));
  if (whole < 1000) return `${whole}ms`;
  const seconds = whole / 1000;
  if (seconds < 60) return `${(Math.floor(whole / 100) / 10).toFixed(1)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${Math.floor(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
}

// Enter and the space bar do what a click does.
export function pressable(element, action) {
  element.addEventListener("click", (event) => {
    event.stopPropagation();
    action();
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    action();
  });
  return element;
}

const asked = new Map();

export function show(target, ...children) {
  asked.delete(target);
  target.replaceChildren(...children);
}

// Fill an element with a part of a page. What was asked for last wins, whatever comes last.
export async function load(url, target) {
  const mine = Symbol(url);
  asked.set(target, mine);
  // Without a connection what is there stays; whoever follows the workflow says so.
  const response = await fetch(url, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!response?.ok) return;
  const text = await response.text();
  if (asked.get(target) === mine) htmx.swap(target, text, { swapStyle: "innerHTML" });
}
