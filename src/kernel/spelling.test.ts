import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { closest, editDistance, isPluralOf, isSwapOf, isTypoOf, typoHint } from "./spelling.ts";

describe("editDistance", () => {
  it("counts inserted, deleted, replaced and swapped letters, up to a bound", () => {
    const cases: [one: string, other: string, distance: number][] = [
      ["search", "search", 0],
      ["serach", "search", 1],
      ["serch", "search", 1],
      ["searchh", "search", 1],
      ["sear_h", "search", 1],
      ["", "ab", 2],
      ["saerhc", "search", 2],
      ["kitten", "sitting", 3],
      ["read", "search", 4],
      ["abcdef", "ghijkl", 4],
      ["a", "abcde", 4],
    ];
    for (const [one, other, distance] of cases) {
      assert.equal(editDistance(one, other, 3), distance, `${one} ${other}`);
      assert.equal(editDistance(other, one, 3), distance, `${other} ${one}`);
    }
    assert.equal(editDistance("a".repeat(65), "a".repeat(65), 3), 4);
  });
});

describe("isSwapOf", () => {
  it("applies only to two neighbouring letters, in names of at least four characters", () => {
    for (const [one, other] of [
      ["gtp-5", "gpt-5"],
      ["plna", "plan"],
    ] as const)
      assert.deepEqual([isSwapOf(one, other), isSwapOf(other, one)], [true, true]);
    for (const [one, other] of [
      ["abc", "acb"],
      ["plan", "plan"],
      ["plan", "plans"],
      ["gpt-12", "gpt-21"],
      ["abcd", "dbca"],
      ["abcdx", "acbdy"],
    ] as const)
      assert.deepEqual([isSwapOf(one, other), isSwapOf(other, one)], [false, false], one);
  });
});

describe("closest", () => {
  it("finds the candidate that was probably meant, or none", () => {
    const cases: [word: string, candidates: string[], found: string | null][] = [
      ["serach", ["book", "search", "research"], "search"],
      ["qouta", ["quota", "quotas"], "quota"],
      ["Search", ["search"], "search"],
      ["max_hold", ["maxHold", "limits"], "maxHold"],
      ["noticeat", ["noticeAt"], "noticeAt"],
      ["algoritm", ["algorithm"], "algorithm"],
      ["colour", ["quota", "window"], null],
      ["T4", ["T1", "T2"], null],
      ["t1", ["T1"], "T1"],
      ["search_v2", ["search_v1"], null],
      ["ab", ["abc"], null],
      ["search", ["search"], null],
      ["x", [], null],
    ];
    for (const [word, candidates, found] of cases) assert.equal(closest(word, candidates), found, word);
  });

  it("finds each word of six letters or more again after one edit", () => {
    const word = fc.stringMatching(/^[a-z]{6,12}$/);
    fc.assert(
      fc.property(word, fc.nat(), fc.stringMatching(/^[a-z]$/), (right, at, letter) => {
        const place = at % right.length;
        const wrong = right.slice(0, place) + letter + right.slice(place + 1);
        assert.equal(closest(wrong, [right]), wrong === right ? null : right);
      }),
    );
  });
});

describe("isTypoOf", () => {
  it("distinguishes a typo from two names", () => {
    const typos: [one: string, other: string][] = [
      ["serach", "search"],
      ["serch", "search"],
      ["seearch", "search"],
      ["searbh", "search"],
      ["send_emial", "send_email"],
      ["cancel_oder", "cancel_order"],
      ["workspcae", "workspace"],
      ["sendEmail", "send_email"],
      ["Search", "search"],
      ["searchx", "search"],
      ["ssearch", "search"],
      ["customerr", "customer"],
    ];
    const names: [one: string, other: string][] = [
      ["search", "search"],
      ["get_user", "set_user"],
      ["booking", "cooking"],
      ["read_file", "read_files"],
      ["plan_trip", "plans_trip"],
      ["compute", "computer"],
      ["notify", "notifyd"],
      ["remind", "a_remind"],
      ["import", "mport"],
      ["search_v1", "search_v2"],
      ["search1", "search"],
      ["form_send", "from_send"],
      ["read", "reed"],
      ["search", "book"],
    ];
    for (const [one, other] of typos)
      assert.equal(isTypoOf(one, other) && isTypoOf(other, one), true, `${one} ${other}`);
    for (const [one, other] of names)
      assert.equal(isTypoOf(one, other) || isTypoOf(other, one), false, `${one} ${other}`);
  });
});

describe("isPluralOf", () => {
  it("finds that only an s is added", () => {
    assert.equal(isPluralOf("token", "tokens") && isPluralOf("tokens", "token"), true);
    assert.equal(isPluralOf("token", "token") || isPluralOf("token", "tokenss"), false);
  });
});

describe("typoHint", () => {
  it("is there where a name is probably a typo", () => {
    assert.deepEqual(typoHint("monthy", ["daily", "monthly"]), { hint: 'Did you mean "monthly"?' });
    for (const name of ["weekly", "monthly", 5, undefined, null]) assert.deepEqual(typoHint(name, ["monthly"]), {});
  });
});
