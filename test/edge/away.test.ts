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

/** Waits until a bucket has so much use, or so much more, for 15 s. */
async function untilUsed(session: string, units: number, more = 0): Promise<void> {
  const isReached = (now: number) => now >= units && now <= units + more;
  for (let tries = 0; !isReached(await used(session)); tries++) {
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

  it("lets a call wait until the deadline, and answers the next ones at once", async () => {
    await call("hangs");
    await setFault("hangs", "hangs");
    const decided = await call("hangs", 6);
    assert.ok(decided.every(({ degraded }) => degraded !== null));
    // A further one of them asks the object after half a second, another one after a second.
    const asked = await worker.ask<number>("object", { partition: "hangs", method: "hung" });
    assert.ok(asked >= 1 && asked < 6, `${asked} of 6 have asked`);
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

describe("isolates whose object does not answer", { concurrency: true }, () => {
  const QUOTA = 10;
  const ISOLATES = 3;
  /** Calls of each isolate while all is well: what they saw is as old as that. The last one has seen nothing. */
  const BEFORE = [2, 3, 0];

  for (const onStoreError of ["share", "local", "deny", "allow"] as const) {
    for (const fault of ["fails", "hangs"] as const) {
      it(`with ${onStoreError} keep the bound that their decisions state, when it ${fault}, and book what they admit`, async () => {
        const session = `${onStoreError} ${fault}`;
        const callAs = (isolate: number, calls: number) =>
          call(session, calls, { onStoreError, isolates: ISOLATES, isolate });
        let before = 0;
        for (const [isolate, calls] of BEFORE.entries()) before += allowedOf(await callAs(isolate, calls));
        await setFault(session, fault);
        const decided = (await Promise.all(BEFORE.map((_, isolate) => callAs(isolate, 12)))).flat();
        const admitted = before + allowedOf(decided);
        for (const { degraded } of decided) {
          assert.ok(degraded !== null);
          assert.equal(degraded.maxOvershoot === null, onStoreError === "allow");
          const most = degraded.maxOvershoot ?? Number.POSITIVE_INFINITY;
          assert.ok(admitted - QUOTA <= most, `${admitted} of ${QUOTA} admitted, at most ${most} more were stated`);
        }
        if (onStoreError === "deny") assert.equal(admitted, before);
        await setFault(session, null);
        if (fault === "fails") await untilUsed(session, admitted);
        // What it got before it did not answer in time, it may have booked as well.
        else await untilUsed(session, admitted, ISOLATES * 12);
      });
    }
  }
});
