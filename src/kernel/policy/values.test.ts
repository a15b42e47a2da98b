import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseDuration } from "../duration.ts";
import { calendarFrom, countFrom, durationFrom, moneyFrom, nameFrom, rateFrom, rateKey } from "./values.ts";

describe("values as people write them", () => {
  it("are read as durations", () => {
    const cases: [text: string, duration: string | null][] = [
      ["1 minute", "1m"],
      ["1hour", "1h"],
      ["90 secs", "90s"],
      ["500millis", "500ms"],
      ["2 weeks", "14d"],
      ["1.5h", "90m"],
      ["1h30m", "90m"],
      ["1 hour, 30 minutes", "90m"],
      ["PT1H", "1h"],
      ["P1D", "1d"],
      ["P1DT12H", "36h"],
      ["hour", "1h"],
      ["daily", "1d"],
      ["5M", "5m"],
      ["P1M", null],
      ["1 month", null],
      ["0s", null],
      ["0.5ms", null],
      ["36501d", null],
      ["60", null],
      ["-1h", null],
      ["", null],
    ];
    for (const [text, duration] of cases) assert.equal(durationFrom(text), duration, text);
  });

  it("stay the durations that they are", () => {
    const unit = fc.constantFrom("ms", "s", "m", "h", "d");
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 36_500 }), unit, (count, symbol) => {
        const text = `${count}${symbol}`;
        assert.equal(parseDuration(durationFrom(text) ?? ""), parseDuration(text));
      }),
    );
  });

  it("are read as numbers, money and rates", () => {
    for (const [text, count] of [
      ["5", 5],
      ["5k", 5_000],
      ["1.5M", 1_500_000],
      ["1,000", 1_000],
      ["1_000_000", 1_000_000],
      ["1e3", 1_000],
      ["0.1k", 100],
      ["2.5", null],
      ["1e99", null],
      ["five", null],
    ] as const)
      assert.equal(countFrom(text), count, text);
    for (const [text, unit, micros] of [
      ["$2.50", "usd_micros", 2_500_000],
      ["2.50 USD", "usd_micros", 2_500_000],
      ["EUR 2", "eur_micros", 2_000_000],
      ["€0.1", "eur_micros", 100_000],
    ] as const)
      assert.deepEqual(moneyFrom(text), { unit, micros });
    for (const text of ["5", "5min", "usd", "5 abc"]) assert.equal(moneyFrom(text), null, text);
    for (const [text, quota, window] of [
      ["60/min", 60, "1m"],
      ["5 per 2 hours", 5, "2h"],
      ["100 rpm", 100, "1m"],
      ["1k requests per hour", 1_000, "1h"],
      ["10 calls a day", 10, "day"],
      ["25/week", 25, "week"],
      ["9 per month", 9, "month"],
    ] as const)
      assert.deepEqual(rateFrom(text), { quota, window }, text);
    for (const text of ["5", "5 per user", "many per hour"]) assert.equal(rateFrom(text), null, text);
  });

  it("are read as rates where they are keys", () => {
    for (const [key, unit, window] of [
      ["rpm", "calls", "1m"],
      ["RPS", "calls", "1s"],
      ["tpm", "tokens", "1m"],
      ["tokensPerMinute", "tokens", "1m"],
      ["per_hour", "calls", "1h"],
      ["requests-per-day", "calls", "day"],
    ] as const)
      assert.deepEqual(rateKey(key), { unit, window }, key);
    for (const key of ["per", "pm", "quota", "map", "rpx"]) assert.equal(rateKey(key), null, key);
  });

  it("are read as windows of the calendar", () => {
    for (const text of ["day", "daily", "1d", "1 day", "per day", "a day", "Each Day"])
      assert.equal(calendarFrom(text), "day", text);
    for (const text of ["weekly", "1w", "7 weeks".slice(2)]) assert.equal(calendarFrom(text), "week", text);
    for (const text of ["monthly", "1 month", "mo"]) assert.equal(calendarFrom(text), "month", text);
    for (const text of ["2d", "14 days", "hourly", "1m", "today", ""]) assert.equal(calendarFrom(text), null, text);
  });

  it("are read as names", () => {
    assert.equal(nameFrom("Per Session!", "-"), "per-session");
    assert.equal(nameFrom("orgId", "_"), "org_id");
    assert.equal(nameFrom("***", "_"), "");
  });
});
