import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { matchesGlob } from "./glob.ts";

describe("matchesGlob", () => {
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
      for (const name of matched) assert.equal(matchesGlob(pattern, name), true, `${pattern} ${name}`);
      for (const name of others) assert.equal(matchesGlob(pattern, name), false, `${pattern} ${name}`);
    }
  });

  it("takes no time to speak of on a name that is made for it", () => {
    const startedMs = performance.now();
    assert.equal(matchesGlob(`${"a*".repeat(100)}b`, "a".repeat(1_000_000)), false);
    assert.ok(performance.now() - startedMs < 1_000);
  });
});
