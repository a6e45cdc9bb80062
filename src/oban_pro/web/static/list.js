// A list, of workflows or of waits: what it shows is brought up to date in place, so that focus and selection stay.

import { ask, follow } from "./follow.js";

const SAID = 15_000;
const list = () => document.getElementById("list");

async function refresh() {
  const { url } = list().dataset;
  const text = await (await ask(url)).text();
  if (list().dataset.url !== url) return;
  Idiomorph.morph(list(), text);
  htmx.process(list());
  document.title = list().dataset.title;
}

const update = follow(document.getElementById("live"), refresh);

// What an action did, where the page has actions.
let silence = null;
function say(text) {
  document.getElementById("said")?.replaceChildren(text);
  clearTimeout(silence);
  silence = setTimeout(() => document.getElementById("said")?.replaceChildren(), SAID);
}

document.body.addEventListener("htmx:responseError", ({ detail }) => say(`Refused: ${detail.xhr.responseText}`));
document.body.addEventListener("htmx:sendError", () => say("No connection: nothing was done."));
document.body.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.requestConfig.verb !== "post") return;
  if (detail.successful) say(detail.xhr.responseText);
  update();
});
