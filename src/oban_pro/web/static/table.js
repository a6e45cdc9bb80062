// The table of all jobs. Pages, search and filter are the server's; here are what is asked for, and the selection.

import { load } from "./dom.js";

const PAUSE = 250;

const table = document.getElementById("table");
const form = document.getElementById("jobs-filter");
const scope = document.getElementById("scope");

const rowOf = (id) => table.querySelector(`tr[data-id="${CSS.escape(id ?? "")}"]`);

let changed = () => {};

let pending = null;

async function ask(more = {}) {
  const mine = { more };
  pending = mine;
  const query = new URLSearchParams({ ...Object.fromEntries(new FormData(form)), ...more });
  await load(`${form.action}?${query}`, table);
  if (pending === mine) {
    pending = null;
    if (more.job) revealRow(more.job);
  }
  changed();
}

// While another page is on its way, that one: the one that is still shown would take its place.
export function refreshTable() {
  return ask(pending?.more ?? { page: table.firstElementChild?.dataset.page ?? 1 });
}

// Show what is in one group, or everything; where a job is asked for, the page that it is on.
export function showGroup(group, name, job = "") {
  if (!job && form.group.value === group) return;
  narrow(group, name);
  ask({ job });
}

export function filterByState(state) {
  narrow("", "", state);
  ask();
  form.scrollIntoView({ block: "center" });
}

function narrow(group, name, state = "") {
  form.reset();
  form.group.value = group;
  form.state.value = state;
  scope.textContent = name ? ` in ${name}` : "";
}

export function selectRow(id) {
  const row = rowOf(id);
  for (const other of table.querySelectorAll("tr.selected")) mark(other, false);
  if (row) mark(row, true);
  return row !== null;
}

// Within the table alone: the page stays where its reader is.
export function revealRow(id) {
  const row = rowOf(id);
  if (!row) return;
  const [inner, outer] = [row.getBoundingClientRect(), table.getBoundingClientRect()];
  if (inner.top < outer.top + inner.height || inner.bottom > outer.bottom) {
    table.scrollTop += inner.top - outer.top - outer.height / 2;
  }
}

function mark(row, selected) {
  row.classList.toggle("selected", selected);
  row.setAttribute("aria-selected", String(selected));
}

// The groups that a job of the table is in, the innermost first.
export function groupsOf(id) {
  return rowOf(id)?.dataset.groups.split(" ") ?? [];
}

export function followTable(whenChanged, select) {
  changed = whenChanged;
  let typing = null;
  const press = ({ target }) => {
    const row = target.closest("tr[data-id]");
    if (row) select(row.dataset.id);
    return row;
  };
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-to]");
    if (button) ask({ page: button.dataset.to });
    else press(event);
  });
  table.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && press(event)) event.preventDefault();
  });
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(ask, PAUSE);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
}
