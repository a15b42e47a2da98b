// What a step of a policy test expects, beside what was found.

import type { BucketUsage, Decision } from "../kernel/decision.ts";
import { inSeconds, type PolicyTestUnits, parseSpan, spanText, unitsIn, unitsText } from "./policy-test-amounts.ts";
import type { PolicyTestBucket, PolicyTestCall } from "./policy-test-input.ts";

/** One expectation that was not met. */
export interface Mismatch {
  readonly word: string;
  readonly expected: string;
  readonly got: string;
}

/** What a call expects of its decision, and does not find. */
export function compareCall(step: PolicyTestCall, decision: Decision): Mismatch[] {
  const { expect = "allowed", by, retryAfter, exceeded, notice, message } = step;
  const mismatches: Mismatch[] = [];
  const compare = (word: string, isMet: boolean, expected: string, got: string) => {
    if (!isMet) mismatches.push({ word, expected, got });
  };
  compare("expect", (expect === "allowed") === decision.allowed, expect, decision.allowed ? "allowed" : "denied");
  // The other expectations are about the other decision.
  if (mismatches.length > 0) return mismatches;
  if (by !== undefined) compare("by", by === decision.deniedBy, by, decision.deniedBy ?? "no limit");
  if (retryAfter !== undefined) {
    const { retryAfterMs: found } = decision;
    const expectedMs = retryAfter === "never" ? null : parseSpan(retryAfter);
    const isMet = found === expectedMs || (found !== null && inSeconds(found) === expectedMs);
    compare("retryAfter", isMet, retryAfter, spanText(found));
  }
  if (exceeded !== undefined) {
    const found = decision.verdicts.filter((verdict) => verdict.exceeded).map(({ limit }) => limit);
    compare("exceeded", sorted(exceeded) === sorted(found), listText(exceeded), listText(found));
  }
  if (notice !== undefined) {
    const { notice: found } = decision;
    const isMet = typeof notice === "boolean" ? notice === (found !== null) : found?.includes(notice) === true;
    const expected = notice === true ? "a notice" : notice === false ? "no notice" : JSON.stringify(notice);
    compare("notice", isMet, expected, found === null ? "no notice" : JSON.stringify(found));
  }
  if (message !== undefined) {
    const { message: found } = decision;
    const got = found === null ? "no message" : JSON.stringify(found);
    compare("message", found?.includes(message) === true, JSON.stringify(message), got);
  }
  return mismatches;
}

/** What is left in buckets of a call, by limit, beside what is expected. */
export function compareRemaining(
  remaining: NonNullable<PolicyTestCall["remaining"]>,
  usages: readonly BucketUsage[],
): Mismatch[] {
  return Object.entries(remaining).flatMap(([limit, expected]) => {
    const usage = usages.find((each) => each.limit === limit);
    const word = `remaining ${limit}`;
    if (usage !== undefined) return compareUnits(word, expected, usage.remaining, usage.unit);
    return [{ word, expected: String(expected), got: "no verdict: the limit is not for this call" }];
  });
}

/** How a bucket stands, beside what is expected. */
export function compareBucket(step: PolicyTestBucket, usages: readonly BucketUsage[]): Mismatch[] {
  const [usage] = usages;
  if (usage === undefined || usages.length > 1) {
    const expected = "all dimensions of the limit, so that it names one bucket";
    return [{ word: "bucket", expected, got: `${usages.length} buckets` }];
  }
  return (["used", "remaining", "quota"] as const).flatMap((word) => {
    const expected = step[word];
    return expected === undefined ? [] : compareUnits(word, expected, usage[word], usage.unit);
  });
}

function compareUnits(word: string, expected: PolicyTestUnits, found: number | null, unit: string): Mismatch[] {
  return unitsIn(expected) === found ? [] : [{ word, expected: String(expected), got: unitsText(found, unit) }];
}

function sorted(names: readonly string[]): string {
  return [...names].sort().join();
}

function listText(names: readonly string[]): string {
  return `[${names.join(", ")}]`;
}
