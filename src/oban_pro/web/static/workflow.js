// The page of a workflow: graph and timeline of one model, a table of all jobs, with one selection.

import { count, duration, html, load, pressable, show } from "./dom.js";
import { drawGraph, paintGraph, STATES } from "./graph.js";
import { build } from "./model.js";
import { filterByState, followTable, groupsOf, refreshTable, revealRow, selectRow, showGroup } from "./table.js";
import { drawTimeline } from "./timeline.js";

const POLL = 3000;
// The smallest scale to show a whole graph at, and that of one that has to be scrolled.
const LEGIBLE = 0.55;
const READABLE = 0.85;
const SETTLED = ["completed", "skipped", "cancelled", "discarded"];

const page = document.getElementById("workflow");
const part = Object.fromEntries(
  ["graph", "timeline", "panel", "legend", "state", "summary", "live", "retry", "cancel"].map((id) => [id, document.getElementById(id)]),
);
const opened = new Set();
const shut = new Set();
let model = null;
let shape = "";
let zoom = null;
let selected = location.hash.slice(1) || null;

function draw() {
  const edges = [...model.edgesIn.values()].flat();
  const next = JSON.stringify([[...model.members.keys()].sort(), edges, model.order.map((member) => member.open)]);
  if (next !== shape) {
    shape = next;
    part.graph.replaceChildren(drawGraph(model, { select, toggle }));
    applyZoom();
  }
  paint();
}

function paint() {
  const holder = model.members.has(selected) ? null : holderOf(selected);
  const marks = (member) => [
    member.critical && "critical", member.id === selected && "selected", member.id === holder && "holds",
  ].filter(Boolean);
  paintGraph(part.graph, model, marks);
  keepFocus(part.timeline, () => drawTimeline(model, part.timeline.clientWidth, marks, select));
  selectRow(selected);
  keepFocus(part.legend, () => html("span", {}, ...STATES.filter((state) => model.root.counts[state]).map(stateButton)));
  paintHead(model.root);
}

function stateButton(state) {
  const words = [html("i", { class: `dot state-${state}` }), `${count(model.root.counts[state])} ${state}`];
  return pressable(html("button", { "data-id": state, title: "Show these jobs in the table" }, ...words), () => filterByState(state));
}

function paintHead(root) {
  const open = Object.keys(root.counts).filter((state) => !SETTLED.includes(state));
  const broken = ["cancelled", "discarded", "retryable"].some((state) => root.counts[state]);
  if (part.cancel) part.cancel.disabled = !open.length;
  if (part.retry) part.retry.disabled = !broken;
  const settled = SETTLED.reduce((sum, state) => sum + (root.counts[state] ?? 0), 0);
  const end = root.settled_at ? Date.parse(root.settled_at) : model.now;
  const took = root.attempted_at ? ` · ${duration(end - Date.parse(root.attempted_at))}` : "";
  part.state.replaceChildren(html("span", { class: `badge state-${root.state}` }, root.state));
  part.summary.textContent = `${count(settled)} of ${count(root.total)} jobs${took}`;
  document.title = `${root.state} · ${page.dataset.label}`;
}

// Rows are made anew; whoever stands on one stays there.
function keepFocus(container, make) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  const { scrollTop, scrollLeft } = container;
  container.replaceChildren(make());
  container.scrollTop = scrollTop;
  container.scrollLeft = scrollLeft;
  if (focused) container.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// The folded group, or the rest of an open one, that a job is in which is not drawn.
function holderOf(id) {
  const group = groupsOf(id).map((key) => model.members.get(key)).find(Boolean);
  return group?.open ? `rest${group.id}` : group?.id;
}

function toggle(id) {
  const [from, to] = model.members.get(id).open ? [opened, shut] : [shut, opened];
  from.delete(id);
  to.add(id);
  refresh().then(() => part.graph.querySelector(`[data-id="${CSS.escape(id)}"] > .toggle`)?.focus());
}

function select(id) {
  selected = id;
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  paint();
  part.panel.scrollTop = 0;
  showPanel();
  showRow();
}

function showRow() {
  const member = model.members.get(selected);
  if (member && member.kind !== "job") showGroup(member.id.replace("rest", ""), model.path(member));
  else if (selectRow(selected)) revealRow(selected);
  else showGroup("", "", selected ?? "");
}

function showPanel() {
  const member = model?.members.get(selected);
  part.panel.hidden = !selected;
  if (!selected) return;
  if (!member ? /^\d+$/.test(selected) : member.kind === "job") {
    load(`${page.dataset.url}/jobs/${selected}`, part.panel).then(closeButton);
  } else if (member) {
    show(part.panel, ...groupPanel(member));
  } else {
    part.panel.hidden = true;
  }
  closeButton();
}

function groupPanel(member) {
  const states = Object.entries(member.counts).map(([state, number]) => [
    html("dt", {}, state), html("dd", {}, count(number)),
  ]);
  const link = member.workflow_id
    ? [html("p", {}, html("a", { href: page.dataset.workflows + encodeURIComponent(member.workflow_id) }, "Open as a page of its own"))]
    : [];
  return [
    html("h2", {}, `${model.path(member)} `, html("span", { class: `badge state-${member.state}` }, member.state)),
    html("dl", {}, ...states.flat()), ...link,
  ];
}

function closeButton() {
  if (part.panel.hidden || part.panel.querySelector(".close")) return;
  const button = html("button", { class: "close", "aria-label": "Close" }, "×");
  button.addEventListener("click", () => select(null));
  part.panel.prepend(button);
}

// One request at a time, and between two as long a pause as the first one took.
let running = null;
let again = false;

function refresh() {
  again = true;
  running ??= keepUp().finally(() => { running = null; });
  return running;
}

async function keepUp() {
  while (again) {
    again = false;
    const start = performance.now();
    await fetchView().then(() => tell(null), () => tell("no connection"));
    if (again) await new Promise((done) => { setTimeout(done, performance.now() - start); });
  }
}

async function fetchView() {
  const query = new URLSearchParams({ open: [...opened].join(), shut: [...shut].join() });
  const response = await fetch(`${page.dataset.url}/view.json?${query}`);
  if (!response.ok) return;
  const before = model?.members.get(selected)?.state;
  model = build(await response.json());
  draw();
  refreshTable();
  const after = model.members.get(selected)?.state;
  if (selected && (before !== after || after === undefined || part.panel.hidden)) showPanel();
}

let events = null;

function tell(trouble) {
  part.live.textContent = trouble ?? (events?.readyState === EventSource.OPEN ? "live" : "polling");
}

// A browser opens few connections to one server, so pages in the background give theirs back.
function follow() {
  const listen = () => {
    events = new EventSource(`${page.dataset.url}/events`);
    events.addEventListener("open", () => tell(null));
    events.addEventListener("error", () => tell(null));
    events.addEventListener("changed", refresh);
  };
  const poll = () => {
    const needed = events.readyState !== EventSource.OPEN || model?.root.state === "executing";
    if (needed && !document.hidden) refresh();
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) events.close();
    else listen();
  });
  addEventListener("pagehide", () => events.close());
  listen();
  setInterval(poll, POLL);
}

function applyZoom() {
  const drawing = part.graph.firstElementChild;
  const [, , width, height] = drawing.getAttribute("viewBox").split(" ").map(Number);
  const fit = Math.min(1, (part.graph.clientWidth - 24) / width);
  const scale = zoom ?? (fit > LEGIBLE ? fit : READABLE);
  drawing.setAttribute("width", width * scale);
  drawing.setAttribute("height", height * scale);
  return { fit, scale };
}

function zoomBy(factor) {
  zoom = Math.min(3, Math.max(0.1, applyZoom().scale * factor));
  applyZoom();
}

document.getElementById("zoom-in").addEventListener("click", () => zoomBy(1.25));
document.getElementById("zoom-out").addEventListener("click", () => zoomBy(0.8));
document.getElementById("zoom-fit").addEventListener("click", () => { zoom = applyZoom().fit; applyZoom(); });
new ResizeObserver(() => { if (model) { applyZoom(); paint(); } }).observe(part.graph.closest(".views"));
addEventListener("keydown", (event) => { if (event.key === "Escape" && selected) select(null); });
part.panel.addEventListener("click", (event) => {
  const link = event.target.closest("[data-select]");
  if (!link || !model.members.has(link.dataset.select) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  select(link.dataset.select);
});
document.body.addEventListener("htmx:responseError", ({ detail }) => {
  document.getElementById("said").textContent = `Refused (${detail.xhr.status}).`;
});
document.body.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.requestConfig.verb === "post") refresh();
});

followTable(paint, select);

await refresh();
if (selected) showRow();
follow();
