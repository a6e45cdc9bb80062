// One action on all selected jobs of the table.

import { count } from "./dom.js";
import { send } from "./follow.js";
import { selection } from "./selection.js";

const ASK = {
  retry: (jobs) => `Run ${jobs} again?`, "retry-from": (jobs) => `Run ${jobs} and everything that depends on them again?`,
  cancel: (jobs) => `Cancel ${jobs}? What waits for them is cancelled with them.`,
};

// Show the bar of actions while jobs are selected. Return a function to call after the rows were drawn again.
export function followSelection(table, url, say, done) {
  const bar = document.getElementById("picked");
  if (!bar) return () => {};
  const picked = selection(table, (chosen) => {
    bar.hidden = chosen.size === 0;
    bar.querySelector("[role=status]").textContent = `${count(chosen.size)} selected`;
  });
  bar.addEventListener("click", async ({ target }) => {
    const { action } = target.dataset;
    const ids = picked.ids();
    if (!action || !confirm(ASK[action](`${count(ids.length)} ${ids.length === 1 ? "job" : "jobs"}`))) return;
    target.disabled = true;
    try {
      say(await (await send(`${url}/act/${action}`, { body: JSON.stringify(ids.map(Number)) })).text());
      picked.clear();
    } catch (error) {
      say(`Refused: ${error.message}`);
    }
    target.disabled = false;
    done();
  });
  return picked.settle;
}
