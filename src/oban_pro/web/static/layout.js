// The layout of the graph. dagre places the members of each open group, the innermost group first. In its parent, a
// group is one box. This code runs in a worker, see layout_worker.js.

import dagre from "./vendor/dagre-3.1.3/dagre.esm.js";
import { push } from "./model.js";
import { FOLDED, JOB, TITLE } from "./sizes.js";

const JOINT = { width: 8, height: 8 };
// dagre needs about half a second if the edges of a group cross this number of columns in all. More edges are left out.
const MOST_COLUMNS = 300;

export function place(model, parent) {
  const members = model.inside.get(parent) ?? [];
  const edges = model.edgesIn.get(parent) ?? [];
  const boxes = new Map(members.map((member) => [member.id, box(model, member)]));
  return edges.length ? layered(boxes, edges) : grid(boxes);
}

function box(model, member) {
  if (!member.open) return { member, ...(member.kind === "job" ? JOB : FOLDED) };
  const inner = member.kind === "chain" ? snake(model.inside.get(member.id)) : place(model, member.id);
  return { member, inner, width: Math.max(inner.width, 150), height: inner.height + TITLE };
}

function layered(boxes, edges) {
  const { joints, legs } = join(edges);
  const kept = thin(legs);
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({
    rankdir: "LR", nodesep: 14, edgesep: 8, ranksep: 44, marginx: 14, marginy: 14,
    ranker: kept.length > MOST_COLUMNS / 3 ? "tight-tree" : "network-simplex",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const [id, { width, height }] of [...boxes, ...joints.map((id) => [id, JOINT])]) graph.setNode(id, { width, height });
  // dagre places the edge first that was set last
  for (const leg of [...kept].reverse()) graph.setEdge(leg.from, leg.to, { leg });
  dagre.layout(graph);
  for (const [id, item] of boxes) {
    const { x, y } = graph.node(id);
    Object.assign(item, { x: x - item.width / 2, y: y - item.height / 2 });
  }
  const lines = graph.edges().map((edge) => {
    const { leg: { from, to, ups, downs }, points } = graph.edge(edge);
    return { from, to, ups, downs, points };
  });
  const hidden = legs.length - kept.length;
  return { boxes, lines, joints: joints.map((id) => graph.node(id)), hidden, width: graph.graph().width, height: graph.graph().height };
}

// If each of m members depends on each of n members, their edges meet in one joint: n + m lines instead of n times m.
export function join(edges) {
  const upsOf = new Map();
  for (const [from, to] of edges) push(upsOf, to, from);
  const alike = new Map();
  for (const [to, ups] of upsOf) {
    const key = [...ups].sort().join();
    alike.set(key, { ups, downs: [...(alike.get(key)?.downs ?? []), to] });
  }
  const joints = [];
  const legs = [];
  for (const { ups, downs } of alike.values()) {
    if (ups.length > 2 && downs.length > 2) {
      const joint = `joint${joints.length}`;
      joints.push(joint);
      legs.push(...ups.map((up) => ({ from: up, to: joint, ups: [up], downs })));
      legs.push(...downs.map((down) => ({ from: joint, to: down, ups, downs: [down] })));
    } else {
      legs.push(...downs.flatMap((to) => ups.map((from) => ({ from, to, ups: [from], downs: [to] }))));
    }
  }
  return { joints, legs };
}

// If there are too many edges to place, leave some out, long ones first. Each member keeps an edge on each side, and
// stays in the column in which all of its edges would put it.
export function thin(legs) {
  const depth = depths(legs);
  const span = ({ from, to }) => Math.max(1, depth(to) - depth(from));
  const isShort = legs.reduce((sum, leg) => sum + span(leg), 0) <= MOST_COLUMNS;
  if (isShort) return legs;
  const kept = new Set();
  let columns = 0;
  const keep = (leg) => {
    kept.add(leg);
    columns += span(leg);
  };
  const placed = new Set();
  const left = new Set();
  const ordered = [...legs].sort((one, other) => span(one) - span(other));
  for (const leg of ordered) {
    if (placed.has(leg.to) && left.has(leg.from)) continue;
    placed.add(leg.to);
    left.add(leg.from);
    keep(leg);
  }
  for (const leg of ordered) if (!kept.has(leg) && columns + span(leg) <= MOST_COLUMNS) keep(leg);
  return legs.filter((leg) => kept.has(leg));
}

// The length of the longest path that leads to each member. An edge that closes a circle does not count.
function depths(legs) {
  const into = new Map();
  for (const leg of legs) push(into, leg.to, leg);
  const known = new Map();
  const depth = (id) => {
    if (known.has(id)) return known.get(id);
    known.set(id, 0);
    known.set(id, Math.max(0, ...(into.get(id) ?? []).map(({ from }) => depth(from) + 1)));
    return known.get(id);
  };
  return depth;
}

// Without edges there is no order: place the boxes in rows that form nearly a square.
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
  return { boxes, lines: [], joints: [], hidden: 0, width: Math.max(width, 120), height: Math.max(y, 40) };
}

// Place the jobs of a chain one after another, in rows that run to the right and to the left by turns.
function snake(members) {
  const columns = Math.max(2, Math.ceil(Math.sqrt(members.length / 2)));
  const [wide, high] = [JOB.width + 28, JOB.height + 22];
  const boxes = new Map(members.map((member, index) => {
    const row = Math.floor(index / columns);
    const column = row % 2 ? columns - 1 - (index % columns) : index % columns;
    return [member.id, { member, ...JOB, x: 14 + column * wide, y: 14 + row * high, row }];
  }));
  const lines = members.slice(1).map(({ id: to }, index) => {
    const from = members[index].id;
    return { from, to, ups: [from], downs: [to], points: between(boxes.get(from), boxes.get(to)) };
  });
  return { boxes, lines, joints: [], hidden: 0, width: columns * wide, height: (1 + boxes.get(members.at(-1).id).row) * high + 6 };
}

function between(one, other) {
  const middle = ({ x, y }) => ({ x: x + JOB.width / 2, y: y + JOB.height / 2 });
  const [from, to] = [middle(one), middle(other)];
  if (one.row !== other.row) return [{ x: from.x, y: one.y + JOB.height }, { x: to.x, y: other.y }];
  const side = Math.sign(to.x - from.x) * (JOB.width / 2);
  return [{ x: from.x + side, y: from.y }, { x: to.x - side, y: to.y }];
}
