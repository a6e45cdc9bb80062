// The table of the jobs and groups that are shown.

import { count, duration, html, pressable } from "./dom.js";

const HEADINGS = [
  ["Job", ""], ["State", ""], ["Ran", ""], ["Queued", "wide"], ["Attempts", "wide"], ["Queue", "wide"], ["Worker", "wide"],
];

export function drawTable(model, selected, select) {
  const head = html("tr", {}, ...HEADINGS.map(([text, name]) => html("th", { class: name || null }, text)));
  const rows = model.order.map((member) => drawRow(model, member, selected, select));
  return html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows));
}

function drawRow(model, member, selected, select) {
  const job = member.kind === "job";
  const badge = html("span", { class: `badge state-${member.state}` }, member.state ?? "");
  const cells = [
    [model.path(member), ""],
    [badge, ""],
    [took(member.attempted_at, member.settled_at, model.now), "number"],
    [job && member.attempted_at ? took(member.scheduled_at, member.attempted_at) : "", "wide number"],
    [job ? `${member.attempt} of ${member.max_attempts}` : `${count(member.total)} jobs`, "wide number"],
    [member.queue ?? "", "wide"],
    [member.worker ?? member.kind.replace("_", "-"), "wide"],
  ];
  const row = html("tr", {
    "data-id": member.id, tabindex: 0, class: member.id === selected ? "selected" : null,
    "aria-selected": String(member.id === selected),
  }, ...cells.map(([content, name]) => html("td", { class: name || null }, content)));
  return pressable(row, () => select(member.id));
}

function took(from, to, now = null) {
  if (!from) return "";
  const end = to ? Date.parse(to) : now;
  const length = end - Date.parse(from);
  return length >= 0 ? duration(length) : "";
}
