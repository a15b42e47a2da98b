// Limits in mode warn: they count past their quota, deny nothing, and tell the model.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type LimitInput } from "tollgate";
import type { SharedStore, Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStore } from "tollgate/stores/sqlite";
import { fakeClock } from "tollgate/testing";
import { networkLayers } from "../../src/layers/network.ts";
import { temporaryFolder } from "../temporary.ts";

const CALL = { tool: "search", session: "s1", user: "u1" };
const SOFT = { name: "soft", per: ["session"], quota: 2, mode: "warn" } as const;

const STORES: Readonly<Record<string, () => Store>> = {
  memory: () => memoryStore({ clock: fakeClock() }),
  sqlite: () => sqliteStore(join(temporaryFolder(), "warn.db")),
};

function limiterOf(limits: readonly LimitInput[], store: Store = memoryStore({ clock: fakeClock() })) {
  return createLimiter({ policy: { version: 1, limits }, store });
}

describe("a limit that warns", () => {
  for (const [name, open] of Object.entries(STORES)) {
    it(`counts beyond its quota with a notice, until another limit denies: ${name}`, async () => {
      const store = open();
      const limiter = limiterOf([SOFT, { name: "hard", per: ["session"], quota: 4, notice: { at: "never" } }], store);
      const seen = [];
      for (let i = 0; i < 5; i++) {
        const { allowed, deniedBy, notice, verdicts } = await limiter.consume(CALL);
        const [soft] = verdicts;
        seen.push([allowed, deniedBy, notice?.split(":")[0] ?? null, soft?.exceeded, soft?.allowed, soft?.mode]);
      }
      assert.deepEqual(seen, [
        [true, null, null, false, true, "warn"],
        [true, null, null, false, true, "warn"],
        [true, null, "Warning", true, true, "warn"],
        [true, null, "Warning", true, true, "warn"],
        [false, "hard", null, true, true, "warn"],
      ]);
      const usages = await limiter.usage({ session: "s1" });
      assert.deepEqual(
        usages.map(({ used, remaining }) => [used, remaining]),
        [
          [4, 0],
          [4, 0],
        ],
      );
      await limiter.close();
      await store.close();
    });
  }

  it("has its own text with the use, and an earlier notice with at", async () => {
    const message = "{used} of {quota} {unit}: start to conclude.";
    const said = async (notice: LimitInput["notice"]) => {
      const limiter = limiterOf([{ ...SOFT, quota: 4, notice }]);
      const notices = [];
      for (let i = 0; i < 6; i++) notices.push((await limiter.consume(CALL)).notice);
      return notices;
    };
    const from = (first: number) =>
      Array.from({ length: 6 }, (_, i) => (i + 1 < first ? null : `${i + 1} of 4 calls: start to conclude.`));
    assert.deepEqual(await said({ message }), from(5));
    assert.deepEqual(await said({ message, at: 0.5 }), from(2));
    assert.deepEqual(await said({ message, at: "never" }), from(5));
  });

  const others: Readonly<Record<string, LimitInput>> = {
    "fixed-window": { ...SOFT, algorithm: "fixed-window", window: "1h" },
    calendar: { ...SOFT, window: "day" },
    "sliding-window": { ...SOFT, algorithm: "sliding-window", window: "1h" },
    "token-bucket": { ...SOFT, algorithm: "token-bucket", window: "1h", burst: 2 },
    "a unit without a price": { ...SOFT, unit: "tokens", quota: 0 },
    "a quota of 0": { ...SOFT, quota: 0 },
  };
  for (const [name, limit] of Object.entries(others)) {
    it(`denies nothing, for any kind: ${name}`, async () => {
      const limiter = limiterOf([limit]);
      const last = [];
      for (let i = 0; i < 4; i++) last.push(await limiter.consume(CALL));
      assert.deepEqual(
        last.map(({ allowed }) => allowed),
        [true, true, true, true],
      );
      assert.match(last.at(-1)?.notice ?? "", /^Warning: /);
      const peeked = await limiter.peek(CALL);
      assert.deepEqual([peeked.allowed, peeked.verdicts[0]?.exceeded], [true, true]);
      const recorded = await limiter.record(CALL);
      assert.deepEqual([recorded.allowed, recorded.verdicts[0]?.exceeded], [true, true]);
    });
  }

  it("counts distinct values beyond its quota, with a notice only for new ones", async () => {
    const limiter = limiterOf([{ name: "sessions", per: ["user"], distinct: "session", quota: 1, mode: "warn" }]);
    const of = async (session: string) => (await limiter.consume({ ...CALL, session })).notice?.slice(0, 8) ?? null;
    assert.deepEqual([await of("s1"), await of("s2"), await of("s1"), await of("s2")], [null, "Warning:", null, null]);
  });

  it("lets more calls run at once than its quota, and time pass", async () => {
    const clock = fakeClock();
    const slots = limiterOf([{ name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1, mode: "warn" }]);
    const first = await slots.reserve(CALL);
    const second = await slots.reserve(CALL);
    assert.ok(first.allowed && second.allowed);
    assert.match(second.notice ?? "", /^Warning: more than 1 call/);
    await Promise.all([first.hold.release(), second.hold.release()]);
    const time: LimitInput = { name: "time", per: ["user"], algorithm: "elapsed", quota: "1m", mode: "warn" };
    const timed = limiterOf([time], memoryStore({ clock }));
    assert.equal((await timed.consume(CALL)).notice, null);
    clock.advance(61_000);
    const late = await timed.consume(CALL);
    assert.deepEqual([late.allowed, late.verdicts.map(({ exceeded }) => exceeded)], [true, [true]]);
    assert.match(late.notice ?? "", /^Warning: the time/);
  });

  it("allows in an outage, also with onStoreError deny, and shows no unknown numbers", async () => {
    const away: SharedStore = {
      layers: networkLayers,
      apply: () => Promise.reject(new Error("away")),
      book: () => Promise.reject(new Error("away")),
      beat: () => Promise.reject(new Error("away")),
      close: () => sleep(0),
    };
    for (const onStoreError of ["share", "local", "deny", "allow"] as const) {
      const limiter = limiterOf([{ ...SOFT, onStoreError }], away);
      const { allowed, deniedBy, notice, degraded } = await limiter.consume(CALL);
      assert.deepEqual([allowed, deniedBy, notice], [true, null, null], onStoreError);
      assert.notEqual(degraded, null);
      await limiter.close({ withinMs: 0 });
    }
  });
});
