// The graph: dagre places the members of each open group, innermost first, and a group is a box to its parent.

import dagre from "./vendor/dagre-3.1.3/dagre.esm.js";
import { clip, count, pressable, svg } from "./dom.js";

export const STATES = [
  "completed", "skipped", "executing", "retryable", "available", "scheduled", "suspended", "cancelled", "discarded",
];
const JOB = { width: 172, height: 42 };
const FOLDED = { width: 190, height: 60 };
const TITLE = 30;

export function place(model, parent) {
  const members = model.inside.get(parent) ?? [];
  const edges = model.edgesIn.get(parent) ?? [];
  const boxes = new Map(members.map((member) => [member.id, box(model, member)]));
  return edges.length ? layered(boxes, edges) : grid(boxes);
}

function box(model, member) {
  if (!member.open) return { member, ...(member.kind === "job" ? JOB : FOLDED) };
  const inner = place(model, member.id);
  return { member, inner, width: Math.max(inner.width, 150), height: inner.height + TITLE };
}

function layered(boxes, edges) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 44, marginx: 14, marginy: 14 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const [id, { width, height }] of boxes) graph.setNode(id, { width, height });
  // what is set last is placed first
  for (const [from, to] of [...edges].reverse()) graph.setEdge(from, to);
  dagre.layout(graph);
  for (const [id, item] of boxes) {
    const { x, y } = graph.node(id);
    Object.assign(item, { x: x - item.width / 2, y: y - item.height / 2 });
  }
  const lines = graph.edges().map(({ v, w }) => ({ from: v, to: w, points: graph.edge({ v, w }).points }));
  return { boxes, lines, width: graph.graph().width, height: graph.graph().height };
}

// Nothing to order: rows, as square as it gets.
function grid(boxes) {
  const columns = Math.max(1, Math.ceil(Math.sqrt(boxes.size / 3)));
  const items = [...boxes.values()];
  let y = 14;
  let width = 0;
  for (let start = 0; start < items.length; start += columns) {
    let x = 14;
    let height = 0;
    for (const item of items.slice(start, start + columns)) {
      Object.assign(item, { x, y });
      x += item.width + 14;
      height = Math.max(height, item.height);
    }
    width = Math.max(width, x);
    y += height + 14;
  }
  return { boxes, lines: [], width: Math.max(width, 120), height: Math.max(y, 40) };
}

export function drawGraph(model, { select, toggle }) {
  const placed = place(model, model.root.id);
  const arrow = svg("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto",
  }, svg("path", { class: "arrow", d: "M0 0L8 4L0 8z" }));
  return svg("svg", {
    viewBox: `0 0 ${placed.width} ${placed.height}`, width: placed.width, height: placed.height,
    role: "group", "aria-label": "Graph of the workflow, left to right",
  }, svg("defs", {}, arrow), drawInside(placed, { select, toggle }));
}

function drawInside(placed, actions) {
  const lines = placed.lines.map(({ from, to, points }) =>
    svg("path", { class: "edge", "data-from": from, "data-to": to, d: curve(points), "marker-end": "url(#arrow)" }));
  const boxes = [...placed.boxes.values()].map((item) => drawBox(item, actions));
  return svg("g", {}, ...lines, ...boxes);
}

// Through the middles between points, with the points as controls.
export function curve(points) {
  const [first, ...others] = points;
  const last = others.pop();
  const steps = others.map((point, index) => {
    const next = others[index + 1] ?? last;
    const end = index === others.length - 1 ? last : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    return `Q${point.x} ${point.y} ${end.x} ${end.y}`;
  });
  return `M${first.x} ${first.y}${steps.join("")}${steps.length ? "" : `L${last.x} ${last.y}`}`;
}

function drawBox({ member, inner, x, y, width, height }, actions) {
  const isJob = member.kind === "job";
  const group = svg("g", {
    "data-id": member.id, "data-kind": member.kind, transform: `translate(${x} ${y})`,
    tabindex: 0, role: "button",
  });
  const kind = member.is_wait ? "wait" : isJob ? "" : inner ? "box" : "folded";
  if (kind === "folded") {
    group.append(svg("rect", { class: "back", x: 6, y: -5, width: width - 12, height: height - 4, rx: 8 }));
  }
  group.append(member.is_wait ? hexagon(width, height) : svg("rect", { class: "face", width, height, rx: 8 }));
  if (!inner && !member.is_wait) group.append(svg("rect", { class: "stripe", x: 0, y: 8, width: 4, height: height - 16, rx: 2 }));
  group.append(svg("title"));
  group.append(svg("text", { x: 14, y: 19 }, clip(member.name, Math.floor((width - (isJob ? 20 : 48)) / 7))));
  if (!inner) group.append(svg("text", { class: "detail", x: 14, y: 34 }));
  if (kind === "folded") group.append(svg("g", { class: "share" }));
  if (inner) {
    const inside = drawInside(inner, actions);
    inside.setAttribute("transform", `translate(0 ${TITLE - 6})`);
    group.append(inside);
  }
  if (!isJob && member.kind !== "rest") group.append(drawToggle(member, width, actions));
  group.dataset.shape = kind;
  return pressable(group, () => actions.select(member.id));
}

// Nobody runs a wait.
function hexagon(width, height) {
  const points = [[9, 0], [width - 9, 0], [width, height / 2], [width - 9, height], [9, height], [0, height / 2]];
  return svg("polygon", { class: "face", points: points.map((point) => point.join()).join(" ") });
}

function drawToggle(member, width, { toggle }) {
  const label = `${member.open ? "Fold" : "Open"} ${member.name}`;
  return pressable(
    svg("g", {
      class: "toggle", tabindex: 0, role: "button", "aria-expanded": String(member.open), "aria-label": label,
      transform: `translate(${width - 27} 6)`,
    }, svg("rect", { width: 20, height: 18, rx: 4 }), svg("text", { x: 10, y: 14 }, member.open ? "−" : "+")),
    () => toggle(member.id),
  );
}

// What changes while a workflow runs, without placing anything again.
export function paintGraph(root, model, marks) {
  for (const group of root.querySelectorAll("g[data-id]")) {
    const member = model.members.get(group.dataset.id);
    if (!member) continue;
    const classes = ["vertex", `state-${member.state}`, group.dataset.shape, ...marks(member)];
    group.setAttribute("class", classes.filter(Boolean).join(" "));
    const words = describe(member);
    group.setAttribute("aria-label", `${member.name}, ${words}`);
    group.querySelector(":scope > title").textContent = `${member.name}: ${member.wait?.long ?? words}`;
    const detail = group.querySelector(":scope > .detail");
    if (detail) detail.textContent = words;
    const share = group.querySelector(":scope > .share");
    if (share) share.replaceChildren(...shares(member));
  }
  for (const edge of root.querySelectorAll(".edge")) {
    edge.classList.toggle("critical", model.pathEdges.has(`${edge.dataset.from},${edge.dataset.to}`));
  }
}

export function describe(member) {
  if (member.wait) return member.wait.short;
  if (member.kind === "job") {
    return member.attempt > 1 ? `${member.state}, attempt ${member.attempt}` : member.state ?? "";
  }
  const settled = ["completed", "skipped", "cancelled", "discarded"].reduce((sum, state) => sum + (member.counts[state] ?? 0), 0);
  const kind = { fan_out: "fan-out", sub: "sub-workflow", rest: "jobs" }[member.kind] ?? member.kind;
  return `${kind}, ${count(settled)} of ${count(member.total)}`;
}

function shares(member) {
  const width = FOLDED.width - 28;
  let x = 14;
  return STATES.filter((state) => member.counts[state]).map((state) => {
    const part = (width * member.counts[state]) / member.total;
    const rect = svg("rect", { class: `state-${state}`, x, y: 44, width: part, height: 6 },
      svg("title", {}, `${count(member.counts[state])} ${state}`));
    x += part;
    return rect;
  });
}
