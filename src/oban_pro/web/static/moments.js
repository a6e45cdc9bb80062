// Moments as the reader wants them: in UTC, in local time, or how long ago.

import { duration } from "./dom.js";

export const utc = (date) => date.toISOString().slice(0, 19).replace("T", " ");

// Swedish dates are those of ISO.
export const local = (date) => date.toLocaleString("sv-SE");

export function ago(date) {
  const passed = Date.now() - date;
  return passed < 0 ? `in ${duration(-passed)}` : `${duration(passed)} ago`;
}

const write = { utc, local, ago };

export function choice() {
  const chosen = globalThis.document?.getElementById("times")?.value;
  return chosen in write ? chosen : "utc";
}

// A date where how long ago would say little.
export const written = (milliseconds) => (choice() === "local" ? local : utc)(new Date(milliseconds));

export function paint(element) {
  const date = new Date(element.dateTime);
  if (Number.isNaN(date.getTime())) return;
  const text = write[choice()](date);
  if (element.textContent !== text) element.textContent = text;
}

// A moment as an element that follows the choice.
export function moment(text) {
  const element = document.createElement("time");
  element.dateTime = text;
  paint(element);
  return element;
}
