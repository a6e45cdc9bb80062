import assert from "node:assert/strict";
import { describe, test } from "node:test";

const { clip, count, duration } = await import(`${process.env.STATIC}/dom.js`);

describe("clip", () => {
  test("leaves a text alone that fits", () => {
    assert.equal(clip("abcde", 5), "abcde");
  });
  test("ends a longer one with a dot for each dot, within the length", () => {
    assert.equal(clip("abcdef", 5), "abcd…");
  });
});

describe("count", () => {
  test("groups digits as English does, whatever the locale of the reader", () => {
    assert.equal(count(0), "0");
    assert.equal(count(1234567), "1,234,567");
  });
});

describe("duration", () => {
  for (const [milliseconds, text] of [
    [0, "0ms"],
    [999.4, "999ms"],
    [1000, "1.0s"],
    [59_900, "59.9s"],
    [60_000, "1m 0s"],
    [3_599_999, "59m 59s"],
    [3_600_000, "1h 0m"],
    [90_061_000, "25h 1m"],
  ]) {
    test(`of ${milliseconds} ms is ${text}`, () => {
      assert.equal(duration(milliseconds), text);
    });
  }
  test("is never negative, as clocks of two machines differ", () => {
    assert.equal(duration(-5), "0ms");
  });
  test("never counts 60 seconds or minutes", () => {
    for (let at = 0; at < 7_300_000; at += 37) assert.doesNotMatch(duration(at), /\b(1000ms|60\.\ds|60s|60m)/);
  });
});
