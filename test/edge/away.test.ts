// What a limiter in a Worker does while an object does not answer, inside real workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Decision } from "tollgate";
import { startWorker } from "./workerd.ts";

const worker = await startWorker();

interface Decided {
  readonly allowed: boolean;
  readonly degraded: Decision["degraded"];
}

const setFault = (session: string, fault: "fails" | "hangs" | "loses" | null) =>
  worker.ask("object", { partition: session, method: "setFault", args: [fault] });
const call = (session: string, calls = 1, more: object = {}) =>
  worker.ask<readonly Decided[]>("away", { session, calls, ...more });
const used = (session: string) => worker.ask<number>("used", session);
const allowedOf = (decided: readonly Decided[]) => decided.filter(({ allowed }) => allowed).length;

/** Waits until a bucket has so much use, for 15 s. */
async function untilUsed(session: string, units: number): Promise<void> {
  for (let tries = 0; (await used(session)) !== units; tries++) {
    assert.ok(tries < 150, `${await used(session)} used`);
    await sleep(100);
  }
}

describe("an isolate whose object does not answer", () => {
  it("decides by its share of what was left, and books that when the object answers again", async () => {
    await call("share", 2);
    await setFault("share", "fails");
    const decided = await call("share", 6);
    assert.equal(allowedOf(decided), 4);
    assert.deepEqual(decided[0]?.degraded, { reason: "unavailable", maxOvershoot: 4 + 5 });
    await setFault("share", null);
    // No call is needed: the request that was answered last looks for the object.
    await untilUsed("share", 6);
    const [next] = await call("share");
    assert.deepEqual([next?.degraded, await used("share")], [null, 7]);
  });

  it("gives a call the deadline once, and then answers at once", async () => {
    await call("hangs");
    await setFault("hangs", "hangs");
    const beganMs = performance.now();
    const decided = await call("hangs", 6);
    assert.ok(decided.every(({ degraded }) => degraded !== null));
    assert.ok(performance.now() - beganMs < 5 * 300, `${performance.now() - beganMs} ms`);
  });

  for (const [onStoreError, allowed, maxOvershoot] of [
    ["local", 9, 9 + 10],
    ["deny", 0, 0],
    ["allow", 12, null],
  ] as const) {
    it(`with ${onStoreError} admits ${allowed} of 12`, async () => {
      const more = { onStoreError };
      await call(onStoreError, 1, more);
      await setFault(onStoreError, "fails");
      const decided = await call(onStoreError, 12, more);
      assert.equal(allowedOf(decided), allowed);
      assert.deepEqual(decided[0]?.degraded, { reason: "unavailable", maxOvershoot });
    });
  }

  it("asks other objects as before", async () => {
    await setFault("one", "fails");
    assert.notEqual((await call("one"))[0]?.degraded, null);
    assert.equal((await call("other"))[0]?.degraded, null);
  });

  it("counts a call whose answer was lost once or twice, never less", async () => {
    await call("lost", 2);
    await setFault("lost", "loses");
    assert.equal(allowedOf(await call("lost", 2)), 2);
    await setFault("lost", null);
    // The first of the two was asked, and was booked then and later; the second one was not.
    await untilUsed("lost", 5);
  });

  it("books once what it sends again because the answer was lost", async () => {
    await setFault("again", "fails");
    assert.equal(allowedOf(await call("again", 3)), 3);
    await setFault("again", "loses");
    await sleep(3_000);
    await setFault("again", null);
    await untilUsed("again", 3);
    await sleep(1_000);
    assert.equal(await used("again"), 3);
  });
});
