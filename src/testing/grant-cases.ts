// What a store must do where units are granted.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { forEachWindow, quota, REMEMBERED_MS, slots, tokenBucket, window, WINDOW_MS } from "./limits.ts";
import { charge, grant, hold, LEASE_MS, read, reset, settle, step } from "./steps.ts";
import { first, has, storeCase, type StoreCase } from "./trial.ts";

const revoke = (bucket: string, limit: LimitSpec, id: string) => step(bucket, limit, { type: "revoke", id });

export const grantCases: readonly StoreCase[] = [
  ...forEachWindow("adds what is granted to the capacity, once for an id, until it ends", async (t, limit) => {
    await t.judge(charge("b", limit, 5));
    for (const _ of [1, 2]) {
      has(await t.judge(grant("b", limit, "g1", 3, 10)), { allowed: true, used: 5, granted: 3 });
    }
    assert.equal((await t.judge(charge("b", limit, 2))).allowed, true);
    assert.equal((await t.judge(charge("b", limit, 2))).allowed, false);
    await t.advance(9);
    assert.equal((await t.peek(charge("b", limit, 1))).granted, 3);
    await t.advance(1);
    has(await t.judge(charge("b", limit, 1)), { allowed: false, used: 7, granted: undefined });
    assert.equal((await t.judge(grant("b", limit, "g1", 3))).granted, undefined);
    assert.equal((await t.judge(grant("b", limit, "g2", 3))).granted, 3);
  }),
  ...forEachWindow("says what has the id of a grant: nothing, the same grant, or something else", async (t, limit) => {
    const found = async (id: string, units: number, leaseMs: number) =>
      (await t.judge(grant("b", limit, id, units, leaseMs))).found;
    // Also where the window ends before the grant would.
    const asked = REMEMBERED_MS;
    assert.deepEqual([await found("g1", 3, asked), await found("g1", 3, asked)], ["unknown", "live"]);
    assert.deepEqual([await found("g1", 4, asked), await found("g1", 3, asked - 1)], ["late", "late"]);
    await t.judge(revoke("b", limit, "g1"));
    assert.equal(await found("g1", 3, asked), "late");
    await t.judge(hold("b", limit, "h1", 1));
    assert.equal(await found("h1", 1, LEASE_MS), "late");
  }),
  ...forEachWindow("lists grants, the first that ends first, and ends one that is revoked", async (t, limit) => {
    await t.judge(grant("b", limit, "long", 3, 80));
    const after = await t.judge(grant("b", limit, "short", 2, 40));
    const short = { id: "short", units: 2, endsInMs: 40 };
    const long = { id: "long", units: 3, endsInMs: 80 };
    assert.deepEqual(after.grants, [short, long]);
    await t.judge(charge("b", limit, 6));
    await t.advance(10);
    const shortLater = { ...short, endsInMs: 30 };
    const longLater = { ...long, endsInMs: 70 };
    assert.deepEqual((await t.peek(read("b", limit))).grants, [shortLater, longLater]);
    assert.deepEqual((await t.peek(charge("b", limit, 1))).grants, undefined);
    has(await t.peek(revoke("b", limit, "long")), { found: "live", granted: 2, grants: [shortLater] });
    assert.deepEqual((await t.peek(read("b", limit))).grants, [shortLater, longLater]);
    const revoked = await t.judge(revoke("b", limit, "long"));
    has(revoked, { allowed: true, found: "live", used: 6, granted: 2, grants: [shortLater] });
    assert.equal((await t.judge(charge("b", limit, 2))).allowed, false);
    has(await t.judge(revoke("b", limit, "long")), { allowed: true, found: "late", granted: 2 });
    assert.equal((await t.judge(revoke("b", limit, "none"))).found, "unknown");
    // A grant that is sent again does not come back; once it is forgotten, its id is free.
    assert.equal((await t.judge(grant("b", limit, "long", 3))).granted, 2);
    await t.advance(REMEMBERED_MS);
    const free = await t.judge(grant("b", limit, "long", 3, 50));
    assert.deepEqual([free.granted, free.grants?.length], [3, 1]);
    assert.deepEqual((await t.judge(reset("b", limit))).grants, [{ ...long, endsInMs: 50 }]);
    has(await t.peek(read("b", limit)), { granted: undefined, grants: undefined });
  }),
  ...forEachWindow(
    "counts no grant under a quota of 0, which is a stop, and counts it again after that",
    async (t, limit) => {
      const stopped = { ...limit, quota: 0 } as LimitSpec;
      await t.judge(charge("b", limit, 2), charge("bare", limit, 2));
      await t.judge(grant("b", limit, "g1", 3, 100));
      await t.advance(10);
      has(await t.judge(charge("b", stopped, 1)), { allowed: false, used: 2, granted: undefined, retryAfterMs: null });
      has(await t.judge(hold("b", stopped, "h1", 1)), { allowed: false, retryAfterMs: null });
      const { resetAfterMs } = await t.peek(read("bare", stopped));
      const grants = [{ id: "g1", units: 3, endsInMs: 90 }];
      has(await t.peek(read("b", stopped)), { used: 2, granted: undefined, grants, resetAfterMs });
      has(await t.judge(grant("b", stopped, "g1", 3, 100)), { found: "live", granted: undefined, grants });
      has(await t.judge(charge("b", limit, 6)), { allowed: true, used: 8, granted: 3 });
      has(await t.force(charge("b", stopped, 1)), { allowed: false, used: 9 });
    },
  ),
  storeCase("concurrency: counts no grant under a quota of 0, and counts it again after that", async (t) => {
    const none: LimitSpec = { ...slots, quota: 0 };
    await t.judge(grant("b", slots, "g1", 3, 100));
    has(await t.judge(hold("b", none, "h1", 1)), { allowed: false, granted: undefined, retryAfterMs: null });
    has(await t.judge(hold("b", slots, "h1", 8)), { allowed: true, used: 8, granted: 3 });
  }),
  storeCase("revokes no hold, and no grant that has ended", async (t) => {
    const limit = quota(2);
    await t.judge(hold("b", limit, "h1", 1));
    assert.equal((await t.judge(revoke("b", limit, "h1"))).found, "unknown");
    assert.equal((await t.peek(read("b", limit))).used, 1);
    await t.judge(grant("b", limit, "g1", 3, 10));
    await t.advance(10);
    assert.equal((await t.judge(revoke("b", limit, "g1"))).found, "late");
    assert.equal((await t.judge(revoke("none", limit, "g1"))).found, "unknown");
  }),
  storeCase("grants nothing in a peek, nor where another step denies, and forgets a grant with a reset", async (t) => {
    const limit = quota(5);
    assert.equal((await t.peek(grant("b", limit, "g1", 3))).granted, 3);
    await t.judge(grant("b", limit, "g1", 3), charge("none", quota(0)));
    assert.equal((await t.peek(read("b", limit))).granted, undefined);
    await t.judge(grant("b", limit, "g1", 3));
    assert.equal((await t.judge(reset("b", limit))).granted, 3);
    assert.equal((await t.judge(grant("b", limit, "g1", 3))).granted, 3);
  }),
  storeCase("ends a grant with its window, and knows its id for ten minutes after that", async (t) => {
    await t.judge(charge("b", window, 2));
    await t.advance(1);
    await t.judge(grant("b", window, "g1", 3, REMEMBERED_MS));
    await t.advance(WINDOW_MS - 2);
    assert.equal((await t.peek(read("b", window))).granted, 3);
    await t.advance(1);
    assert.equal((await t.peek(read("b", window))).granted, undefined);
    await t.advance(REMEMBERED_MS - 1);
    assert.equal((await t.judge(grant("b", window, "g1", 3))).granted, undefined);
    await t.advance(1);
    assert.equal((await t.judge(grant("b", window, "g1", 3))).granted, 3);
  }),
  storeCase("token-bucket: is filled by a grant at once, at most to the brim, with what is held in it", async (t) => {
    await t.judge(hold("b", tokenBucket, "h1", 2));
    await t.judge(charge("b", tokenBucket, 3));
    for (const _ of [1, 2]) {
      const { used, granted } = await t.judge(grant("b", tokenBucket, "g1", 4));
      assert.deepEqual([used <= 1, granted], [true, undefined]);
    }
    assert.equal((await t.judge(settle("b", tokenBucket, "h1", 0))).found, "live");
    assert.equal((await t.judge(grant("b", tokenBucket, "g2", 99))).used, 0);
    assert.equal((await t.judge(charge("b", tokenBucket, 6))).retryAfterMs, null);
    assert.equal((await t.judge(charge("b", tokenBucket, 5))).allowed, true);
  }),
  storeCase("token-bucket: answers a grant to a bucket that is empty only by the rate of a new policy", async (t) => {
    const slow: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 100, levelPerMs: 1 };
    await t.judge(charge("b", slow, 5));
    await t.advance(100);
    has(await t.judge(grant("b", { ...slow, levelPerMs: 50 }, "g1", 2)), { used: 0, resetAfterMs: 0 });
  }),
  storeCase("promises nothing that only a grant would allow, where that ends before the units are free", async (t) => {
    const limit = quota(5);
    await t.judge(charge("short", limit, 3), charge("long", limit, 3));
    await t.judge(grant("short", limit, "g1", 3, WINDOW_MS), grant("long", limit, "g1", 3, WINDOW_MS + 99));
    assert.equal((await t.judge(charge("short", limit, 7))).retryAfterMs, null);
    const wait = (await t.judge(charge("long", limit, 7))).retryAfterMs ?? 0;
    assert.ok(wait > 0 && wait <= WINDOW_MS, String(wait));
  }),
  storeCase("gives an answer with a grant again, whole but for the list of grants", async (t) => {
    const once = { key: "k", request: "r" };
    const request = { mode: "judge", steps: [grant("b", quota(5), "g1", 3)], once } as const;
    const reply = await t.send(request);
    const again = await t.send(request);
    const { grants, ...step } = first(reply);
    assert.deepEqual(again, { ...reply, steps: [step], replay: { request: "r", hold: null, units: [3] } });
    assert.deepEqual([step.granted, grants?.length], [3, 1]);
  }),
];
