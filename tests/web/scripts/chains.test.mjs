import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { member, view } from "./view.mjs";

const { build } = await import(`${process.env.STATIC}/model.js`);
const { foldChains } = await import(`${process.env.STATIC}/chains.js`);

const jobs = (count) => Array.from({ length: count }, (_, n) => member(String(n + 2), "1", { state: "completed" }));
const chain = (from, to) => Array.from({ length: to - from }, (_, n) => [String(from + n), String(from + n + 1)]);
const folded = (members, edges, opened = []) => foldChains(build(view(members, { edges, path: edges.slice(0, 1) })), new Set(opened));
const ids = (graph) => graph.places.get("1").map(({ id }) => id);

describe("a chain", () => {
  test("of six jobs or more is one box, with what has settled of them", () => {
    const graph = folded(jobs(10), chain(2, 11));
    assert.deepEqual(ids(graph), ["chain2"]);
    assert.deepEqual(graph.edgesIn.get("1"), []);
    const box = graph.members.get("chain2");
    assert.deepEqual([box.name, box.total, box.counts, box.open], ["name 2 → name 11", 10, { completed: 10 }, false]);
  });
  test("that is shorter is drawn job by job", () => {
    assert.equal(ids(folded(jobs(5), chain(2, 6))).length, 5);
  });
  test("ends where edges part and meet", () => {
    const edges = [...chain(2, 9), ["9", "10"], ["9", "11"], ["10", "12"], ["11", "12"], ...chain(12, 20)];
    const graph = folded(jobs(19), edges);
    assert.deepEqual(ids(graph), ["chain2", "10", "11", "chain12"]);
    assert.deepEqual(graph.edgesIn.get("1"), [["chain2", "10"], ["chain2", "11"], ["10", "chain12"], ["11", "chain12"]]);
  });
  test("shows the worst that is in it", () => {
    const members = jobs(10);
    members[4] = { ...members[4], state: "discarded" };
    assert.equal(folded(members, chain(2, 11)).members.get("chain2").state, "discarded");
  });
  test("is open where somebody opened it", () => {
    const graph = folded(jobs(10), chain(2, 11), ["chain2"]);
    assert.equal(graph.members.get("chain2").open, true);
    assert.equal(graph.places.get("chain2").length, 10);
  });
  test("that closes a circle is left alone", () => {
    assert.equal(ids(folded(jobs(8), [...chain(2, 9), ["9", "2"]])).length, 8);
  });
});
