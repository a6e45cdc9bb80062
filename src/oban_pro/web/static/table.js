// The table of all jobs. The server makes pages, searches and filters; this module keeps the query and the selection.

import { load, oneStop, revealIn } from "./dom.js";

const PAUSE = 250;

const table = document.getElementById("table");
const form = document.getElementById("jobs-filter");
const scope = document.getElementById("scope");

const rowOf = (id) => table.querySelector(`tr[data-id="${CSS.escape(id ?? "")}"]`);

let changed = () => {};

let pending = null;

const complain = (text) => { document.getElementById("table-said").textContent = text; };

async function ask(more = {}) {
  const mine = { more };
  pending = mine;
  const query = new URLSearchParams({ ...Object.fromEntries(new FormData(form)), ...more });
  await load(`${form.action}?${query}`, table).then(() => complain(""), (error) => {
    complain(error.message);
    throw error;
  });
  if (pending === mine) {
    pending = null;
    if (more.job) revealRow(more.job);
  }
  settle();
  changed();
}

const settle = oneStop(table, "tr[data-id]");

// A failure is shown above the table already, so nothing more is done with the error here.
const tryAsk = (more) => ask(more).catch(() => {});

// If a page is still loading, reload that page; reloading the visible one would overwrite it.
export function refreshTable() {
  return ask(pending?.more ?? { page: table.firstElementChild?.dataset.page ?? first });
}

// Show the jobs of one group, or all jobs. With `job`, show the page of the table that has this job.
export function showGroup(group, name, job = "") {
  if (!job && form.group.value === group) return;
  narrow(group, name);
  tryAsk({ job });
}

export function filterByState(state) {
  narrow("", "", state);
  tryAsk();
  form.scrollIntoView({ block: "center" });
}

function narrow(group, name, state = "") {
  form.reset();
  form.group.value = group;
  form.state.value = state;
  nameScope(name);
}

export function nameScope(name) {
  scope.textContent = name ? ` in ${name}` : "";
}

export function selectRow(id) {
  const row = rowOf(id);
  for (const other of table.querySelectorAll("tr.selected")) mark(other, false);
  if (row) mark(row, true);
  return row !== null;
}

export function revealRow(id) {
  revealIn(table, rowOf(id));
}

// Return the query of the table, as the page's address has it.
export function tableState() {
  const { q, state, group } = Object.fromEntries(new FormData(form));
  const page = table.firstElementChild?.dataset.page ?? first;
  return { q, state, group, page: page === "1" ? "" : page };
}

let first = "1";

export function restoreTable(query) {
  for (const name of ["q", "state", "group"]) form.elements[name].value = query.get(name) ?? "";
  first = query.get("page") ?? "1";
}

function mark(row, selected) {
  row.classList.toggle("selected", selected);
  row.setAttribute("aria-selected", String(selected));
}

// Return the groups that contain a job of the table, the innermost first.
export function groupsOf(id) {
  return rowOf(id)?.dataset.groups.split(" ") ?? [];
}

export function followTable(whenChanged, select) {
  changed = whenChanged;
  let typing = null;
  const press = (event) => {
    const row = event.target.closest(".pick") ? null : event.target.closest("tr[data-id]");
    if (row) select(row.dataset.id, event);
    return row;
  };
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-to]");
    if (button) tryAsk({ page: button.dataset.to });
    else press(event);
  });
  table.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && press(event)) event.preventDefault();
  });
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(tryAsk, PAUSE);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tryAsk();
  });
}
