// Drawing the graph: each member is a box at the place that the layout has chosen.

import { clip, count, pressable, svg } from "./dom.js";
import { FOLDED, TITLE } from "./sizes.js";
import { STATES } from "./states.js";

// Compute the layout of a model in a worker. Resolves to null if the page has asked for a newer layout since.
export function layOut(model) {
  startLayouts();
  turn += 1;
  const trim = (member) => ({ id: member.id, kind: member.kind, open: member.open });
  const inside = new Map([...model.places].map(([id, members]) => [id, members.map(trim)]));
  worker.postMessage({ turn, root: model.root.id, inside, edgesIn: model.edgesIn });
  awaited?.(null);
  return new Promise((done) => { awaited = done; });
}

let worker = null;
let turn = 0;
let awaited = null;

// Start the worker, which takes a while, before there is anything to place.
export function startLayouts() {
  if (worker) return;
  worker = new Worker(new URL("./layout_worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => { if (data.turn === turn) awaited(data.placed); });
}

export function drawGraph(model, placed, actions) {
  const arrow = svg("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto",
  }, svg("path", { class: "arrow", d: "M0 0L8 4L0 8z" }));
  return svg("g", { role: "none" }, svg("defs", {}, arrow), drawInside(model, placed, actions));
}

function drawInside(model, placed, actions) {
  const lines = placed.lines.map(({ to, ups, downs, points }) => svg("path", {
    class: "edge", "data-ups": ups.join(), "data-downs": downs.join(), d: curve(points),
    "marker-end": to.startsWith("joint") ? null : "url(#arrow)",
  }));
  const joints = placed.joints.map(({ x, y }) => svg("circle", { class: "joint", cx: x, cy: y, r: 4 },
    svg("title", {}, "Each on the right depends on each on the left")));
  const boxes = [...placed.boxes.values()].map((item) => drawBox(model, item, actions));
  return svg("g", {}, ...lines, ...joints, ...boxes);
}

// Count the edges that were left out because there are too many.
export function countHidden(placed) {
  return [...placed.boxes.values()].reduce((sum, { inner }) => sum + (inner ? countHidden(inner) : 0), placed.hidden);
}

// Return the path of a curve: it passes the middle between neighbouring points, and the points are its control points.
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

function drawBox(model, { member: { id }, inner, x, y, width, height }, actions) {
  const member = model.members.get(id);
  const isJob = member.kind === "job";
  const group = svg("g", {
    "data-id": member.id, "data-kind": member.kind, transform: `translate(${x} ${y})`,
    tabindex: -1, role: "treeitem", "aria-expanded": isJob || member.kind === "rest" ? null : String(member.open),
  });
  const kind = member.is_wait ? "wait" : member.is_final ? "final" : isJob ? "" : inner ? "box" : "folded";
  if (kind === "folded") {
    group.append(svg("rect", { class: "back", x: 6, y: -5, width: width - 12, height: height - 4, rx: 8 }));
  }
  group.append(member.is_wait ? hexagon(width, height) : svg("rect", { class: "face", width, height, rx: member.is_final ? height / 2 : 8 }));
  if (!inner && !member.is_wait && !member.is_final) group.append(svg("rect", { class: "stripe", x: 0, y: 8, width: 4, height: height - 16, rx: 2 }));
  group.append(svg("title"));
  group.append(svg("text", { x: 14, y: 19 }, clip(member.name, Math.floor((width - (isJob ? 20 : 48)) / 7))));
  if (!inner) group.append(svg("text", { class: "detail", x: 14, y: 34 }));
  if (kind === "folded") group.append(svg("g", { class: "share" }), svg("text", { class: "detail speed", x: 14, y: 61 }));
  if (inner) {
    const inside = drawInside(model, inner, actions);
    inside.setAttribute("role", "group");
    inside.setAttribute("transform", `translate(0 ${TITLE - 6})`);
    group.append(inside);
  }
  if (!isJob) group.append(drawToggle(member, width, actions));
  group.dataset.shape = kind;
  return pressable(group, (event) => actions.select(member.id, event));
}

// Waits are drawn as hexagons, because no node runs them.
function hexagon(width, height) {
  const points = [[9, 0], [width - 9, 0], [width, height / 2], [width - 9, height], [9, height], [0, height / 2]];
  return svg("polygon", { class: "face", points: points.map((point) => point.join()).join(" ") });
}

function drawToggle(member, width, { toggle }) {
  const isRest = member.kind === "rest";
  const label = isRest ? `Show some of ${member.name}` : `${member.open ? "Fold" : "Open"} ${member.name}`;
  const sign = isRest ? (member.id.startsWith("prev") ? "←" : "→") : member.open ? "−" : "+";
  return pressable(
    svg("g", {
      class: "toggle", tabindex: -1, role: "button", "aria-expanded": isRest ? null : String(member.open), "aria-label": label,
      transform: `translate(${width - 27} 6)`,
    }, svg("rect", { class: "reach", x: -6, y: -8, width: 32, height: 32 }), svg("rect", { width: 20, height: 18, rx: 4 }), svg("text", { x: 10, y: 14 }, sign)),
    () => toggle(member.id),
  );
}

// Draw states, counts, marks and rates again, which change while a workflow runs. Boxes stay where they are.
export function paintGraph(root, model, marks, tellRate) {
  for (const group of root.querySelectorAll("g[data-id]")) {
    const member = model.members.get(group.dataset.id);
    if (!member) continue;
    const classes = ["vertex", `state-${member.state}`, group.dataset.shape, ...marks(member)];
    group.setAttribute("class", classes.filter(Boolean).join(" "));
    const rate = member.kind === "job" ? "" : tellRate(member);
    const words = describe(member);
    group.setAttribute("aria-label", `${member.name}, ${words}`);
    group.setAttribute("aria-selected", String(classes.includes("selected")));
    group.querySelector(":scope > title").textContent = `${member.name}: ${member.wait?.long ?? words}${rate && `, ${rate}`}`;
    const detail = group.querySelector(":scope > .detail:not(.speed)");
    if (detail) detail.textContent = words;
    const speed = group.querySelector(":scope > .speed");
    if (speed) speed.textContent = rate;
    const share = group.querySelector(":scope > .share");
    if (share) share.replaceChildren(...shares(member));
  }
  for (const edge of root.querySelectorAll(".edge")) {
    const [ups, downs] = [edge.dataset.ups.split(","), edge.dataset.downs.split(",")];
    edge.classList.toggle("critical", ups.some((up) => downs.some((down) => model.pathEdges.has(`${up},${down}`))));
  }
}

export function describe(member) {
  if (member.wait) return member.wait.short;
  if (member.kind === "job") {
    return member.attempt > 1 ? `${member.state}, attempt ${member.attempt}` : member.state ?? "";
  }
  if (!Object.keys(member.counts).length && member.kind === "rest") return "jobs";
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

// Return the member to which an arrow key leads: right and left along edges, into an open group and out of it.
export function follow(model, id, key) {
  const member = model.members.get(id);
  const edges = model.edgesIn.get(member.parent) ?? [];
  if (key === "ArrowRight") return edges.find(([from]) => from === id)?.[1] ?? model.places.get(id)?.[0]?.id;
  if (key === "ArrowLeft") return edges.find(([, to]) => to === id)?.[0] ?? member.parent;
  return null;
}
