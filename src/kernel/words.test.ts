import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { amount, durationInWords, grouped, listed, nounOf, periodInWords, type Rounding } from "./words.ts";

const MAX = Number.MAX_SAFE_INTEGER;

describe("amount", () => {
  it("is a number, grouped, and its unit in the right number", () => {
    const cases: [units: number, unit: string, text: string][] = [
      [0, "calls", "0 calls"],
      [1, "calls", "1 call"],
      [40_000, "tokens", "40,000 tokens"],
      [999, "gpu_seconds", "999 gpu seconds"],
      [1, "gpu_seconds", "1 gpu second"],
      [1, "queries", "1 query"],
      [1, "searches", "1 search"],
      [1, "boxes", "1 box"],
      [1, "access", "1 access"],
      [2, "bytes", "2 bytes"],
      [1, "bytes", "1 byte"],
      [1, "energy", "1 energy"],
      [1, "status", "1 status"],
      [1, "analysis", "1 analysis"],
      [1, "series", "1 series"],
      [1, "gpus", "1 gpu"],
      [1, "apis", "1 api"],
      [1, "gpu_ms", "1 gpu ms"],
      [1, "ms", "1 ms"],
      [MAX, "calls", "9,007,199,254,740,991 calls"],
    ];
    for (const [units, unit, text] of cases) assert.equal(amount(units, unit), text);
    assert.equal(nounOf("sessions", 0), "sessions");
    assert.equal(grouped(1_000), "1,000");
  });

  it("is money for millionths of a currency, and shows 0.00 only for 0", () => {
    const cases: [micros: number, rounding: Rounding, text: string][] = [
      [0, "down", "$0.00"],
      [1, "down", "$0.000001"],
      [300, "up", "$0.0003"],
      [9_999, "down", "$0.009999"],
      [10_000, "down", "$0.01"],
      [40_000, "exact", "$0.04"],
      [44_900, "exact", "$0.0449"],
      [44_900, "down", "$0.04"],
      [44_900, "up", "$0.05"],
      [999_999, "down", "$0.99"],
      [999_999, "up", "$1.00"],
      [1_500_000, "exact", "$1.50"],
      [1_250_000_000, "exact", "$1,250.00"],
      [MAX, "exact", "$9,007,199,254.740991"],
      [MAX, "up", "$9,007,199,254.75"],
      [MAX, "down", "$9,007,199,254.74"],
    ];
    for (const [micros, rounding, text] of cases) assert.equal(amount(micros, "usd_micros", rounding), text);
    assert.equal(amount(12_500_000, "eur_micros"), "EUR 12.50");
    assert.equal(amount(5, "points_micros"), "5 points micros");
  });

  it("never shows more than is left, or less than is needed", () => {
    const shown = (micros: number, rounding: Rounding) =>
      Math.round(Number(amount(micros, "usd_micros", rounding).replace(/[$,]/g, "")) * 1_000_000);
    const micros = fc.oneof(fc.nat(20_000), fc.nat(2 ** 31 - 1));
    const property = fc.property(micros, (each) => {
      assert.ok(shown(each, "down") <= each && (each === 0 || shown(each, "down") > 0));
      assert.ok(shown(each, "up") >= each);
      assert.equal(shown(each, "exact"), each);
    });
    fc.assert(property, { seed: 20_251_121, numRuns: 1_000 });
  });
});

describe("durations in words", () => {
  it("are rounded up for a wait, and down for what is left", () => {
    const [s, min, h, d] = [1_000, 60_000, 3_600_000, 86_400_000];
    const cases: [ms: number, up: string, down: string][] = [
      [0, "1 second", "less than 1 second"],
      [250, "1 second", "less than 1 second"],
      [s, "1 second", "1 second"],
      [59 * s + 1, "1 minute", "59 seconds"],
      [min + 30 * s, "1 minute 30 seconds", "1 minute 30 seconds"],
      [2 * min, "2 minutes", "2 minutes"],
      [10 * min + 1, "11 minutes", "10 minutes"],
      [3 * h + 20 * min, "3 hours 20 minutes", "3 hours 20 minutes"],
      [48 * h + 1, "2 days 1 hour", "2 days"],
      [4_000 * d, "4,000 days", "4,000 days"],
    ];
    for (const [ms, up, down] of cases) {
      assert.deepEqual([durationInWords(ms, "up"), durationInWords(ms, "down")], [up, down], String(ms));
    }
  });

  it("are exact for a window", () => {
    const cases: [ms: number, text: string][] = [
      [1, "millisecond"],
      [1_500, "1,500 milliseconds"],
      [1_000, "second"],
      [60_000, "minute"],
      [90_000, "90 seconds"],
      [900_000, "15 minutes"],
      [3_600_000, "hour"],
      [86_400_000, "day"],
      [604_800_000, "week"],
      [1_209_600_000, "2 weeks"],
    ];
    for (const [ms, text] of cases) assert.equal(periodInWords(ms), text);
  });
});

describe("listed", () => {
  it("has an and before its last", () => {
    assert.deepEqual(
      [[], ["a"], ["a", "b"], ["a", "b", "c"]].map((words) => listed(words)),
      ["", "a", "a and b", "a, b and c"],
    );
  });
});
