import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { callMatcher, excludedBy, firstMatcher, globsIn, isExact, patternsOf, valueMatcher } from "./selector.ts";
import type { SelectorInput } from "./policy/input-values.ts";

type Said = Readonly<Record<string, string>>;

function textIn(said: Said) {
  return (dimension: string) => said[dimension];
}

describe("valueMatcher", () => {
  it("matches a value that one pattern includes and none excludes", () => {
    const cases: [patterns: SelectorInput, matched: (string | undefined)[], others: (string | undefined)[]][] = [
      ["trial", ["trial"], ["pro", "Trial", "trial2", undefined]],
      [5, ["5"], ["05", "5.0", undefined]],
      [
        ["pro", 7],
        ["pro", "7"],
        ["team", undefined],
      ],
      ["*", ["x", "a\nb"], [undefined]],
      [
        ["delete_*", "drop_table"],
        ["delete_x", "delete_", "drop_table"],
        ["drop_table2", "undelete_x"],
      ],
      [
        ["*", "!delete_*"],
        ["read", "undelete_x"],
        ["delete_x", undefined],
      ],
      [["!delete_*", "*"], ["read"], ["delete_x", undefined]],
      ["!free", ["pro", "freed", undefined], ["free"]],
      [
        ["!free", "!trial_*"],
        ["pro", "trial", undefined],
        ["free", "trial_1"],
      ],
      ["!*", [undefined], ["x"]],
      [["a", "!a"], [], ["a", "b", undefined]],
      [
        ["a*", "!ab"],
        ["a", "abc"],
        ["ab", undefined],
      ],
      ["!!x", ["x", undefined], ["!x"]],
    ];
    for (const [patterns, matched, others] of cases) {
      const matches = valueMatcher(patterns);
      for (const value of matched) assert.equal(matches(value), true, `${patterns} ${value}`);
      for (const value of others) assert.equal(matches(value), false, `${patterns} ${value}`);
    }
  });

  it("matches an absent value", () => {
    for (const patterns of ["a", "!a", ["*", "!a"]]) assert.equal(valueMatcher(patterns)(null), true);
  });

  it("does not mind the order of the patterns", () => {
    const pattern = fc.constantFrom("a", "b", "ab", "a*", "*b", "*", "!a", "!b", "!a*", "!*");
    const value = fc.constantFrom("a", "b", "ab", "aab", undefined);
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1 }), value, (patterns, given) => {
        assert.equal(valueMatcher(patterns)(given), valueMatcher(patterns.toReversed())(given));
      }),
    );
  });
});

describe("callMatcher", () => {
  it("matches a call that matches each dimension", () => {
    const matches = callMatcher({ tool: ["delete_*", "drop"], plan: "!enterprise" });
    const matched: Said[] = [{ tool: "drop" }, { tool: "delete_x", plan: "pro" }];
    const others: Said[] = [{ tool: "read" }, { tool: "drop", plan: "enterprise" }, { plan: "pro" }];
    for (const said of matched) assert.equal(matches(textIn(said)), true);
    for (const said of others) assert.equal(matches(textIn(said)), false);
  });
});

describe("firstMatcher", () => {
  it("finds the first in the order of the list, whether whole values are looked up or patterns are tried", () => {
    const find = firstMatcher([
      { plan: "pro", user: "u1" },
      { tool: "delete_*" },
      { plan: "pro" },
      { user: "u1", plan: "pro" },
      { plan: ["team", "pro"] },
      { user: "u2", tool: "search", plan: "pro" },
      { seats: 5 },
      { plan: "!free", user: "u3" },
    ]);
    const cases: [said: Said, place: number][] = [
      [{ plan: "pro", user: "u1", tool: "delete_x" }, 0],
      [{ plan: "pro", tool: "delete_x" }, 1],
      [{ plan: "pro", tool: "search", user: "u2" }, 2],
      [{ plan: "team", tool: "search" }, 4],
      [{ seats: "5", tool: "search" }, 6],
      [{ user: "u3" }, 7],
      [{ user: "u1" }, -1],
      [{ user: "u2", tool: "search" }, -1],
      [{}, -1],
    ];
    for (const [said, place] of cases) assert.equal(find(textIn(said)), place, JSON.stringify(said));
  });

  it("finds one without dimensions, which is for all calls", () => {
    const find = firstMatcher([{ plan: "pro" }, {}]);
    assert.deepEqual([find(textIn({ plan: "pro" })), find(textIn({}))], [0, 1]);
  });

  it("finds none in an empty list", () => {
    assert.equal(firstMatcher([])(textIn({ plan: "pro" })), -1);
  });

  it("agrees with trying them one after the other", () => {
    const value = fc.constantFrom("a", "b", "ab");
    const pattern = fc.constantFrom("a", "b", "ab", "a*", "!a", "!*", "*");
    const when = fc.dictionary(
      fc.constantFrom("x", "y", "z"),
      fc.oneof(value, value, pattern, fc.array(pattern, { minLength: 1, maxLength: 3 })),
      { minKeys: 0 },
    );
    const said = fc.dictionary(fc.constantFrom("x", "y", "z"), value);
    fc.assert(
      fc.property(fc.array(when, { maxLength: 12 }), said, (whens, words) => {
        const textOf = textIn(words);
        assert.equal(
          firstMatcher(whens)(textOf),
          whens.findIndex((each) => callMatcher(each)(textOf)),
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe("the parts of a when", () => {
  it("is patterns, of which some exclude a value", () => {
    assert.deepEqual(patternsOf(["a", 5, "!b"]), ["a", "5", "!b"]);
    assert.deepEqual(patternsOf("a"), ["a"]);
    assert.equal(excludedBy("!b*"), "b*");
    assert.equal(excludedBy("b!"), null);
  });

  it("is counted by its patterns with *", () => {
    assert.equal(globsIn({ tool: ["a*", "b", "!*c"], plan: "*", user: 5 }), 3);
    assert.equal(globsIn({ plan: "pro" }), 0);
  });

  it("is exact where each dimension has one whole value", () => {
    assert.equal(isExact({ plan: "pro", seats: 5, tool: ["x"] }), true);
    for (const value of ["a*", "!a", ["a", "b"]]) assert.equal(isExact({ plan: "pro", tool: value }), false);
    assert.equal(isExact({}), false);
  });
});
