import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { group, member, view } from "./view.mjs";

const { build } = await import(`${process.env.STATIC}/model.js`);

const ids = (members) => members.map(({ id }) => id);
const at = (second) => ({ attempted_at: `2026-01-01T00:00:0${second}Z` });

describe("the order of rows", () => {
  test("is that of their starts, and what has not started comes last", () => {
    const model = build(view([member("2", "1"), member("3", "1", at(5)), member("4", "1", at(2))]));
    assert.deepEqual(ids(model.order), ["4", "3", "2"]);
  });
  test("is that of ids where starts are equal, as numbers", () => {
    const model = build(view([member("10", "1", at(1)), member("9", "1", at(1)), member("-8", "1", at(1))]));
    assert.deepEqual(ids(model.order), ["-8", "9", "10"]);
  });
  test("has what is in a group right below it", () => {
    const model = build(view([group("2", "1", at(1)), member("3", "1", at(2)), member("4", "2", at(3)), member("5", "4", at(4))]));
    assert.deepEqual(ids(model.order), ["2", "4", "5", "3"]);
  });
  test("has the rest of a group behind everything in it", () => {
    const rest = member("rest1", "1", { kind: "rest" });
    assert.deepEqual(ids(build(view([rest, member("2", "1"), member("3", "1", at(1))])).order), ["3", "2", "rest1"]);
  });
  test("leaves the workflow itself out", () => {
    assert.deepEqual(build(view([])).order, []);
  });
});

describe("a member", () => {
  const model = build(view([group("2", "1", { name: "sub" }), group("3", "2", { name: "in" }), member("4", "3", { name: "a" })]));
  const get = (id) => model.members.get(id);

  test("is as deep as the groups around it, without the workflow", () => {
    assert.deepEqual(["2", "3", "4"].map((id) => model.depth(get(id))), [0, 1, 2]);
  });
  test("is called by its path", () => {
    assert.equal(model.path(get("4")), "sub / in / a");
    assert.equal(model.path(get("2")), "sub");
  });
  test("may be the workflow itself, as the fragment of an address can name it", () => {
    assert.equal(model.path(model.root), "root");
    assert.equal(model.depth(model.root), 0);
  });
});

describe("an edge", () => {
  const members = [group("2", "1"), member("3", "2"), member("4", "2"), member("5", "1")];

  test("belongs to the group that holds both its ends", () => {
    const model = build(view(members, { edges: [["3", "4"], ["2", "5"]] }));
    assert.deepEqual([...model.edgesIn], [["2", [["3", "4"]]], ["1", [["2", "5"]]]]);
  });
  test("to what is not shown is left out", () => {
    assert.equal(build(view(members, { edges: [["3", "99"], ["99", "4"]] })).edgesIn.size, 0);
  });
  test("of the critical path is found by its two ends", () => {
    const model = build(view(members, { edges: [["3", "4"]], path: [["3", "4"]] }));
    assert.ok(model.pathEdges.has("3,4"));
    assert.ok(!model.pathEdges.has("4,3"));
  });
});

test("now is that of the server", () => {
  assert.equal(build(view([], { now: "2026-01-01T00:00:00Z" })).now, Date.UTC(2026, 0, 1));
});
