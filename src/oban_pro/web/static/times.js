// The reader's choice of how times are written. The browser keeps it, and all times of the page follow it.

import { ago, choice, local, paint, utc } from "./moments.js";

const KEY = "oban-workflows-times";
const AGAIN = 5000;
const WORDS = { utc: "UTC", local: "local time", ago: "how long ago" };

const select = document.getElementById("times");

function paintAll() {
  for (const element of document.querySelectorAll("time[datetime]")) paint(element);
}

// A browser that is set to store nothing throws an error here.
function keep(act) {
  try {
    return act(localStorage);
  } catch {
    return null;
  }
}

select.replaceChildren(...Object.entries(WORDS).map(([value, words]) => new Option(words, value)));
select.value = keep((kept) => kept.getItem(KEY)) ?? "utc";
select.value ||= "utc";
select.closest("label").hidden = false;
select.addEventListener("change", () => {
  keep((kept) => kept.setItem(KEY, select.value));
  paintAll();
});
// A pointer above a time shows the other forms of it.
document.addEventListener("pointerover", ({ target }) => {
  const element = target.closest?.("time[datetime]");
  const date = new Date(element?.dateTime);
  if (element && !Number.isNaN(date.getTime())) element.title = `${utc(date)} UTC · ${local(date)} here · ${ago(date)}`;
});
// The server sends times in UTC, so elements that arrive later are written again.
new MutationObserver(paintAll).observe(document.body, { subtree: true, childList: true });
setInterval(() => { if (choice() === "ago") paintAll(); }, AGAIN);
paintAll();
