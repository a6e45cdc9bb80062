// The timeline: one row for each job and group that is shown, in the order of the tree.

import { clip, duration, pressable, svg } from "./dom.js";

const ROW = 22;
const AXIS = 24;
const WORDS = {
  waiting: "waiting", queued: "queued", running: "running",
  retries: "earlier attempts and the waits between them, together",
};

const time = (text) => (text ? Date.parse(text) : null);

export function drawTimeline(model, width, marks, select) {
  const label = width < 520 ? 112 : 210;
  const rows = model.order.filter((member) => member.kind !== "rest");
  const { from, to } = reach(model, rows);
  const x = (at) => label + ((at - from) / (to - from)) * (width - label - 14);
  const drawn = rows.map((member, index) =>
    drawRow(model, member, AXIS + index * ROW, { x, label, width, marks, select }));
  return svg("svg", {
    width, height: AXIS + rows.length * ROW + 6, role: "group", "aria-label": "Timeline",
  }, svg("g", { class: "tick" }, svg("text", { x: 10, y: 13 }, clock(from, label))), ...ticks({ from, to, x, height: AXIS + rows.length * ROW, shares: width < 520 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1] }), ...drawn);
}

export function reach(model, rows) {
  const starts = rows.map((member) => time(member.inserted_at)).filter(Boolean);
  const ends = rows.map((member) => time(member.settled_at)).filter(Boolean);
  if (!model.root.settled_at || !ends.length) ends.push(model.now);
  const from = Math.min(...starts, ...ends);
  return { from, to: Math.max(...ends, from + 50) };
}

// When the timeline begins, as durations are counted from there.
export function clock(from, label) {
  const text = new Date(from).toISOString().slice(0, 19).replace("T", " ");
  return label < 150 ? text.slice(11) : `from ${text}`;
}

function ticks({ from, to, x, height, shares }) {
  return shares.map((share) => {
    const at = from + (to - from) * share;
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    return svg("g", { class: "tick" },
      svg("line", { x1: x(at), x2: x(at), y1: 18, y2: height }),
      svg("text", { x: x(at), y: 13, "text-anchor": anchor }, duration(at - from)));
  });
}

function drawRow(model, member, y, { x, label, width, marks, select }) {
  const classes = ["span", `state-${member.state}`, ...marks(member)];
  const indent = Math.min(model.depth(member), 6) * 12;
  const row = svg("g", {
    class: classes.join(" "), "data-id": member.id, tabindex: 0, role: "button",
    "aria-label": `${member.name}, ${member.wait?.long ?? member.state}${member.critical ? ", on the critical path" : ""}`,
  },
    svg("rect", { class: "row", x: 0, y, width, height: ROW }),
    svg("circle", { class: "dot", cx: 14 + indent, cy: y + ROW / 2, r: 3.5 }),
    svg("text", { x: 24 + indent, y: y + 15 }, clip(member.name, Math.floor((label - 30 - indent) / 7))));
  for (const [kind, from, to] of member.phases) row.append(bar(member, kind, time(from), time(to), y, x));
  for (const at of member.failed_at.map(time)) {
    row.append(svg("rect", { class: "failed", x: x(at) - 1.5, y: y + 3, width: 3, height: ROW - 6 },
      svg("title", {}, `${member.name}: an attempt failed`)));
  }
  return pressable(row, () => select(member.id));
}

// Jobs of a group run side by side, so what it retries is drawn below what it runs.
function bar(member, kind, from, to, y, x) {
  const running = kind === "running";
  const below = kind === "retries" && member.kind !== "job";
  const [top, height] = running ? [4, ROW - 8] : below ? [ROW - 8, 6] : [8, ROW - 16];
  return svg("rect", {
    class: kind, x: x(from), y: y + top, width: Math.max(x(to) - x(from), running ? 2 : 0), height, rx: 2,
  }, svg("title", {}, `${member.name}: ${WORDS[kind]} ${duration(to - from)}`));
}
