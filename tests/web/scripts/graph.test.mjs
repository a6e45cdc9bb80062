import assert from "node:assert/strict";
import { describe as suite, test } from "node:test";

import { group, member, view } from "./view.mjs";

const { build } = await import(`${process.env.STATIC}/model.js`);
const { curve, describe } = await import(`${process.env.STATIC}/graph.js`);
const { join, place, thin } = await import(`${process.env.STATIC}/layout.js`);

const placed = (members, more) => place(build(view(members, more)), "1");
const jobs = (count) => Array.from({ length: count }, (_, n) => member(String(n + 2), "1"));

function overlap(one, other) {
  return one.x < other.x + other.width && other.x < one.x + one.width
    && one.y < other.y + other.height && other.y < one.y + one.height;
}

function assertApart({ boxes, width, height }) {
  const all = [...boxes.values()];
  for (const [n, one] of all.entries()) {
    assert.ok(one.x >= 0 && one.y >= 0, "a box is left of the drawing, or above it");
    assert.ok(one.x + one.width <= width && one.y + one.height <= height, "a box leaves the drawing");
    for (const other of all.slice(n + 1)) assert.ok(!overlap(one, other), "two boxes overlap");
    if (one.inner) assertApart(one.inner);
  }
}

suite("place", () => {
  for (const count of [0, 1, 2, 7, 150]) {
    test(`puts ${count} jobs without edges into rows`, () => {
      const result = placed(jobs(count));
      assert.equal(result.boxes.size, count);
      assert.deepEqual(result.lines, []);
      assert.ok(result.width > 0 && result.height > 0);
      assertApart(result);
    });
  }
  test("puts what depends on something to the right of it", () => {
    const edges = [["4", "3"], ["3", "2"], ["4", "2"]];
    const result = placed(jobs(3), { edges });
    const x = (id) => result.boxes.get(id).x;
    assert.ok(x("4") < x("3") && x("3") < x("2"));
    assert.deepEqual(new Set(result.lines.map(({ from, to }) => `${from},${to}`)), new Set(edges.map(String)));
    assertApart(result);
  });
  test("makes room in an open group for all that is in it", () => {
    const inner = Array.from({ length: 6 }, (_, n) => member(String(n + 10), "3"));
    const members = [member("2", "1"), group("3", "1"), ...inner, group("4", "3"), member("5", "4")];
    const result = placed(members, { edges: [["2", "3"], ["10", "11"]] });
    const box = result.boxes.get("3");
    assert.equal(box.inner.boxes.size, 7);
    assert.equal(box.inner.boxes.get("4").inner.boxes.size, 1);
    assert.ok(box.height > box.inner.height && box.width >= box.inner.width);
    assertApart(result);
  });
  test("gives a folded group one box, whatever is in it", () => {
    const result = placed([group("2", "1", { open: false }), member("3", "2")]);
    assert.equal(result.boxes.get("2").inner, undefined);
    assertApart(result);
  });
  test("has an end for edges in a circle", () => {
    assertApart(placed(jobs(2), { edges: [["2", "3"], ["3", "2"]] }));
  });
});

const pairs = (ups, downs) => ups.flatMap((up) => downs.map((down) => [up, down]));
const ids = (from, count) => Array.from({ length: count }, (_, n) => String(from + n));

suite("join", () => {
  test("lets members that all depend on the same ones meet in one joint", () => {
    const { joints, legs } = join(pairs(ids(2, 40), ids(50, 40)));
    assert.equal(joints.length, 1);
    assert.equal(legs.length, 80);
    assert.deepEqual(legs[0], { from: "2", to: "joint0", ups: ["2"], downs: ids(50, 40) });
    assert.deepEqual(legs[79], { from: "joint0", to: "89", ups: ids(2, 40), downs: ["89"] });
  });
  test("leaves alone what is clear without", () => {
    const { joints, legs } = join(pairs(ids(2, 2), ids(50, 9)));
    assert.deepEqual(joints, []);
    assert.equal(legs.length, 18);
  });
});

suite("thin", () => {
  const legs = (edges) => edges.map(([from, to]) => ({ from, to }));

  test("leaves few edges alone", () => {
    const few = legs([["2", "3"], ["3", "4"]]);
    assert.deepEqual(thin(few), few);
  });
  test("keeps the edge that puts a member where it is, and one from each other", () => {
    const layers = [...pairs(ids(2, 40), ids(50, 40)), ...pairs(ids(50, 40), ids(100, 40)), ...pairs(ids(2, 40), ids(100, 40))];
    const kept = thin(legs(layers));
    assert.ok(kept.length <= 300);
    for (const id of ids(100, 40)) assert.ok(kept.some(({ from, to }) => to === id && Number(from) >= 50));
    for (const id of [...ids(2, 40), ...ids(50, 40)]) assert.ok(kept.some(({ from }) => from === id));
  });
  test("has an end for edges in a circle", () => {
    assert.ok(thin(legs(pairs(ids(2, 20), ids(2, 20)))).length <= 300);
  });
});

suite("curve", () => {
  const points = (...ends) => ends.map(([x, y]) => ({ x, y }));

  test("of two points is a line", () => {
    assert.equal(curve(points([0, 0], [4, 2])), "M0 0L4 2");
  });
  test("bends at a point between them, and ends at the last one", () => {
    assert.equal(curve(points([0, 0], [2, 4], [4, 0])), "M0 0Q2 4 4 0");
  });
  test("goes through the middle between two points", () => {
    assert.equal(curve(points([0, 0], [2, 0], [4, 4], [6, 4])), "M0 0Q2 0 3 2Q4 4 6 4");
  });
});

suite("describe", () => {
  test("says the state of a job, and which attempt from the second one on", () => {
    assert.equal(describe(member("2", "1", { state: "executing", attempt: 1 })), "executing");
    assert.equal(describe(member("2", "1", { state: "executing", attempt: 3 })), "executing, attempt 3");
    assert.equal(describe(member("2", "1", { state: null })), "");
  });
  test("says what a wait waits for", () => {
    assert.equal(describe(member("2", "1", { wait: { short: "waits for a signal" } })), "waits for a signal");
  });
  for (const [kind, word] of [["fan_out", "fan-out"], ["sub", "sub-workflow"], ["rest", "jobs"], ["graft", "graft"]]) {
    test(`counts what has settled of a ${word}`, () => {
      const counts = { completed: 1200, cancelled: 2, discarded: 1, executing: 5 };
      assert.equal(describe(group("2", "1", { kind, counts, total: 1208 })), `${word}, 1,203 of 1,208`);
    });
  }
});
