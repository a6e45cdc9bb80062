// One action on all selected workflows of the list, or on all workflows that the filters match.

import { count, html } from "./dom.js";
import { send } from "./follow.js";
import { list, say, update } from "./list.js";
import { selection } from "./selection.js";

const CHUNK = 20;
const MOST_TOLD = 100;
const DONE = { cancel: "Cancelled", retry: "Retried", pause: "Paused", resume: "Resumed", delete: "Deleted" };
const ASK = {
  cancel: "Their open jobs are cancelled.", retry: "What was cancelled or discarded in them runs again.", pause: "Nothing of them starts until they are resumed.",
  resume: "They go on.", delete: "They are removed with all of their jobs. Nothing brings them back.",
};

const bar = document.getElementById("bulk");
const chosen = document.getElementById("chosen");
const everything = document.getElementById("everything");
const stop = document.getElementById("stop");
const outcome = document.getElementById("outcome");
const buttons = [...bar.querySelectorAll("button[data-action]")];
let isRunning = false;

const workflows = (number) => `${count(number)} ${number === 1 ? "workflow" : "workflows"}`;
const isAll = () => everything.getAttribute("aria-pressed") === "true";

function paint() {
  const number = picked.ids().length;
  chosen.textContent = isAll() ? "all that match" : number ? `${count(number)} selected` : "none selected";
  for (const button of buttons) button.disabled = isRunning || !(number || isAll());
  everything.disabled = isRunning;
}

const picked = selection(document.getElementById("main"), () => paint());

async function act(action) {
  const query = new URL(list().dataset.url, location.href).search.slice(1);
  const wanted = isAll() ? await (await send(`${bar.dataset.url}found?${query}&action=${action}`, { method: "GET" })).json() : picked.ids();
  if (!wanted.length) return say(`None of those that match can be ${DONE[action].toLowerCase()}.`);
  const which = isAll() ? " that match" : "";
  if (!confirm(`${action[0].toUpperCase()}${action.slice(1)} ${workflows(wanted.length)}${which}? ${ASK[action]}`)) return;
  await actOn(action, wanted);
}

// Send the ids in small requests, so that the reader sees the progress and can stop. Finished requests stay in effect.
async function actOn(action, wanted) {
  const became = { done: [], unchanged: [], refused: [] };
  let isStopped = false;
  stop.onclick = () => { isStopped = true; };
  stop.hidden = false;
  outcome.hidden = true;
  let done = 0;
  try {
    for (; done < wanted.length && !isStopped; done += CHUNK) {
      say(`${count(done)} of ${workflows(wanted.length)} …`);
      const body = JSON.stringify(wanted.slice(done, done + CHUNK));
      const answer = await (await send(`${bar.dataset.url}act/${action}`, { body })).json();
      for (const one of answer) became[one.outcome].push(one);
    }
  } catch (error) {
    became.refused.push({ id: "from here on", said: error.message });
  } finally {
    stop.hidden = true;
  }
  const { unchanged, refused } = became;
  const rest = wanted.length - Math.min(done, wanted.length);
  const parts = [
    `${DONE[action]} ${workflows(became.done.length)}.`, unchanged.length && `Nothing to do for ${count(unchanged.length)}.`,
    refused.length && `Refused: ${count(refused.length)}.`, isStopped && rest && `Stopped before ${count(rest)} more.`,
  ];
  say(parts.filter(Boolean).join(" "));
  tell(refused);
  if (!refused.length) picked.clear();
  update();
}

// Show the workflows that refused the action until the next action.
function tell(refused) {
  outcome.hidden = !refused.length;
  outcome.open = true;
  outcome.querySelector("summary").textContent = `Refused: ${count(refused.length)}`;
  const more = refused.length - MOST_TOLD;
  outcome.querySelector("ul").replaceChildren(
    ...refused.slice(0, MOST_TOLD).map(({ id, said }) => html("li", {}, `${id}: ${said}`)),
    ...(more > 0 ? [html("li", {}, `and ${count(more)} more`)] : []),
  );
}

bar.addEventListener("click", async ({ target }) => {
  const { action } = target.dataset;
  if (target === everything) everything.setAttribute("aria-pressed", !isAll());
  else if (action) {
    isRunning = true;
    paint();
    await act(action).catch((error) => say(`Refused: ${error.message}`));
    isRunning = false;
    everything.setAttribute("aria-pressed", false);
  }
  paint();
});
addEventListener("keydown", ({ key }) => { if (key === "Escape" && !isRunning) picked.clear(); });
document.addEventListener("list:shown", picked.settle);
picked.settle();
