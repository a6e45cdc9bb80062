// Keeping a page up to date with the database, and showing whether it is.

import { duration } from "./dom.js";
import { written } from "./moments.js";

const POLL = 3000;
const STALE = 5000;
const PATIENCE = 15_000;
const STREAM = "oban-workflows-events";

// Get data from the server. `known` is the ETag of an earlier answer; the server sends the data again only if they have
// changed since. Every failure is thrown as an Error with a sentence for the reader.
export async function ask(url, known = null) {
  const headers = { "HX-Request": "true", ...(known && { "If-None-Match": known }) };
  const options = { headers, signal: AbortSignal.timeout(PATIENCE) };
  const response = await fetch(url, options).catch(() => { throw new Error("no connection, retrying"); });
  if (!response.ok && response.status !== 304) throw new Error(await response.text());
  ahead = Date.parse(response.headers.get("Date")) - Date.now() || 0;
  return response;
}

// Post an action to the server, with the header that proves that the request comes from this page.
export async function send(url, options) {
  const headers = { "HX-Request": "true", ...JSON.parse(document.body.getAttribute("hx-headers") ?? "{}") };
  const response = await fetch(url, { method: "POST", headers, ...options }).catch(() => { throw new Error("no connection"); });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

// How far the server's clock is ahead of the browser's, in milliseconds.
let ahead = 0;

export const now = () => Date.now() + ahead;

// Durations that still grow are counted on in the browser, between two answers of the server.
function tick() {
  for (const element of document.querySelectorAll("time[data-since]")) {
    element.textContent = duration(now() - Date.parse(element.dataset.since));
  }
}

// Call `refresh` whenever the data may have changed, one call at a time. Between two calls, pause for as long as the
// first took. `element` shows how the page learns of changes, or why the last call failed, and since when data are old.
export function follow(element, refresh, { events = null, seen = null, isBusy = () => true } = {}) {
  const stream = events === null ? null : listen(events, seen, () => update(), () => paint());
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
    if (trouble || !stream?.isOpen() || stream.isElsewhere() || isBusy()) update();
  }, POLL);
  setInterval(() => { paint(); tick(); }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stream?.close();
    else update();
  });
  addEventListener("pagehide", () => stream?.close());
  return update;
}

// A browser opens at most six connections to a server. So only one of its windows listens for events; the others poll.
// An event tells of a change since the last event, not since the last view that the page has read. While these differ, the
// window that listens polls too.
function listen(url, seen, heard, changed) {
  let source = null;
  let free = null;
  let told = null;

  function close() {
    source?.close();
    free?.();
    source = free = null;
  }

  function start() {
    told = seen();
    source = new EventSource(url(told));
    source.addEventListener("open", changed);
    source.addEventListener("changed", ({ data }) => {
      told = data;
      heard();
    });
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) close();
      changed();
    });
    return new Promise((done) => { free = done; });
  }

  return {
    close,
    isElsewhere: () => told !== seen(),
    isOpen: () => source?.readyState === EventSource.OPEN,
    open: () => source ?? navigator.locks?.request(STREAM, { ifAvailable: true }, (lock) => lock && !source && start()),
  };
}
