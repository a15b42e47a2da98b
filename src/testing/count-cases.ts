// What a store must do where values are counted, where a step is in shadow, and where a count never ends.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step } from "../kernel/request.ts";
import { ask, charge, first, hold, quota, reset, type StoreCase, settle, usedOf, WINDOW_MS } from "./cases.ts";
import { A, B, C, MARKS, window } from "./step-parts.ts";

const count = (bucket: string, limit: LimitSpec, seen: string, cost = 1): Step => ({
  bucket,
  limit,
  event: { type: "charge", cost, seen },
});

const inShadow = (step: Step): Step => ({ ...step, shadow: true });

export const countCases: readonly StoreCase[] = [quota(2), window].flatMap((limit): StoreCase[] => [
  {
    name: `${limit.algorithm}: charges a value that is counted once, and lets it pass when nothing is left`,
    async run({ store, advance }) {
      for (const [mark, allowed, used] of [
        [A, true, 1],
        [A, true, 1],
        [B, true, 2],
        [C, false, 2],
        [A, true, 2],
        [B, true, 2],
      ] as const) {
        const step = first(await ask(store, "judge", count("b", limit, mark)));
        assert.deepEqual([step.allowed, step.used], [allowed, used], mark);
      }
      await advance(WINDOW_MS - 1);
      assert.equal(first(await ask(store, "judge", count("b", limit, C))).retryAfterMs, 1);
      await advance(1);
      assert.equal(first(await ask(store, "judge", count("b", limit, C))).used, 1);
    },
  },
  {
    name: `${limit.algorithm}: marks no value where another step denies, nor in a peek`,
    async run({ store }) {
      await ask(store, "judge", count("b", limit, A), charge("none", quota(0)));
      await ask(store, "peek", count("b", limit, A));
      await ask(store, "judge", count("b", limit, B));
      assert.equal(first(await ask(store, "judge", count("b", limit, A))).used, 2);
    },
  },
  {
    name: `${limit.algorithm}: remembers values beside holds, after another value was forced past the quota`,
    async run({ store, another }) {
      await ask(store, "force", count("b", limit, A), charge("none", quota(0)));
      await ask(store, "judge", hold("b", limit, "h1", 1, { onExpiry: "refund" }));
      assert.equal(first(await ask(store, "force", count("b", limit, B))).used, 3);
      const other = another?.() ?? store;
      const seen = [];
      for (const mark of MARKS) seen.push((await ask(other, "judge", count("b", limit, mark))).allowed);
      assert.deepEqual(seen, [true, true, false]);
      await ask(other, "judge", settle("b", limit, "h1", 0));
      assert.equal(await usedOf(other, "b", limit), 2);
      await other.close();
    },
  },
  {
    name: `${limit.algorithm}: has seen no value after a reset`,
    async run({ store }) {
      await ask(store, "judge", count("b", limit, A));
      await ask(store, "judge", reset("b", limit));
      assert.equal(first(await ask(store, "judge", count("b", limit, A))).used, 1);
    },
  },
]);

export const shadowCases: readonly StoreCase[] = [
  {
    name: "denies nothing by a step in shadow, and books it past its quota when the others allow",
    async run({ store }) {
      const steps = [inShadow(charge("b", quota(1), 2)), charge("c", quota(4), 2)];
      for (const [allowed, fits, used] of [
        [true, false, 2],
        [true, false, 4],
        [false, false, 4],
      ] as const) {
        const reply = await ask(store, "judge", ...steps);
        assert.deepEqual([reply.allowed, first(reply).allowed, first(reply).used], [allowed, fits, used]);
      }
      assert.deepEqual([await usedOf(store, "b", quota(1)), await usedOf(store, "c", quota(4))], [4, 4]);
    },
  },
  {
    name: "books a step in shadow where it is forced, and not where it is peeked at",
    async run({ store }) {
      const step = inShadow(charge("b", quota(1), 2));
      assert.equal((await ask(store, "peek", step)).allowed, true);
      assert.equal(await usedOf(store, "b", quota(1)), 0);
      assert.equal((await ask(store, "force", step, charge("none", quota(0)))).allowed, false);
      assert.equal(await usedOf(store, "b", quota(1)), 2);
    },
  },
];

/** The longest life that a policy can give a scope: one that never begins again has it. */
const LONGEST_MS = 36_500 * 86_400_000;

export const lastingCases: readonly StoreCase[] = [
  {
    name: "keeps what never begins again for as long as a policy can say",
    async run({ store, advance }) {
      const waitMs = 40 * 86_400_000;
      const idle = { algorithm: "budget", quota: 2, ttlMs: LONGEST_MS, ttlFrom: "last" } as const;
      const elapsed = { algorithm: "elapsed", quota: 1_000, ttlMs: LONGEST_MS } as const;
      const streak = { algorithm: "streak", quota: 1, ttlMs: LONGEST_MS } as const;
      assert.equal(first(await ask(store, "judge", charge("idle", idle, 2))).resetAfterMs, LONGEST_MS);
      await ask(store, "judge", charge("first", { ...idle, ttlFrom: "first" }, 2));
      await ask(store, "judge", charge("elapsed", elapsed));
      await ask(store, "judge", { bucket: "streak", limit: streak, event: { type: "report", outcome: "e" } });
      await advance(waitMs);
      for (const [bucket, limit] of [
        ["idle", idle],
        ["first", { ...idle, ttlFrom: "first" }],
        ["elapsed", elapsed],
        ["streak", streak],
      ] as const) {
        const { allowed, resetAfterMs } = first(await ask(store, "judge", charge(bucket, limit)));
        assert.deepEqual([bucket, allowed, resetAfterMs], [bucket, false, LONGEST_MS - waitMs]);
      }
    },
  },
];
