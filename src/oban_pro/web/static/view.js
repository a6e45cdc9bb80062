// This module asks the server for the part of the workflow that the page shows, and keeps the answers. It runs before the
// scripts that draw the answers, so that the server works on the first answer while the browser loads these scripts.

import { ask } from "./follow.js";

export const asked = new URLSearchParams(location.search);
const keysOf = (name) => (asked.get(name) ?? "").split(",").filter(Boolean);
export const opened = new Set(keysOf("open"));
export const shut = new Set(keysOf("shut"));
// For each large group, the members that are drawn. They stay the same until the reader asks for others.
export const windows = new Map();

export const isJobId = (id) => /^\d+$/.test(id ?? "");
// The member that the address selects.
export const chosen = () => location.hash.slice(1) || null;

function urlNear(id) {
  const query = { open: [...opened].join(), shut: [...shut].join(), windows: JSON.stringify(Object.fromEntries(windows)), near: id ?? "" };
  return `${location.pathname}/view.json?${new URLSearchParams(query)}`;
}

function begin() {
  const url = urlNear(isJobId(chosen()) ? chosen() : null);
  const answer = ask(url);
  // `readView` reports an error of it
  answer.catch(() => {});
  return { url, answer };
}

let first = begin();
let known = {};

// Read the view with a job and its neighbours, if there is one; null where it is the one that was read before.
export async function readView(near) {
  const url = urlNear(near);
  const early = first?.url === url ? first.answer : null;
  first = null;
  const response = await (early ?? ask(url, known.url === url ? known.mark : null));
  if (response.status === 304) return null;
  const view = await response.json();
  known = { url, mark: response.headers.get("ETag") };
  return view;
}

// Note which members of large groups are drawn.
export function keepWindows(model) {
  windows.clear();
  for (const { kind, parent } of model.members.values()) {
    if (kind !== "rest" || windows.has(parent)) continue;
    const jobs = model.inOrder(parent).filter((member) => member.kind !== "rest");
    windows.set(parent, {
      since: Number(jobs.find((member) => !member.extra).id),
      keep: jobs.filter((member) => member.extra === "kept").map((member) => Number(member.id)),
    });
  }
}

// Ask for the next members of a large group, or for the previous ones.
export function turnTo(model, rest) {
  const ids = model.inOrder(rest.parent).filter((member) => member.kind !== "rest" && !member.extra).map((member) => Number(member.id));
  windows.set(rest.parent, rest.id.startsWith("prev") ? { before: ids[0] } : { after: ids.at(-1) });
}
