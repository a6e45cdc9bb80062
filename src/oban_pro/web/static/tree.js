// Showing values of any size as trees. The entries of a closed node are created only when it is opened.

import { ask } from "./follow.js";
import { count, html } from "./dom.js";

// The tree lists up to this number of entries one by one, and groups more entries into ranges.
const MOST = 100;
// At first, the tree opens up to FIRST lines, and shows up to LONG characters of a text.
const FIRST = 40;
const LONG = 1000;
const TAG = "__python__";

// A number that JavaScript cannot hold exactly, kept as its text.
class Exact {
  constructor(source) { this.source = source; }
}

export function parse(text) {
  return JSON.parse(text, (_, value, context) => (
    typeof value === "number" && context?.source && Number.isInteger(value) && !Number.isSafeInteger(value) ? new Exact(context.source) : value));
}

export function drawTree(value, name = null, budget = { left: FIRST }) {
  const tag = isTagged(value) ? value[TAG] : null;
  if (tag) return drawTree(value.value, [name, html("span", { class: "muted" }, `${tag} `)].filter(Boolean), budget);
  const label = name === null ? [] : [name].flat();
  const entries = entriesOf(value);
  budget.left -= 1;
  if (!entries) return html("div", { class: "leaf" }, ...label, drawScalar(value));
  return drawBranch(label, sizeOf(value), entries, budget);
}

function drawBranch(label, size, entries, budget) {
  const branch = html("details", {}, html("summary", {}, ...label, html("span", { class: "muted" }, size)));
  let isFull = false;
  const fill = (left) => {
    if (isFull) return;
    isFull = true;
    const parts = entries.length <= MOST ? entries.map(([key, part]) => drawTree(part, named(key), left)) : ranges(entries);
    branch.append(html("div", { class: "branch" }, ...parts));
  };
  branch.addEventListener("toggle", () => { if (branch.open) fill({ left: 0 }); });
  if (entries.length <= Math.min(budget.left, MOST)) {
    fill(budget);
    branch.open = true;
  }
  return branch;
}

// Put entries into ranges, and ranges into ranges, so that one click never opens a million entries.
function ranges(entries) {
  let width = MOST;
  while (entries.length / width > MOST) width *= MOST;
  return Array.from({ length: Math.ceil(entries.length / width) }, (_, n) => {
    const part = entries.slice(n * width, (n + 1) * width);
    const name = `${count(n * width)} to ${count(n * width + part.length - 1)}`;
    return drawBranch([html("span", { class: "muted" }, name)], "", part, { left: 0 });
  });
}

const named = (key) => html("span", { class: "entry" }, `${key}: `);
const isTagged = (value) => value !== null && typeof value === "object" && typeof value[TAG] === "string" && "value" in value && Object.keys(value).length === 2;

function entriesOf(value) {
  if (value === null || typeof value !== "object" || value instanceof Exact) return null;
  const entries = Object.entries(value);
  return entries.length ? entries : null;
}

function sizeOf(value) {
  return Array.isArray(value) ? `[${count(value.length)}]` : `{${count(Object.keys(value).length)}}`;
}

function drawScalar(value) {
  if (value instanceof Exact) return html("span", { class: "number-value" }, value.source);
  if (typeof value !== "string") return html("span", { class: `${typeof value}-value` }, JSON.stringify(value));
  const text = html("span", { class: "string-value" }, value.length > LONG ? value.slice(0, LONG) : value);
  if (value.length <= LONG) return text;
  const more = html("button", { class: "link" }, `show all ${count(value.length)} characters`);
  more.addEventListener("click", () => text.replaceChildren(value));
  text.append("… ", more);
  return text;
}

// Load the values of a panel's job, show them as trees, and make their Copy buttons work.
export async function fillValues(panel) {
  const holder = panel.querySelector("[data-values]:not(.filled)");
  if (!holder) return;
  holder.classList.add("filled");
  for (const button of panel.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  const found = parse(await (await ask(holder.dataset.values)).text());
  for (const place of holder.querySelectorAll("section[data-value]")) {
    const value = found[place.dataset.value];
    place.hidden = value === undefined;
    if (value !== undefined) place.lastElementChild.replaceWith(html("div", { class: "tree" }, drawTree(value)));
  }
}

// Copy the text of the element before a button, or the text at the address that the button names.
async function copy(button) {
  const { copy: url } = button.dataset;
  const label = button.textContent;
  try {
    const text = url ? await (await ask(url)).text() : button.closest("section").querySelector("[data-text]").textContent;
    await write(text);
    button.textContent = "Copied";
  } catch (error) {
    button.textContent = `Not copied: ${error.message}`;
  }
  setTimeout(() => { button.textContent = label; }, 2000);
}

// Browsers give a page a clipboard only over HTTPS or on localhost. Elsewhere, select the text and copy the selection.
async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = html("textarea", { class: "skip" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
