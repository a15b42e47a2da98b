// What every store must do, case by case in plain words, for any test runner. test/properties/stores-agree.test.ts and
// test/servers/agree.test.ts compare the stores with the kernel in everything else; they are not in the package.

import assert from "node:assert/strict";
import { StoreError } from "../store/error.ts";
import { quota } from "./limits.ts";
import { charge } from "./steps.ts";
import { storeCase, type StoreCase } from "./trial.ts";
import { calendarCases } from "./calendar-cases.ts";
import { beatCases } from "./beat-cases.ts";
import { chargeCases } from "./charge-cases.ts";
import { clockCases } from "./clock-cases.ts";
import { cooldownCases } from "./cooldown-cases.ts";
import { countCases } from "./count-cases.ts";
import { expiryCases } from "./expiry-cases.ts";
import { grantCases } from "./grant-cases.ts";
import { holdCases } from "./hold-cases.ts";
import { holdEdgeCases } from "./hold-edge-cases.ts";
import { onceCases } from "./once-cases.ts";
import { outcomeCases } from "./outcome-cases.ts";
import { outageCases } from "./outage-cases.ts";
import { receiptCases } from "./receipt-cases.ts";
import { waitCases } from "./wait-cases.ts";

export type { StoreCase, StoreFixture } from "./trial.ts";

/** The promises of the store contract. Each case wants a fixture of its own. */
export const storeCases: readonly StoreCase[] = [
  ...chargeCases,
  ...holdCases,
  ...holdEdgeCases,
  ...expiryCases,
  ...onceCases,
  ...countCases,
  ...outcomeCases,
  ...cooldownCases,
  ...grantCases,
  ...calendarCases,
  ...waitCases,
  ...clockCases,
  storeCase("keeps buckets with any keys apart", async (t) => {
    const keys = ["__proto__", "constructor", "rate:1:{a}:b", "rate:1:{a}:b:", "RATE:1:{a}:b"];
    keys.push("'; --", "é", "e\u0301", "漢");
    for (const [i, key] of keys.entries()) await t.judge(charge(key, quota(99), i + 1));
    for (const [i, key] of keys.entries()) assert.equal(await t.usedOf(key, quota(99)), i + 1);
  }),
  storeCase("answers a request without steps, and a batch without requests", async (t) => {
    const reply = await t.ask("judge");
    assert.deepEqual({ ...reply, nowMs: 0 }, { allowed: true, nowMs: 0, steps: [] });
    assert.ok(Number.isSafeInteger(reply.nowMs));
    assert.deepEqual(await t.store.apply([]), []);
  }),
  storeCase("fails a batch that has no time left, and books nothing", async (t) => {
    if (t.store.deadlineMs === undefined) return;
    const late = t.store.apply([{ mode: "judge", steps: [charge("b", quota(5))] }], 0);
    const failed = await late.then(
      ([reply]) => reply,
      (error) => error,
    );
    assert.ok(StoreError.isInstance(failed) && failed.transient, String(failed));
    assert.equal(await t.usedOf("b", quota(5)), 0);
  }),
  storeCase("refuses requests once it is closed, and may be closed twice", async (t) => {
    await t.store.close();
    await t.store.close();
    await assert.rejects(t.store.apply([{ mode: "judge", steps: [] }]), (error) => {
      return StoreError.isInstance(error) && error.code === "closed";
    });
  }),
];

/** What a `SharedStore` promises beside `storeCases`. Each case wants a fixture of its own. */
export const sharedStoreCases: readonly StoreCase[] = [...receiptCases, ...outageCases, ...beatCases];
