// The head of the page of a workflow: its state and how far it is, jobs by state, and which buttons there is a use for.

import { count, duration, html, pressable } from "./dom.js";
import { moment } from "./moments.js";
import { settledOf } from "./rates.js";
import { STATES } from "./states.js";

const SETTLED = ["completed", "skipped", "cancelled", "discarded"];
const BROKEN = ["cancelled", "discarded", "retryable"];

const part = Object.fromEntries(
  ["state", "summary", "retry", "cancel", "again", "delete", "holds"].map((id) => [id, document.getElementById(id)]),
);
let painted = null;

// Buttons that lead to the jobs in a state.
export function drawLegend({ counts }, choose) {
  return html("span", {}, ...STATES.filter((state) => counts[state]).map((state) => {
    const words = [html("i", { class: `dot state-${state}` }), `${count(counts[state])} ${state}`];
    return pressable(html("button", { "data-id": state, title: "Show these jobs in the table" }, ...words), () => choose(state));
  }));
}

export function paintHead({ root, now }, rate, label) {
  painted = root;
  const isOpen = Object.keys(root.counts).some((state) => !SETTLED.includes(state));
  const isBroken = BROKEN.some((state) => root.counts[state]);
  if (part.cancel) part.cancel.disabled = !isOpen;
  if (part.retry) part.retry.disabled = !isBroken;
  for (const button of [part.again, part.delete]) if (button) button.disabled = isOpen;
  readHolds();
  part.state.replaceChildren(html("span", { class: `badge state-${root.state}` }, root.state));
  const end = root.settled_at ? Date.parse(root.settled_at) : now;
  const took = root.attempted_at ? ` · ${duration(end - Date.parse(root.attempted_at))}` : "";
  const ended = root.settled_at ? [" · ended ", moment(root.settled_at)] : [];
  part.summary.replaceChildren(`${count(settledOf(root))} of ${count(root.total)} jobs${took}${rate && ` · ${rate}`}`, ...ended);
  document.title = `${root.state} · ${label}`;
}

// Load the part of the page about pauses and limits again until it agrees with the view. Either may be the older one.
function readHolds() {
  const told = part.holds.querySelector("[data-told]")?.dataset.told;
  const { paused_at, state } = painted;
  if (told && told !== `${paused_at !== null} ${SETTLED.includes(state)}`) htmx.trigger(document.body, "held");
}

part.holds.addEventListener("htmx:afterSwap", () => setTimeout(() => { if (painted) readHolds(); }, 1000));
