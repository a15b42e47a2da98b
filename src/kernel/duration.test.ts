import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatDuration, MAX_DURATION_MS, parseDuration } from "./duration.ts";

describe("parseDuration", () => {
  it("reads whole numbers of a unit", () => {
    const cases: [text: string, ms: number][] = [
      ["1ms", 1],
      ["250ms", 250],
      ["30s", 30_000],
      ["5m", 300_000],
      ["1h", 3_600_000],
      ["7d", 604_800_000],
      ["36500d", MAX_DURATION_MS],
      ["3153600000000ms", MAX_DURATION_MS],
    ];
    for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
    assert.equal(MAX_DURATION_MS, 3_153_600_000_000);
  });

  it("refuses everything else", () => {
    const texts = [
      "",
      "5",
      "s",
      "0s",
      "05s",
      "-1s",
      "+1s",
      "1.5s",
      "1e3s",
      " 1s",
      "1s ",
      "1s\n",
      "1 s",
      "1S",
      "1w",
      "1h30m",
    ];
    for (const text of [...texts, "3153600000001ms", "36501d", `${"9".repeat(400)}d`]) {
      assert.equal(parseDuration(text), null, JSON.stringify(text));
    }
  });
});

describe("formatDuration", () => {
  it("rounds up, to two units at most", () => {
    const [s, min, h, d] = [1_000, 60_000, 3_600_000, 86_400_000];
    const cases: [ms: number, text: string][] = [
      [0, "0 ms"],
      [1, "1 ms"],
      [999, "999 ms"],
      [s, "1 s"],
      [s + 1, "2 s"],
      [59 * s, "59 s"],
      [59 * s + 1, "1 min"],
      [min, "1 min"],
      [min + 1, "1 min 1 s"],
      [2 * min + 5 * s, "2 min 5 s"],
      [9 * min, "9 min"],
      [9 * min + 1, "10 min"],
      [10 * min, "10 min"],
      [10 * min + 1, "11 min"],
      [59 * min, "59 min"],
      [59 * min + 1, "1 h"],
      [h, "1 h"],
      [h + 1, "1 h 1 min"],
      [3 * h + 20 * min, "3 h 20 min"],
      [47 * h, "47 h"],
      [47 * h + 1, "2 d"],
      [48 * h, "2 d"],
      [48 * h + 1, "2 d 1 h"],
      [4 * d + h, "4 d 1 h"],
      [MAX_DURATION_MS, "36500 d"],
    ];
    for (const [ms, text] of cases) assert.equal(formatDuration(ms), text, String(ms));
  });
});
