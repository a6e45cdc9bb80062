import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { member, view } from "./view.mjs";

const { build } = await import(`${process.env.STATIC}/model.js`);
const { clock, reach } = await import(`${process.env.STATIC}/timeline.js`);

const time = (second) => `2026-01-01T00:00:${String(second).padStart(2, "0")}Z`;
const row = (id, inserted, settled) => member(id, "1", {
  inserted_at: time(inserted), settled_at: settled === null ? null : time(settled),
});

function reachOf(rows, { settled = null } = {}) {
  const model = build(view(rows, { now: time(50) }));
  model.root.settled_at = settled === null ? null : time(settled);
  const { from, to } = reach(model, model.order);
  return [from, to].map((at) => (at - Date.parse(time(0))) / 1000);
}

describe("reach", () => {
  test("goes from the first insertion to the last end", () => {
    assert.deepEqual(reachOf([row("2", 5, 9), row("3", 3, 20)], { settled: 20 }), [3, 20]);
  });
  test("goes on until now while the workflow has not settled", () => {
    assert.deepEqual(reachOf([row("2", 5, 9), row("3", 3, null)]), [3, 50]);
  });
  test("of a workflow without jobs is a moment, which can still be divided by", () => {
    assert.deepEqual(reachOf([]), [50, 50.05]);
  });
  test("of jobs that took no time is never nothing", () => {
    assert.deepEqual(reachOf([row("2", 7, 7)], { settled: 7 }), [7, 7.05]);
  });
});

describe("clock", () => {
  test("says the day where there is room for it", () => {
    assert.equal(clock(Date.parse(time(9)), 210), "from 2026-01-01 00:00:09");
  });
  test("says the time alone on a narrow page", () => {
    assert.equal(clock(Date.parse(time(9)), 112), "00:00:09");
  });
});
