// A list, of workflows or of waits: what it shows is brought up to date in place, so that focus and selection stay.

import { ask, follow } from "./follow.js";

const list = () => document.getElementById("list");

async function refresh() {
  const { url } = list().dataset;
  const text = await (await ask(url)).text();
  if (list().dataset.url !== url) return;
  Idiomorph.morph(list(), text);
  document.title = list().dataset.title;
}

follow(document.getElementById("live"), refresh);
