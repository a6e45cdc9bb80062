import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { group, view } from "./view.mjs";

const { build } = await import(`${process.env.STATIC}/model.js`);
const { makeRates, showLeft, showRate, tellRate } = await import(`${process.env.STATIC}/rates.js`);

const START = Date.parse("2026-01-01T00:00:00Z");
const running = (completed) => build(view([
  group("2", "1", { state: "executing", counts: { completed, available: 10_000 - completed }, total: 10_000, attempted_at: "2026-01-01T00:00:00Z" }),
]));

function after(samples) {
  const rates = makeRates();
  for (const [seconds, completed] of samples) rates.note(running(completed), START + 1000 * seconds);
  return rates.rateOf(running(0).members.get("2"));
}

suite("rateOf", () => {
  test("begins with what was done since the group began", () => assert.equal(after([[10, 3500]]), 350));
  test("is how fast it was lately", () => assert.equal(after([[100, 1000], [110, 2000], [115, 2500]]), 100));
  test("falls while nothing settles", () => assert.ok(after([[10, 1000], [20, 1000], [29, 1000]]) === null));
  test("is unknown before anything has settled", () => assert.equal(after([[10, 0]]), null));
  test("begins anew where jobs were run again", () => assert.equal(after([[10, 1000], [12, 10], [17, 510]]), 100));
});

suite("showRate", () => {
  for (const [rate, text] of [[350.4, "350/s"], [1234, "1,234/s"], [2.55, "2.5/s"], [0.5, "30/min"], [0.002, "7.2/h"]]) {
    test(`writes ${rate} as ${text}`, () => assert.equal(showRate(rate), text));
  }
});

suite("showLeft", () => {
  for (const [jobs, text] of [[3500, "10 s"], [35, "1 s"], [105_000, "5 min"], [3_500_000, "3 h"], [350_000_000, "12 days"]]) {
    test(`says ${text} for ${jobs} jobs`, () => assert.equal(showLeft(jobs, 350), `about ${text} left`));
  }
});

test("says both of a group", () => {
  assert.equal(tellRate(running(6500).members.get("2"), 350), "350/s, about 10 s left");
  assert.equal(tellRate(running(0).members.get("2"), null), "");
  assert.equal(tellRate(running(9999).members.get("2"), 350), "350/s");
});
