// What every store must do, case by case in plain words, for any test runner. A differential test shows whether a store equals
// the kernel in everything else.

import assert from "node:assert/strict";
import { StoreError } from "../store/error.ts";
import { calendarCases } from "./calendar-cases.ts";
import { ask, charge, quota, type StoreCase, usedOf } from "./cases.ts";
import { beatCases } from "./beat-cases.ts";
import { chargeCases } from "./charge-cases.ts";
import { clockCases } from "./clock-cases.ts";
import { cooldownCases } from "./cooldown-cases.ts";
import { countCases, lastingCases, shadowCases } from "./count-cases.ts";
import { expiryCases } from "./expiry-cases.ts";
import { grantCases } from "./grant-cases.ts";
import { holdCases } from "./hold-cases.ts";
import { holdEdgeCases } from "./hold-edge-cases.ts";
import { onceCases } from "./once-cases.ts";
import { elapsedCases, streakCases } from "./outcome-cases.ts";
import { outageCases } from "./outage-cases.ts";
import { receiptCases } from "./receipt-cases.ts";
import { waitCases } from "./wait-cases.ts";
import { waitingHoldCases } from "./waiting-hold-cases.ts";

export type { StoreCase, StoreFixture } from "./cases.ts";

/** The promises of the store contract. Each case wants a fixture of its own. */
export const storeCases: readonly StoreCase[] = [
  ...chargeCases,
  ...holdCases,
  ...holdEdgeCases,
  ...expiryCases,
  ...onceCases,
  ...countCases,
  ...streakCases,
  ...elapsedCases,
  ...cooldownCases,
  ...grantCases,
  ...shadowCases,
  ...lastingCases,
  ...calendarCases,
  ...waitCases,
  ...waitingHoldCases,
  ...clockCases,

  {
    name: "keeps buckets apart whatever their keys are",
    async run({ store }) {
      const keys = [
        "__proto__",
        "constructor",
        "rate:1:{a}:b",
        "rate:1:{a}:b:",
        "RATE:1:{a}:b",
        "'; --",
        "é",
        "e\u0301",
        "漢",
      ];
      for (const [i, key] of keys.entries()) await ask(store, "judge", charge(key, quota(99), i + 1));
      for (const [i, key] of keys.entries()) assert.equal(await usedOf(store, key, quota(99)), i + 1);
    },
  },
  {
    name: "answers a request without steps, and a batch without requests",
    async run({ store }) {
      const reply = await ask(store, "judge");
      assert.deepEqual({ ...reply, nowMs: 0 }, { allowed: true, nowMs: 0, steps: [] });
      assert.ok(Number.isSafeInteger(reply.nowMs));
      assert.deepEqual(await store.apply([]), []);
    },
  },
  {
    name: "fails a batch that has no time left, and books nothing",
    async run({ store }) {
      if (store.deadlineMs === undefined) return;
      const late = store.apply([{ mode: "judge", steps: [charge("b", quota(5))] }], 0);
      const failed = await late.then(
        ([reply]) => reply,
        (error) => error,
      );
      assert.ok(StoreError.isInstance(failed) && failed.transient, String(failed));
      assert.equal(await usedOf(store, "b", quota(5)), 0);
    },
  },
  {
    name: "refuses requests once it is closed, and may be closed twice",
    async run({ store }) {
      await store.close();
      await store.close();
      await assert.rejects(store.apply([{ mode: "judge", steps: [] }]), (error) => {
        return StoreError.isInstance(error) && error.code === "closed";
      });
    },
  },
];

/** What a `SharedStore` promises beside `storeCases`. Each case wants a fixture of its own. */
export const sharedStoreCases: readonly StoreCase[] = [...receiptCases, ...outageCases, ...beatCases];
