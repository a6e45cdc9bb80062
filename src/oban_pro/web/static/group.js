// The panel of a group: how many of its jobs have which state, and buttons for actions.

import { count, html, show } from "./dom.js";

const OPEN = ["suspended", "scheduled", "available", "executing", "retryable"];
const BROKEN = ["cancelled", "discarded", "retryable"];
const ACTIONS = [
  { name: "retry", label: "Retry", states: BROKEN, ask: (jobs) => `Run again what was cancelled or discarded in it (${jobs})?` },
  { name: "retry-from", label: "Retry from here", states: [...BROKEN, "completed", "skipped"], ask: () => "Run all of it and everything that depends on it again?" },
  { name: "cancel", label: "Cancel", states: OPEN, ask: (jobs) => `Cancel what is open in it (${jobs})? What waits for it is cancelled with it.` },
];

export function showGroupPanel(panel, member, path, { url, workflows, allowed }) {
  const states = Object.entries(member.counts).map(([state, number]) => [
    html("dt", {}, state), html("dd", {}, count(number)),
  ]);
  const link = member.workflow_id
    ? [html("p", {}, html("a", { href: workflows + quoteId(member.workflow_id) }, "Open as a page of its own"))]
    : [];
  // A box that stands for jobs that are not drawn is not a group, so it has no actions.
  const actions = member.kind === "rest" ? [] : buttons(member, url, allowed.split(" "));
  show(
    panel,
    html("h2", {}, `${path} `, html("span", { class: `badge state-${member.state}` }, member.state)),
    ...(actions.length ? [html("p", { class: "actions" }, ...actions, html("span", { class: "said", role: "status" }))] : []),
    ...(member.kind === "rest" ? [] : [html("div", { class: "holds", "hx-get": `${url}/jobs/${member.id}/holds`, "hx-trigger": "load, held from:body", "hx-sync": "this:queue last" })]),
    html("p", { class: "rate" }), html("dl", {}, ...states.flat()), ...link,
  );
  htmx.process(panel);
}

function buttons(member, url, allowed) {
  const jobs = (states) => states.reduce((sum, state) => sum + (member.counts[state] ?? 0), 0);
  return ACTIONS.filter(({ name, states }) => allowed.includes(name) && jobs(states)).map(({ name, label, states, ask }) =>
    html("button", {
      class: name === "cancel" && "danger",
      "hx-post": `${url}/jobs/${member.id}/${name}`,
      "hx-target": "next .said",
      "hx-disabled-elt": "this",
      "hx-confirm": ask(`${count(jobs(states))} ${jobs(states) === 1 ? "job" : "jobs"}`),
    }, label));
}

// Quote an id for a path as the server does, see `quote_id` in Python.
function quoteId(id) {
  const once = encodeURIComponent(id);
  return encodeURIComponent(/^\.*$/.test(once) ? once.replaceAll(".", "%2E") : once);
}
