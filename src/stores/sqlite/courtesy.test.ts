import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Courtesy } from "./courtesy.ts";

describe("courtesy at SQLite's lock", () => {
  it("never delays a process that is alone and sends small batches", () => {
    const courtesy = new Courtesy();
    for (let nowMs = 0; nowMs < 300; nowMs++) {
      assert.equal(courtesy.pauseMs(31, nowMs), 0);
      courtesy.won(nowMs, 0);
    }
  });

  it("pauses between the first large batches of a burst, not before the first and not later", () => {
    const courtesy = new Courtesy();
    const pauses = [0, 1, 5, 11, 12, 40, 90, 141, 142].map((nowMs) => {
      const pauseMs = courtesy.pauseMs(32, nowMs);
      courtesy.won(nowMs, 0);
      return pauseMs;
    });
    assert.deepEqual(pauses, [0, 4, 4, 4, 0, 0, 0, 0, 4]);
  });

  it("never pauses for a negative time, even where the monotonic clock has run back", () => {
    const courtesy = new Courtesy();
    for (const waitedMs of [-342, Number.NEGATIVE_INFINITY, -0.5, 3]) {
      courtesy.lost(1_000, 0);
      courtesy.won(1_000, waitedMs);
      const pauseMs = courtesy.pauseMs(1, 1_001);
      assert.ok(pauseMs >= 0 && pauseMs <= 20, String(pauseMs));
    }
    assert.equal(courtesy.pauseMs(1, 1_001), 2);
  });

  it("retries within one to four ms", () => {
    const courtesy = new Courtesy();
    assert.deepEqual([courtesy.lost(0, 0), courtesy.lost(0, 1)], [1, 4]);
  });

  it("pauses as long as it lately had to wait, bounded, until the lock was free for a while", () => {
    const courtesy = new Courtesy();
    courtesy.lost(1_000, 0);
    assert.equal(courtesy.pauseMs(1, 1_000), 8);
    courtesy.won(1_001, 2);
    assert.equal(courtesy.pauseMs(1, 1_002), 5);
    courtesy.lost(1_100, 0);
    courtesy.won(1_101, 100);
    assert.equal(courtesy.pauseMs(1, 1_102), 20);
    assert.equal(courtesy.pauseMs(1, 1_299), 20);
    assert.equal(courtesy.pauseMs(1, 1_300), 0);
    courtesy.lost(1_400, 0);
    assert.equal(courtesy.pauseMs(1, 1_401), 8);
  });
});
