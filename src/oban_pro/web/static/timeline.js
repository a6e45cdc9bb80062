// The timeline: one row for each job and group that is shown, in the order of the tree.

import { clip, duration, pressable, svg } from "./dom.js";

const ROW = 22;
const AXIS = 24;

const time = (text) => (text ? Date.parse(text) : null);

export function drawTimeline(model, width, selected, select) {
  const label = width < 520 ? 112 : 210;
  const rows = model.order.filter((member) => member.kind !== "rest");
  const { from, to } = reach(model, rows);
  const x = (at) => label + ((at - from) / (to - from)) * (width - label - 14);
  const drawn = rows.map((member, index) =>
    drawRow(model, member, AXIS + index * ROW, { x, label, width, selected, select }));
  return svg("svg", {
    width, height: AXIS + rows.length * ROW + 6, role: "group", "aria-label": "Timeline",
  }, ...ticks({ from, to, x, height: AXIS + rows.length * ROW, shares: width < 520 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1] }), ...drawn);
}

function reach(model, rows) {
  const starts = rows.map((member) => time(member.inserted_at)).filter(Boolean);
  const ends = rows.map((member) => time(member.settled_at)).filter(Boolean);
  if (!model.root.settled_at || !ends.length) ends.push(model.now);
  const from = Math.min(...starts, ...ends);
  return { from, to: Math.max(...ends, from + 50) };
}

function running(member) {
  return member.attempted_at && !member.settled_at && !["retryable", "suspended"].includes(member.state);
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

function drawRow(model, member, y, { x, label, width, selected, select }) {
  const classes = ["span", `state-${member.state}`];
  if (member.critical) classes.push("critical");
  if (member.id === selected) classes.push("selected");
  const indent = Math.min(model.depth(member), 6) * 12;
  const row = svg("g", {
    class: classes.join(" "), "data-id": member.id, tabindex: 0, role: "button",
    "aria-label": `${member.name}, ${member.state}${member.critical ? ", on the critical path" : ""}`,
  },
    svg("rect", { class: "row", x: 0, y, width, height: ROW }),
    svg("text", { x: 10 + indent, y: y + 15 }, clip(member.name, Math.floor((label - 16 - indent) / 7))));
  row.append(...bars(model, member).map(([kind, start, end]) =>
    bar(kind, x(start), x(end), y, `${member.name}: ${kind} ${duration(end - start)}`)));
  for (const at of (member.failed_at ?? []).map(time)) {
    row.append(svg("rect", { class: "failed", x: x(at) - 1.5, y: y + 3, width: 3, height: ROW - 6 },
      svg("title", {}, "failed attempt")));
  }
  return pressable(row, () => select(member.id));
}

function bars(model, member) {
  const inserted = time(member.inserted_at);
  const started = time(member.attempted_at);
  const settled = time(member.settled_at);
  const found = [];
  if (member.kind !== "job") {
    found.push(["waiting", inserted, started ?? settled ?? model.now]);
    if (started) found.push(["running", started, settled ?? model.now]);
    return found.filter(([, start, end]) => end > start);
  }
  const due = time(member.scheduled_at) ?? inserted;
  if (started && due <= started) {
    found.push(["waiting", inserted, due], ["queued", due, started]);
  } else if (!started) {
    const queued = member.state === "available";
    const until = settled ?? model.now;
    found.push(["waiting", inserted, queued ? Math.min(due, until) : until]);
    if (queued) found.push(["queued", due, until]);
  }
  if (started && (settled || running(member))) found.push(["running", started, settled ?? model.now]);
  return found.filter(([, start, end]) => end > start || (end === start && settled));
}

function bar(kind, from, to, y, title) {
  const thin = kind === "running" ? 0 : 4;
  return svg("rect", {
    class: kind, x: from, y: y + 4 + thin, width: Math.max(to - from, kind === "running" ? 2 : 0),
    height: ROW - 8 - 2 * thin, rx: 2,
  }, svg("title", {}, title));
}
