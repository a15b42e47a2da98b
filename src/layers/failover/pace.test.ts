import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LONGEST_LIFE_MS } from "../../store/shared-store.ts";
import { beatEachMs, livesMs, longestProbeMs, Pause, probeAfterMs } from "./pace.ts";

const MANY = 10_000;

describe("the pace of beats", () => {
  for (const [instances, eachMs] of [
    [1, 2_000],
    [100, 2_000],
    [101, 2_020],
    [2_000, 40_000],
    [6_000, 120_000],
    [MANY, 120_000],
  ] as const) {
    it(`is one within ${eachMs} ms among ${instances} instances, each of which lives for five`, () => {
      assert.deepEqual([beatEachMs(instances), livesMs(instances)], [eachMs, 5 * eachMs]);
    });
  }

  it("lets no instance live for longer than the stores allow", () => {
    assert.equal(LONGEST_LIFE_MS, livesMs(MANY));
  });
});

describe("the pauses between probes", () => {
  const longest = (failures: number, instances: number) =>
    Math.max(...Array.from({ length: 500 }, () => probeAfterMs(failures, instances)));

  it("double from a fifth of the longest, and from a second at most", () => {
    for (const [instances, firstMs, mostMs] of [
      [1, 50, 250],
      [50, 50, 250],
      [100, 100, 500],
      [700, 700, 3_500],
      [2_000, 1_000, 10_000],
      [MANY, 1_000, 50_000],
    ] as const) {
      assert.equal(longestProbeMs(instances), mostMs);
      for (let failures = 0; failures < 1_100; failures += failures < 8 ? 1 : 500) {
        const ms = Math.min(mostMs, firstMs * 2 ** failures);
        const found = longest(failures, instances);
        assert.ok(found > 0.9 * ms && found <= ms, `${found} of ${ms}`);
      }
    }
  });

  it("are random: instances that failed together do not come back together", () => {
    const pauses = new Set(Array.from({ length: 100 }, () => probeAfterMs(9, 1)));
    assert.ok(pauses.size > 90);
    assert.ok(Math.min(...pauses) >= 125);
  });
});

describe("a pause", () => {
  it("can be made shorter, never longer, and ended", async () => {
    const pause = new Pause();
    const startMs = performance.now();
    const long = pause.of(60_000);
    pause.shorten(5);
    pause.shorten(60_000);
    const keepsAlive = setTimeout(() => {}, 60_000);
    await long;
    const next = pause.of(60_000);
    pause.end();
    await next;
    pause.end();
    clearTimeout(keepsAlive);
    assert.ok(performance.now() - startMs < 30_000);
  });
});
