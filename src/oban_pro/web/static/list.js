// A page with a list, such as workflows or waits. It is updated in place, so that focus and selection stay.

import { ask, follow } from "./follow.js";

const SAID = 15_000;
export const list = () => document.getElementById("list");

async function refresh() {
  const { url } = list().dataset;
  const text = await (await ask(url)).text();
  if (list().dataset.url !== url) return;
  Idiomorph.morph(list(), text);
  htmx.process(list());
  shown();
}

function shown() {
  document.title = list().dataset.title;
  document.dispatchEvent(new Event("list:shown"));
}

export const update = follow(document.getElementById("live"), refresh);

// Show the result of an action, if the page has actions.
let silence = null;
export function say(text) {
  document.getElementById("said")?.replaceChildren(text);
  clearTimeout(silence);
  silence = setTimeout(() => document.getElementById("said")?.replaceChildren(), SAID);
}

document.body.addEventListener("htmx:afterSettle", shown);

// Leave empty fields out of the address.
document.body.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb !== "get") return;
  for (const name of [...detail.formData.keys()]) {
    const given = detail.formData.getAll(name).filter(Boolean);
    detail.formData.delete(name);
    for (const value of given) detail.formData.append(name, value);
  }
});

document.body.addEventListener("htmx:responseError", ({ detail }) => say(`Refused: ${detail.xhr.responseText}`));
document.body.addEventListener("htmx:sendError", () => say("No connection: nothing was done."));
document.body.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.requestConfig.verb !== "post") return;
  if (detail.successful) say(detail.xhr.responseText);
  update();
});
