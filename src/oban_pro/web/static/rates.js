// How many jobs of a group settle in a second, and how long the rest will take at that rate.

import { count } from "./dom.js";

// A rate is measured over the last LATELY milliseconds, once its samples span ENOUGH milliseconds. While fewer than FEW
// jobs are left, no remaining time is shown.
const LATELY = 20_000;
const ENOUGH = 4000;
const FEW = 10;
const SETTLED = ["completed", "skipped", "cancelled", "discarded"];

export const settledOf = ({ counts }) => SETTLED.reduce((sum, state) => sum + (counts[state] ?? 0), 0);

// Keep samples of each group: how many jobs had settled at which moment.
export function makeRates() {
  const samples = new Map();

  function note(model, at) {
    for (const { id, kind, counts, attempted_at: since, state } of model.members.values()) {
      if (kind === "job" || kind === "rest" || state !== "executing") samples.delete(id);
      else {
        const settled = settledOf({ counts });
        const known = samples.get(id) ?? (since ? [{ at: Date.parse(since), settled: 0 }] : []);
        // When jobs are retried, fewer are settled than before. Drop the samples with a larger number.
        const kept = known.filter((one, index) => one.settled <= settled && (at - one.at <= LATELY || index === known.length - 1));
        samples.set(id, [...kept, { at, settled }]);
      }
    }
  }

  // Jobs in a second, or null if there are too few samples.
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

// Return "350/s, about 10 s left", or "". Of the last few jobs no time is estimated, because they may be other work.
export function tellRate(member, rate) {
  const left = member.total - settledOf(member);
  return rate === null ? "" : [showRate(rate), ...(left < FEW ? [] : [showLeft(left, rate)])].join(", ");
}
