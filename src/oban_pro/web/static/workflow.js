// The page of a workflow: a graph and a timeline of one model, and a table of all jobs. The three share one selection.

import { count, html, load, oneStop, revealIn, show } from "./dom.js";
import { drawFailures } from "./failures.js";
import { follow, now } from "./follow.js";
import { drawLegend, paintHead } from "./head.js";
import { countHidden, drawGraph, follow as followEdge, layOut, paintGraph, startLayouts } from "./graph.js";
import { makeCanvas } from "./canvas.js";
import { foldChains } from "./chains.js";
import { showGroupPanel } from "./group.js";
import { followSelection } from "./jobs_bulk.js";
import { build } from "./model.js";
import { makeRates, tellRate } from "./rates.js";
import { find, findRunning, hideCompleted } from "./shown.js";
import { filterByState, followTable, groupsOf, nameScope, refreshTable, restoreTable, revealRow, selectRow, showGroup, tableState } from "./table.js";
import { drawTimeline } from "./timeline.js";
import { asked, chosen, isJobId, keepWindows, opened, readView, shut, turnTo, windows } from "./view.js";

// Scripts that few readers need are loaded when they are needed.
const trees = () => import("./tree.js");
const saving = () => import("./saving.js");

const SAID = 15_000;
// "Open all" opens at most this number of groups, because the browser would take long to draw more.
const MOST_OPENED = 100;

startLayouts();
const page = document.getElementById("workflow");
const part = Object.fromEntries(
  [
    "graph", "timeline", "panel", "legend", "live", "delete", "hidden", "failures", "minimap", "tools", "find", "found", "hide", "follow",
  ].map((id) => [id, document.getElementById(id)]),
);
let model = null;
let shape = "";
let graph = null;
const openChains = new Set();
// The selection for which chains were opened, and the selection to which the page has scrolled.
let drawnFor = null;
let revealed = null;
let origin = null;
let silence = null;
// True while the workflow is being deleted: the page then asks for no more data.
let isLeaving = false;
const settleGraph = oneStop(part.graph, "g[data-id]", (id, key) => followEdge(graph, id, key));
const settleTimeline = oneStop(part.timeline, "g[data-id]");
// The group that was just opened or folded. It keeps the focus.
let toggled = null;
// Whether the graph hides completed members, and whether it moves to running ones.
let isHiding = asked.has("hide");
let isFollowing = asked.has("follow");
let followed = null;
const rates = makeRates();
const canvas = makeCanvas(part.graph, part.minimap, { dragged: () => follows(false) });
let selected = chosen();

async function draw() {
  const shown = isHiding ? hideCompleted(model, selected) : model;
  graph = foldChains(shown, openChains);
  const holding = drawnFor === selected ? null : graph.chainOf.get(selected);
  if (holding && !openChains.has(holding)) graph = foldChains(shown, openChains.add(holding));
  drawnFor = selected;
  const edges = [...graph.edgesIn.values()].flat();
  const next = JSON.stringify([[...graph.members.keys()].sort(), edges, [...graph.members.values()].map((member) => member.open)]);
  if (next === shape) return paint();
  shape = next;
  const drawn = graph;
  const placed = await layOut(drawn);
  if (placed === null) return;
  canvas.show(placed, toggled);
  keepFocus(canvas.content, () => drawGraph(drawn, placed, { select: (id, event) => (isChain(id) ? toggle(id) : select(id, event)), toggle }));
  if (toggled) part.graph.querySelector(`[data-id="${CSS.escape(toggled)}"] > .toggle`)?.focus({ preventScroll: true });
  toggled = null;
  const hidden = countHidden(placed);
  const isEmpty = !drawn.places.get(drawn.root.id)?.length;
  part.hidden.textContent = isEmpty && isHiding ? "all of it is completed" : hidden ? `${count(hidden)} edges are not drawn` : "";
  // The browser has painted the rest of the page before this. Both in one frame would take long.
  paintDrawing();
  if (revealed !== selected) reveal();
}

const isChain = (id) => id.startsWith("chain");

// The marks of members, such as "selected" and "found", which graph and timeline both show.
function marking() {
  const found = new Set(find(graph, part.find.value));
  const chain = graph.chainOf.get(selected);
  const holder = openChains.has(chain) ? null : chain ?? (model.members.has(selected) ? null : holderOf(selected));
  return (member) => [
    member.critical && "critical", member.id === selected && "selected", member.id === holder && "holds", found.has(member.id) && "found",
  ].filter(Boolean);
}

function paintDrawing() {
  part.graph.classList.toggle("searched", find(graph, part.find.value).length > 0);
  paintGraph(part.graph, graph, marking(), (member) => tellRate(member, rates.rateOf(member)));
  canvas.paint(graph);
  if (isFollowing) followRunning();
  settleGraph();
}

function paint() {
  paintDrawing();
  keepFocus(part.timeline, () => drawTimeline(model, part.timeline.clientWidth, marking(), select));
  selectRow(selected);
  keepFocus(part.legend, () => drawLegend(model.root, filterByState));
  part.failures.hidden = !model.failures.length;
  keepFocus(part.failures.lastElementChild, () => drawFailures(model.failures, select));
  paintHead(model, tellRate(model.root, rates.rateOf(model.root)), page.dataset.label);
  paintRate();
  settleTimeline();
}

// Draw a part of the page again. Focus and scroll position stay as they are.
function keepFocus(container, make) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  const { scrollTop, scrollLeft } = container;
  container.replaceChildren(make());
  container.scrollTop = scrollTop;
  container.scrollLeft = scrollLeft;
  if (focused) container.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// Return the box that stands for a job that is not drawn: a folded group, or the rest of an open group.
function holderOf(id) {
  const group = groupsOf(id).map((key) => model.members.get(key)).find(Boolean);
  return group?.open ? `rest${group.id}` : group?.id;
}

// Return the selected job if its group is too large to be drawn whole. The server then sends the job and its neighbours.
function nearby() {
  if (!isJobId(selected)) return null;
  const member = model?.members.get(selected);
  return !member || windows.has(member.parent) ? selected : null;
}

function toggle(id) {
  if (isChain(id)) {
    if (!openChains.delete(id)) openChains.add(id);
    toggled = id;
    return draw();
  }
  if (model.members.get(id).kind === "rest") {
    turnTo(model, model.members.get(id));
    return refresh();
  }
  const [from, to] = model.members.get(id).open ? [opened, shut] : [shut, opened];
  from.delete(id);
  to.add(id);
  toggled = id;
  remember();
  refresh();
}

// Select a member. If a key selected it, the focus moves into the panel, and Escape moves it back.
function select(id, event = null) {
  const isKey = event?.type === "keydown";
  if (isKey) origin = { part: event.currentTarget.closest("#graph, #timeline, #table, #failures"), id };
  selected = id;
  if (graph.chainOf.has(id)) draw();
  paint();
  remember();
  part.panel.scrollTop = 0;
  showPanel();
  showRow();
  reveal();
  if (isKey && !part.panel.hidden) part.panel.focus();
  if (id && nearby()) refresh();
}

function close() {
  const { part: from, id } = origin ?? {};
  origin = null;
  select(null);
  from?.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus();
}

// Write open groups, selection and search into the address, so that readers can return to it and send it to others.
function remember() {
  const all = { open: [...opened].join(), shut: [...shut].join(), hide: isHiding && "1", follow: isFollowing && "1", ...tableState() };
  const query = new URLSearchParams(Object.entries(all).filter(([, value]) => value)).toString();
  history.replaceState(null, "", location.pathname + (query && `?${query}`) + (selected ? `#${selected}` : ""));
}

function reveal() {
  revealed = part.graph.querySelector(".selected") ? selected : null;
  canvas.reveal(part.graph.querySelector(":is(.selected, .holds)")?.dataset.id);
  revealIn(part.timeline, part.timeline.querySelector(`:is(.selected, .holds) > .row`));
}

function showRow() {
  const member = model.members.get(selected);
  if (member && member.kind !== "job") showGroup(member.kind === "rest" ? member.parent : member.id, model.path(member));
  else if (selectRow(selected)) revealRow(selected);
  else showGroup("", "", selected ?? "");
}

function showPanel() {
  const member = model?.members.get(selected);
  part.panel.hidden = !selected;
  if (!selected) return;
  if (!member ? isJobId(selected) : member.kind === "job") {
    const shown = selected;
    load(`${page.dataset.url}/jobs/${shown}`, part.panel).then(async () => {
      part.panel.dataset.of = shown;
      return (await trees()).fillValues(part.panel);
    }).catch((error) => {
      if (shown === selected && part.panel.dataset.of !== shown) show(part.panel, html("p", { class: "trouble" }, error.message));
    }).then(closeButton);
  } else if (member) {
    part.panel.dataset.of = selected;
    showGroupPanel(part.panel, member, model.path(member), page.dataset);
    paintRate();
  } else {
    part.panel.hidden = true;
  }
  closeButton();
}

// Update the rate that the panel of a group shows.
function paintRate() {
  const member = model.members.get(selected);
  const place = part.panel.querySelector(".rate");
  if (place && member && member.kind !== "job") place.textContent = tellRate(member, rates.rateOf(member));
}

function closeButton() {
  if (part.panel.hidden || part.panel.querySelector(".close")) return;
  const button = html("button", { class: "close", "aria-label": "Close" }, "×");
  button.addEventListener("click", close);
  part.panel.prepend(button);
}

async function fetchView() {
  if (isLeaving) return;
  const isFirst = model === null;
  // What the table shows first may depend on what is selected.
  const rows = isFirst && !selected ? refreshTable() : null;
  rows?.catch(() => {});
  const view = await readView(nearby());
  const before = model?.members.get(selected)?.state;
  if (view) {
    model = build(view);
    keepWindows(model);
    draw();
  }
  model.now = now();
  rates.note(model, model.now);
  paint();
  const { group, ...others } = tableState();
  if (isFirst && model.members.has(group)) nameScope(model.path(model.members.get(group)));
  if (isFirst && selected && !group && !Object.values(others).some(Boolean)) showRow();
  else await (rows ?? refreshTable());
  const after = model.members.get(selected)?.state;
  if (selected && (before !== after || after === undefined || part.panel.hidden)) showPanel();
}

// Open all groups, and the groups that appear inside them, until none is folded.
async function openAll() {
  shut.clear();
  for (;;) {
    const folded = [...model.members.values()].filter(({ id, kind, open }) => kind !== "job" && kind !== "rest" && !open && !opened.has(id));
    if (!folded.length) return remember();
    if (opened.size + folded.length > MOST_OPENED) {
      remember();
      return say(`${count(folded.length)} more groups stay folded: this graph would be too large.`);
    }
    for (const { id } of folded) opened.add(id);
    await refresh();
  }
}

function foldAll() {
  opened.clear();
  openChains.clear();
  for (const { id, kind, open } of model.members.values()) if (open && kind !== "job" && id !== model.root.id) shut.add(id);
  remember();
  refresh();
}

function hides(yes) {
  isHiding = yes;
  part.hide.setAttribute("aria-pressed", String(yes));
  if (!model) return;
  remember();
  draw();
}

function follows(yes) {
  if (isFollowing !== yes && model) setTimeout(remember);
  isFollowing = yes;
  followed = null;
  part.follow.setAttribute("aria-pressed", String(yes));
  if (yes && graph) followRunning();
}

function followRunning() {
  const running = findRunning(graph);
  if (running === followed || !canvas.reveal(running)) return;
  followed = running;
}

// The search in the graph. Enter goes from one found member to the next.
let at = -1;
function look(step) {
  const ids = find(graph, part.find.value);
  at = ids.length ? (at + step + ids.length) % ids.length : -1;
  part.found.textContent = !part.find.value.trim() ? "" : ids.length ? `${at + 1} of ${ids.length}` : "none is drawn";
  paint();
  if (ids.length) canvas.reveal(ids[at]);
  return ids[at];
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else part.graph.closest(".split").requestFullscreen();
}

const tools = {
  hide: () => hides(!isHiding), follow: () => follows(!isFollowing), "open-all": openAll, "fold-all": foldAll,
  "zoom-out": () => canvas.zoomBy(0.8), "zoom-fit": canvas.fit, "zoom-in": () => canvas.zoomBy(1.25),
  "full-screen": toggleFullScreen,
  "save-svg": async () => (await saving()).saveGraph(canvas, page.dataset.label),
};
for (const [id, action] of Object.entries(tools)) document.getElementById(id).addEventListener("click", action);
oneStop(part.tools, "button")();
hides(isHiding);
follows(isFollowing);
part.find.addEventListener("input", () => { at = -1; look(1); });
part.find.addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    look(event.shiftKey ? -1 : 1);
  } else if (event.key === "ArrowDown") {
    part.graph.querySelector(`[data-id="${CSS.escape(find(graph, part.find.value)[Math.max(at, 0)] ?? "")}"]`)?.focus();
  }
});
part.graph.addEventListener("focusin", ({ target }) => {
  if (!toggled && target.matches(":focus-visible")) canvas.reveal(target.closest("g[data-id]")?.dataset.id);
});
document.addEventListener("fullscreenchange", () => {
  document.getElementById("full-screen").setAttribute("aria-pressed", String(document.fullscreenElement !== null));
  canvas.resize();
});
let painted = null;
new ResizeObserver(([{ contentRect: { width } }]) => {
  if (graph && width !== painted) {
    canvas.resize();
    paint();
  }
  painted = width;
}).observe(part.graph.closest(".views"));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && selected && !document.fullscreenElement) close();
  if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
  event.preventDefault();
  document.querySelector("#jobs-filter input").focus();
});
part.graph.addEventListener("keydown", (event) => {
  const id = event.target.closest("g[data-id]")?.dataset.id;
  const isOpen = graph.members.get(id)?.open;
  if ((event.key === "+" && isOpen === false) || (event.key === "-" && isOpen)) toggle(id);
  if (event.key === "0") canvas.fit();
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!event.shiftKey || !way) return;
  event.preventDefault();
  follows(false);
  canvas.pan(...way);
});
part.panel.addEventListener("click", (event) => {
  const link = event.target.closest("[data-select]");
  const isHere = link && (model.members.has(link.dataset.select) || Number(link.dataset.select) > 0);
  if (!isHere || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  select(link.dataset.select);
});
document.body.addEventListener("htmx:beforeRequest", ({ target }) => { isLeaving = target === part.delete; });
document.body.addEventListener("htmx:responseError", ({ detail }) => {
  isLeaving = false;
  say(`Refused: ${detail.xhr.responseText}`);
});
document.body.addEventListener("htmx:sendError", () => {
  isLeaving = false;
  say("No connection: nothing was done.");
});
document.body.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.requestConfig.verb !== "post") return;
  if (detail.successful) say(detail.xhr.responseText);
  refresh();
});

// Show the result of an action at one fixed place, because its button may be gone.
function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { said.textContent = ""; }, SAID);
}

const settlePicked = followSelection(document.getElementById("table"), page.dataset.url, say, () => refresh());
followTable(() => {
  if (model) {
    // A folded group is marked if the table knows that the selected job is in it.
    if (selected) paint();
    remember();
  }
  settlePicked();
}, select);
restoreTable(asked);

document.getElementById("times").addEventListener("change", () => { if (model) paint(); });

const refresh = follow(part.live, fetchView, {
  events: (seen) => `${page.dataset.url}/events?seen=${seen}`, seen: () => model?.seen, isBusy: () => model?.root.state === "executing",
});
await refresh();
// They are fetched in good time, because an open page may outlive the release of the server that it came from.
requestIdleCallback(() => { trees(); saving(); });
