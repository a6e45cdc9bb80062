// The panel of a group: how many of its jobs are in which state, and what may be done to it.

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
  // A box for jobs that are not drawn is no group.
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

// As the server spells ids in paths: see `quote_id`.
function quoteId(id) {
  const once = encodeURIComponent(id);
  return encodeURIComponent(/^\.*$/.test(once) ? once.replaceAll(".", "%2E") : once);
}
