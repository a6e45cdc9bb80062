// How fast groups get on, and how long they still take at that.

import { count } from "./dom.js";

// What counts is how fast it was lately: milliseconds.
const LATELY = 20_000;
const ENOUGH = 4000;
const FEW = 10;
const SETTLED = ["completed", "skipped", "cancelled", "discarded"];

export const settledOf = ({ counts }) => SETTLED.reduce((sum, state) => sum + (counts[state] ?? 0), 0);

// Keeps how many jobs of each group had settled when.
export function makeRates() {
  const samples = new Map();

  function note(model, at) {
    for (const { id, kind, counts, attempted_at: since, state } of model.members.values()) {
      if (kind === "job" || kind === "rest" || state !== "executing") samples.delete(id);
      else {
        const settled = settledOf({ counts });
        const known = samples.get(id) ?? (since ? [{ at: Date.parse(since), settled: 0 }] : []);
        // Of what was done again less is settled than before.
        const kept = known.filter((one, index) => one.settled <= settled && (at - one.at <= LATELY || index === known.length - 1));
        samples.set(id, [...kept, { at, settled }]);
      }
    }
  }

  // Jobs a second; null where nothing tells.
  function rateOf(member) {
    const known = samples.get(member.id) ?? [];
    const [first, last] = [known[0], known.at(-1)];
    const begun = known.length > 2 && known[1] && last.at - known[1].at > ENOUGH ? known[1] : first;
    if (!last || last.at - begun.at < 500 || last.settled <= begun.settled) return null;
    return (1000 * (last.settled - begun.settled)) / (last.at - begun.at);
  }

  return { note, rateOf };
}

export function showRate(rate) {
  const [number, unit] = rate >= 1 ? [rate, "s"] : rate * 60 >= 1 ? [rate * 60, "min"] : [rate * 3600, "h"];
  return `${number >= 10 ? count(Math.round(number)) : Number(number.toFixed(1))}/${unit}`;
}

export function showLeft(jobs, rate) {
  const seconds = jobs / rate;
  if (seconds < 60) return `about ${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return seconds < 172_800 ? `about ${Math.round(seconds / 3600)} h left` : `about ${count(Math.round(seconds / 86_400))} days left`;
}

// "350/s, about 10 s left", or nothing. The last few jobs may be of another kind than those before, so they tell no time.
export function tellRate(member, rate) {
  const left = member.total - settledOf(member);
  return rate === null ? "" : [showRate(rate), ...(left < FEW ? [] : [showLeft(left, rate)])].join(", ");
}
