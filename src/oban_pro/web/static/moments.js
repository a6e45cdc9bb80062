// Writing moments as the reader has chosen: in UTC, in local time, or as the time that has passed since.

import { duration } from "./dom.js";

export const utc = (date) => date.toISOString().slice(0, 19).replace("T", " ");

// Swedish dates have the form of ISO 8601.
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

// Write a moment as a date, for places where "5m ago" would not help the reader.
export const written = (milliseconds) => (choice() === "local" ? local : utc)(new Date(milliseconds));

export function paint(element) {
  const date = new Date(element.dateTime);
  if (Number.isNaN(date.getTime())) return;
  const text = write[choice()](date);
  if (element.textContent !== text) element.textContent = text;
}

// Make an element for a moment, which changes when the reader chooses another form.
export function moment(text) {
  const element = document.createElement("time");
  element.dateTime = text;
  paint(element);
  return element;
}
