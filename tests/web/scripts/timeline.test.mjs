import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { member, view } from "./view.mjs";

const { build } = await import(`${process.env.STATIC}/model.js`);
const { clock, reach, round, rounds } = await import(`${process.env.STATIC}/timeline.js`);

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
  test("goes to the end of the workflow, whatever is drawn of it", () => {
    assert.deepEqual(reachOf([row("2", 5, 9)], { settled: 31 }), [5, 31]);
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

describe("the axis", () => {
  const day = 86_400_000;

  for (const [span, marks] of [
    [50, "0 10ms 20ms 30ms 40ms 50ms"],
    [352, "0 50ms 100ms 150ms 200ms 250ms 300ms 350ms"],
    [1400, "0 200ms 400ms 600ms 800ms 1s 1.2s 1.4s"],
    [61_000, "0 10s 20s 30s 40s 50s 1m"],
    [3_700_000, "0 10m 20m 30m 40m 50m 1h"],
    [25 * 3_600_000, "0 6h 12h 18h 1d"],
    [8 * day, "0 1d 2d 3d 4d 5d 6d 7d 8d"],
    [1000 * day, "0 200d 400d 600d 800d 1000d"],
  ]) {
    test(`of ${span} ms has round numbers`, () => {
      assert.equal(rounds(span, 8).map(round).join(" "), marks);
    });
  }
});

describe("clock", () => {
  test("says the day where there is room for it", () => {
    assert.equal(clock(Date.parse(time(9)), 210), "from 2026-01-01 00:00:09");
  });
  test("says the time alone on a narrow page", () => {
    assert.equal(clock(Date.parse(time(9)), 112), "00:00:09");
  });
});
