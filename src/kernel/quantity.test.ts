import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isMoneyText, parseQuantity, quantityOf } from "./quantity.ts";

describe("parseQuantity", () => {
  it("reads thousands, millions, digits in groups, and dollars", () => {
    const cases: [text: string, units: number][] = [
      ["200k", 200_000],
      ["0k", 0],
      ["2M", 2_000_000],
      ["9007199254M", 9_007_199_254_000_000],
      ["5_000_000", 5_000_000],
      ["1_000", 1_000],
      ["$500", 500_000_000],
      ["$0.05", 50_000],
      ["$0.5", 500_000],
      ["$0.000001", 1],
      ["$0", 0],
      ["$0.1", 100_000],
      ["$1.10", 1_100_000],
      ["$4503599627.370495", 4_503_599_627_370_495],
      ["$9007199254.740991", Number.MAX_SAFE_INTEGER],
    ];
    for (const [text, units] of cases) assert.equal(parseQuantity(text), units, text);
  });

  it("reads nothing else", () => {
    const texts = [
      "",
      "5",
      "200K",
      "2m",
      "1.5M",
      "1e6",
      "1,000",
      "1_00",
      "1000_000",
      "_000",
      "0_000",
      "007k",
      "-5k",
      "+5k",
      " 5k",
      "5k ",
      "5k\n",
      "$",
      "$-5",
      "$05",
      "$1.",
      "$.5",
      "$0.0000001",
      "$1,000",
      "$5k",
      "€5",
      "5$",
      "k",
      "NaNk",
      "9007199255M",
      "9007199254740992k",
      "$9007199254.740992",
      `${"9".repeat(400)}k`,
    ];
    for (const text of texts) assert.equal(parseQuantity(text), null, text);
  });
});

describe("isMoneyText", () => {
  it("distinguishes dollars from other amounts", () => {
    assert.equal(isMoneyText("$5"), true);
    assert.equal(isMoneyText("5k"), false);
  });
});

describe("quantityOf", () => {
  it("writes a number as the shortest text", () => {
    const cases: [units: number, unit: string | undefined, text: string][] = [
      [0, undefined, "0"],
      [999, "tokens", "999"],
      [1_000, "tokens", "1k"],
      [1_500, "tokens", "1500"],
      [200_000, "calls", "200k"],
      [2_000_000, "calls", "2M"],
      [2_500_000, "calls", "2500k"],
      [500_000_000, "usd_micros", "$500"],
      [50_000, "usd_micros", "$0.05"],
      [500_000, "usd_micros", "$0.50"],
      [1, "usd_micros", "$0.000001"],
    ];
    for (const [units, unit, text] of cases) assert.equal(quantityOf(units, unit), text);
  });

  it("writes what is read as the same number", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (units) => {
        assert.equal(parseQuantity(quantityOf(units, "usd_micros")), units);
        const text = quantityOf(units, "tokens");
        assert.equal(parseQuantity(text) ?? Number(text), units);
      }),
    );
  });
});
