// Drawing the timeline: one row for each visible job and group, in the order of the tree.

import { clip, duration, pressable, svg } from "./dom.js";
import { written } from "./moments.js";
import { ICONS } from "./states.js";

const ROW = 22;
const AXIS = 24;
const WORDS = {
  waiting: "waiting", queued: "queued", running: "running",
  retries: "earlier attempts and the waits between them, together",
};

const millis = (iso) => (iso ? Date.parse(iso) : null);

export function drawTimeline(model, width, marks, select) {
  const label = width < 520 ? 112 : 210;
  const rows = model.order.filter((member) => member.kind !== "rest");
  const { from, to } = reach(model, rows);
  const x = (at) => label + ((at - from) / (to - from)) * (width - label - 14);
  const drawn = rows.map((member, index) =>
    drawRow(model, member, AXIS + index * ROW, { x, label, width, marks, select }));
  return svg("svg", {
    width, height: AXIS + rows.length * ROW + 6, role: "group", "aria-label": "Timeline",
  }, svg("g", { class: "tick" }, svg("text", { x: 10, y: 13 }, clock(from, label))), ...ticks({ from, to, x, height: AXIS + rows.length * ROW, most: width < 520 ? 4 : 8 }), ...drawn);
}

export function reach(model, rows) {
  // Jobs without a row, such as the rest of a large group, may have begun earlier or ended later than those with one.
  const shown = [model.root, ...rows];
  const starts = shown.map((member) => millis(member.inserted_at)).filter(Boolean);
  const ends = shown.flatMap((member) => [millis(member.settled_at), ...(member.phases ?? []).map(([, , end]) => millis(end))]).filter(Boolean);
  if (!model.root.settled_at || !ends.length) ends.push(model.now);
  const from = Math.min(...starts, ...ends);
  return { from, to: Math.max(...ends, from + 50) };
}

// Write the moment at which the timeline begins. All durations on its axis count from there.
export function clock(from, label) {
  const text = written(from);
  return label < 150 ? text.slice(11) : `from ${text}`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500], ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE), ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
];

// Return at most `most` round numbers of milliseconds from the start, for the marks of the axis.
export function rounds(span, most) {
  const days = DAY * 10 ** Math.max(0, Math.floor(Math.log10(span / DAY / most)));
  const step = [...STEPS, days, 2 * days, 5 * days, 10 * days].find((one) => span / one <= most);
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, n) => n * step);
}

export function round(milliseconds) {
  if (milliseconds === 0) return "0";
  for (const [unit, name] of [[DAY, "d"], [HOUR, "h"], [MINUTE, "m"]]) {
    if (milliseconds % unit === 0) return `${milliseconds / unit}${name}`;
  }
  return milliseconds < SECOND ? `${milliseconds}ms` : `${milliseconds / SECOND}s`;
}

function ticks({ from, to, x, height, most }) {
  return rounds(to - from, most).map((after) => {
    const at = x(from + after);
    return svg("g", { class: "tick" },
      svg("line", { x1: at, x2: at, y1: 18, y2: height }),
      svg("text", { x: at, y: 13, "text-anchor": after ? "middle" : "start" }, round(after)));
  });
}

function drawRow(model, member, y, { x, label, width, marks, select }) {
  const classes = ["span", `state-${member.state}`, ...marks(member)];
  const indent = Math.min(model.depth(member), 6) * 12;
  const row = svg("g", {
    class: classes.join(" "), "data-id": member.id, tabindex: -1, role: "button",
    "aria-label": `${member.name}, ${member.wait?.long ?? member.state}${member.critical ? ", on the critical path" : ""}`,
  },
    svg("rect", { class: "row", x: 0, y, width, height: ROW }),
    svg("text", { class: "icon", x: 14 + indent, y: y + 15, "aria-hidden": "true" }, ICONS[member.state] ?? "✕"),
    svg("text", { class: "name", x: 24 + indent, y: y + 15 }, clip(member.name, Math.floor((label - 30 - indent) / 7))));
  for (const [kind, from, to] of member.phases) row.append(bar(member, kind, millis(from), millis(to) ?? model.now, y, x));
  for (const at of member.failed_at.map(millis)) {
    row.append(svg("rect", { class: "failed", x: x(at) - 1.5, y: y + 3, width: 3, height: ROW - 6 },
      svg("title", {}, `${member.name}: an attempt failed`)));
  }
  return pressable(row, (event) => select(member.id, event));
}

// A group may run some jobs while it retries others, so its retries are drawn below its runs.
function bar(member, kind, from, to, y, x) {
  const running = kind === "running";
  const below = kind === "retries" && member.kind !== "job";
  const [top, height] = running ? [4, ROW - 8] : below ? [ROW - 8, 6] : [8, ROW - 16];
  return svg("rect", {
    class: running ? `running state-${member.state}` : kind, x: x(from), y: y + top, width: Math.max(x(to) - x(from), running ? 2 : 0), height, rx: 2,
  }, svg("title", {}, `${member.name}: ${WORDS[kind]} ${duration(to - from)}`));
}
