// Why jobs failed: one line for each error, most frequent first.

import { count, html, pressable } from "./dom.js";

export function drawFailures(failures, select) {
  const lines = failures.map(({ error, count: number, id, path, state }) => {
    const first = pressable(html("button", { class: "link", "data-id": id }, path.join(" / ")), (event) => select(String(id), event));
    return html("li", {},
      html("i", { class: `dot state-${state}` }), html("code", {}, error || "no error was kept"),
      html("span", { class: "count" }, number > 1 ? ` × ${count(number)}, first ` : " "), first);
  });
  return html("ul", {}, ...lines);
}
