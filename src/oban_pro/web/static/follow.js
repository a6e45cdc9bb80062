// How a page keeps up with the database, and what it says of that.

import { duration } from "./dom.js";
import { written } from "./moments.js";

const POLL = 3000;
const STALE = 5000;
const PATIENCE = 15_000;
const STREAM = "oban-workflows-events";

// Ask the server for something that a script uses, where it has changed since an answer with that mark. Whatever is no
// answer is thrown as a sentence.
export async function ask(url, known = null) {
  const headers = { "HX-Request": "true", ...(known && { "If-None-Match": known }) };
  const options = { headers, signal: AbortSignal.timeout(PATIENCE) };
  const response = await fetch(url, options).catch(() => { throw new Error("no connection, retrying"); });
  if (!response.ok && response.status !== 304) throw new Error(await response.text());
  ahead = Date.parse(response.headers.get("Date")) - Date.now() || 0;
  return response;
}

// Ask the server to do something, with the proof that this page may.
export async function send(url, options) {
  const headers = { "HX-Request": "true", ...JSON.parse(document.body.getAttribute("hx-headers") ?? "{}") };
  const response = await fetch(url, { method: "POST", headers, ...options }).catch(() => { throw new Error("no connection"); });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

// By how much the server's clock is ahead of this one, in milliseconds.
let ahead = 0;

export const now = () => Date.now() + ahead;

// What has gone on since a time goes on while nothing is asked.
function tick() {
  for (const element of document.querySelectorAll("time[data-since]")) {
    element.textContent = duration(now() - Date.parse(element.dataset.since));
  }
}

// Call `refresh` when something may have changed, one call at a time, and between two as long a pause as the first
// one took. `element` says how the page hears of changes, or why it shows what it showed before, and since when.
export function follow(element, refresh, { events = null, isBusy = () => true } = {}) {
  const stream = events === null ? null : listen(events, () => update(), () => paint());
  let answered = performance.timeOrigin;
  let trouble = null;
  let running = null;
  let started = null;
  let again = false;

  function update() {
    again = true;
    running ??= keepUp().finally(() => { running = null; });
    return running;
  }

  async function keepUp() {
    while (again) {
      again = false;
      started = Date.now();
      try {
        await refresh();
        [answered, trouble] = [Date.now(), null];
        if (!document.hidden) stream?.open();
      } catch (error) {
        trouble = error.message;
      }
      const took = Date.now() - started;
      started = null;
      paint();
      if (again) await new Promise((done) => { setTimeout(done, took); });
    }
  }

  function paint() {
    const isLate = started !== null && Date.now() - started > STALE;
    const wrong = trouble ?? (isLate ? "waiting for the server" : null);
    const since = Date.now() - answered > STALE ? ` · as of ${written(answered).slice(11)}` : "";
    element.textContent = wrong ? wrong + since : stream?.isOpen() ? "live" : "polling";
    element.classList.toggle("trouble", wrong !== null);
  }

  setInterval(() => {
    if (document.hidden) return;
    if (trouble || !stream?.isOpen() || isBusy()) update();
  }, POLL);
  setInterval(() => { paint(); tick(); }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stream?.close();
    else update();
  });
  addEventListener("pagehide", () => stream?.close());
  return update;
}

// A browser opens six connections to one server, so one of its windows listens, and all others poll.
function listen(url, heard, changed) {
  let source = null;
  let free = null;

  function close() {
    source?.close();
    free?.();
    source = free = null;
  }

  function start() {
    source = new EventSource(url());
    source.addEventListener("open", changed);
    source.addEventListener("changed", heard);
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) close();
      changed();
    });
    return new Promise((done) => { free = done; });
  }

  return {
    close,
    isOpen: () => source?.readyState === EventSource.OPEN,
    open: () => source ?? navigator.locks?.request(STREAM, { ifAvailable: true }, (lock) => lock && !source && start()),
  };
}
