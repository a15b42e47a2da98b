import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { covers, entryFinder, globMatcher, mayMeet, namesMatcher } from "./glob.ts";

describe("globMatcher", () => {
  it("lets * stand for any characters, also none", () => {
    const cases: [pattern: string, matched: string[], others: string[]][] = [
      ["send", ["send"], ["", "sen", "send_", "Send"]],
      ["*", ["", "send", "a\nb"], []],
      ["send_*", ["send_", "send_email"], ["send", "resend_email"]],
      ["*_email", ["_email", "send_email"], ["email", "send_emails"]],
      ["a*a", ["aa", "aba"], ["a", "ab"]],
      ["a*b*c", ["abc", "axbxc", "abbc", "acbc"], ["acb", "ab", "bc", "ac"]],
      ["*ab*ab*", ["abab", "xabxabx"], ["ab", "aba"]],
      ["a.c", ["a.c"], ["abc"]],
      ["**", ["", "x"], []],
    ];
    for (const [pattern, matched, others] of cases) {
      for (const name of matched) assert.equal(globMatcher(pattern)(name), true, `${pattern} ${name}`);
      for (const name of others) assert.equal(globMatcher(pattern)(name), false, `${pattern} ${name}`);
    }
  });

  it("takes time in proportion to the name", () => {
    const matches = globMatcher(`${"a*".repeat(100)}b`);
    const timeFor = (length: number) => {
      const name = "a".repeat(length);
      const startedMs = performance.now();
      for (let i = 0; i < 20; i++) assert.equal(matches(name), false);
      return performance.now() - startedMs;
    };
    timeFor(1_000);
    // Going back would make it take a million times as long.
    assert.ok(timeFor(1_000_000) < 100_000 * Math.max(0.01, timeFor(1_000)));
  });
});

describe("namesMatcher", () => {
  it("takes names and patterns", () => {
    const matches = namesMatcher(["search", "delete_*"]);
    for (const name of ["search", "delete_x"]) assert.equal(matches(name), true);
    for (const name of ["searches", "undelete_x", ""]) assert.equal(matches(name), false);
    assert.equal(namesMatcher([])("x"), false);
  });
});

describe("entryFinder", () => {
  it("finds a name's own entry, else that of the first pattern that matches", () => {
    const find = entryFinder([
      ["mcp__github__*", 1],
      ["mcp__*", 2],
      ["mcp__github__search", 3],
      ["a*", 4],
    ]);
    const cases: [name: string, entry: number | undefined][] = [
      ["mcp__github__search", 3],
      ["mcp__github__merge", 1],
      ["mcp__jira__merge", 2],
      ["a*", 4],
      ["search", undefined],
      ["constructor", undefined],
    ];
    for (const [name, entry] of cases) assert.equal(find(name), entry, name);
  });
});

describe("covers", () => {
  it("finds whether a pattern matches everything that another one matches", () => {
    const covered = [
      ["*", "a*"],
      ["a*", "ab*c"],
      ["a*c", "ab*c"],
      ["a*", "a"],
      ["a", "a"],
    ] as const;
    for (const [pattern, other] of covered) assert.equal(covers(pattern, other), true, `${pattern} ${other}`);
    const others = [
      ["a*", "*"],
      ["a*c", "ab*"],
      ["ab", "a*"],
      ["a", "b"],
    ] as const;
    for (const [pattern, other] of others) assert.equal(covers(pattern, other), false, `${pattern} ${other}`);
  });
});

describe("mayMeet", () => {
  it("finds whether one name can match both", () => {
    const pairs = [
      ["a", "a"],
      ["a*", "ab"],
      ["ab*", "a*"],
      ["*b", "a*"],
    ] as const;
    for (const [one, other] of pairs) assert.deepEqual([mayMeet(one, other), mayMeet(other, one)], [true, true]);
    const others = [
      ["a", "b"],
      ["a*", "b"],
      ["ab*", "ac*"],
    ] as const;
    for (const [one, other] of others) assert.deepEqual([mayMeet(one, other), mayMeet(other, one)], [false, false]);
  });
});
