// What a store must do where units are granted.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step } from "../kernel/request.ts";
import {
  answered,
  ask,
  charge,
  first,
  forEachWindow,
  hold,
  LEASE_MS,
  quota,
  REMEMBERED_MS,
  read,
  reset,
  type StoreCase,
  settle,
  tokenBucket,
  WINDOW_MS,
} from "./cases.ts";
import { window } from "./step-parts.ts";

const grant = (bucket: string, limit: LimitSpec, id: string, units: number, leaseMs = LEASE_MS): Step => ({
  bucket,
  limit,
  event: { type: "grant", id, units, leaseMs },
});

const revoke = (bucket: string, limit: LimitSpec, id: string): Step => ({
  bucket,
  limit,
  event: { type: "revoke", id },
});

export const grantCases: readonly StoreCase[] = [
  ...forEachWindow("adds what is granted to the capacity, once for an id, until it ends", async (fixture, limit) => {
    const { store, advance } = fixture;
    await ask(store, "judge", charge("b", limit, 5));
    for (const _ of [1, 2]) {
      const { allowed, used, granted } = first(await ask(store, "judge", grant("b", limit, "g1", 3, 10)));
      assert.deepEqual([allowed, used, granted], [true, 5, 3]);
    }
    assert.equal(first(await ask(store, "judge", charge("b", limit, 2))).allowed, true);
    assert.equal(first(await ask(store, "judge", charge("b", limit, 2))).allowed, false);
    await advance(9);
    assert.equal(first(await ask(store, "peek", charge("b", limit, 1))).granted, 3);
    await advance(1);
    const { allowed, used, granted } = first(await ask(store, "judge", charge("b", limit, 1)));
    assert.deepEqual([allowed, used, granted], [false, 7, undefined]);
    assert.equal(first(await ask(store, "judge", grant("b", limit, "g1", 3))).granted, undefined);
    assert.equal(first(await ask(store, "judge", grant("b", limit, "g2", 3))).granted, 3);
  }),
  ...forEachWindow(
    "says what has the id of a grant: nothing, the same grant, or something else",
    async (fixture, limit) => {
      const { store } = fixture;
      const found = async (id: string, units: number, leaseMs: number) =>
        first(await ask(store, "judge", grant("b", limit, id, units, leaseMs))).hold;
      // Also where the window ends before the grant would.
      const asked = REMEMBERED_MS;
      assert.deepEqual([await found("g1", 3, asked), await found("g1", 3, asked)], ["unknown", "live"]);
      assert.deepEqual([await found("g1", 4, asked), await found("g1", 3, asked - 1)], ["late", "late"]);
      await ask(store, "judge", revoke("b", limit, "g1"));
      assert.equal(await found("g1", 3, asked), "late");
      await ask(store, "judge", hold("b", limit, "h1", 1));
      assert.equal(await found("h1", 1, LEASE_MS), "late");
    },
  ),
  ...forEachWindow("lists grants, the first that ends first, and ends one that is revoked", async (fixture, limit) => {
    const { store, advance } = fixture;
    await ask(store, "judge", grant("b", limit, "long", 3, 80));
    const after = first(await ask(store, "judge", grant("b", limit, "short", 2, 40)));
    const short = { id: "short", units: 2, endsAfterMs: 40 };
    assert.deepEqual(after.grants, [short, { id: "long", units: 3, endsAfterMs: 80 }]);
    await ask(store, "judge", charge("b", limit, 6));
    await advance(10);
    const later = [
      { ...short, endsAfterMs: 30 },
      { id: "long", units: 3, endsAfterMs: 70 },
    ];
    assert.deepEqual(first(await ask(store, "peek", read("b", limit))).grants, later);
    assert.deepEqual(first(await ask(store, "peek", charge("b", limit, 1))).grants, undefined);
    const shown = first(await ask(store, "peek", revoke("b", limit, "long")));
    assert.deepEqual([shown.hold, shown.granted, shown.grants], ["live", 2, [later[0]]]);
    assert.deepEqual(first(await ask(store, "peek", read("b", limit))).grants, later);
    const revoked = first(await ask(store, "judge", revoke("b", limit, "long")));
    assert.deepEqual([revoked.allowed, revoked.hold, revoked.used], [true, "live", 6]);
    assert.deepEqual([revoked.granted, revoked.grants], [2, [later[0]]]);
    assert.equal(first(await ask(store, "judge", charge("b", limit, 2))).allowed, false);
    const again = first(await ask(store, "judge", revoke("b", limit, "long")));
    assert.deepEqual([again.allowed, again.hold, again.granted], [true, "late", 2]);
    assert.equal(first(await ask(store, "judge", revoke("b", limit, "none"))).hold, "unknown");
    // A grant that is sent again does not come back; once it is forgotten, its id is free.
    assert.equal(first(await ask(store, "judge", grant("b", limit, "long", 3))).granted, 2);
    await advance(REMEMBERED_MS);
    const free = first(await ask(store, "judge", grant("b", limit, "long", 3, 50)));
    assert.deepEqual([free.granted, free.grants?.length], [3, 1]);
    const reply = first(await ask(store, "judge", reset("b", limit)));
    assert.deepEqual(reply.grants, [{ id: "long", units: 3, endsAfterMs: 50 }]);
    const none = first(await ask(store, "peek", read("b", limit)));
    assert.deepEqual([none.granted, none.grants], [undefined, undefined]);
  }),
  {
    name: "revokes no hold, nor a grant that has ended by itself",
    async run({ store, advance }) {
      const limit = quota(2);
      await ask(store, "judge", hold("b", limit, "h1", 1));
      assert.equal(first(await ask(store, "judge", revoke("b", limit, "h1"))).hold, "unknown");
      assert.equal(first(await ask(store, "peek", read("b", limit))).used, 1);
      await ask(store, "judge", grant("b", limit, "g1", 3, 10));
      await advance(10);
      assert.equal(first(await ask(store, "judge", revoke("b", limit, "g1"))).hold, "late");
      assert.equal(first(await ask(store, "judge", revoke("none", limit, "g1"))).hold, "unknown");
    },
  },
  {
    name: "grants nothing in a peek, nor where another step denies, and forgets a grant with a reset",
    async run({ store }) {
      const limit = quota(5);
      assert.equal(first(await ask(store, "peek", grant("b", limit, "g1", 3))).granted, 3);
      await ask(store, "judge", grant("b", limit, "g1", 3), charge("none", quota(0)));
      assert.equal(first(await ask(store, "peek", read("b", limit))).granted, undefined);
      await ask(store, "judge", grant("b", limit, "g1", 3));
      assert.equal(first(await ask(store, "judge", reset("b", limit))).granted, 3);
      assert.equal(first(await ask(store, "judge", grant("b", limit, "g1", 3))).granted, 3);
    },
  },
  {
    name: "ends a grant with its window, and knows its id for ten minutes after that",
    async run({ store, advance }) {
      await ask(store, "judge", charge("b", window, 2));
      await advance(1);
      await ask(store, "judge", grant("b", window, "g1", 3, REMEMBERED_MS));
      await advance(WINDOW_MS - 2);
      assert.equal(first(await ask(store, "peek", read("b", window))).granted, 3);
      await advance(1);
      assert.equal(first(await ask(store, "peek", read("b", window))).granted, undefined);
      await advance(REMEMBERED_MS - 1);
      assert.equal(first(await ask(store, "judge", grant("b", window, "g1", 3))).granted, undefined);
      await advance(1);
      assert.equal(first(await ask(store, "judge", grant("b", window, "g1", 3))).granted, 3);
    },
  },
  {
    name: "token-bucket: is filled by a grant at once, at most to the brim, with everything that is held in it",
    async run({ store }) {
      await ask(store, "judge", hold("b", tokenBucket, "h1", 2));
      await ask(store, "judge", charge("b", tokenBucket, 3));
      for (const _ of [1, 2]) {
        const { used, granted } = first(await ask(store, "judge", grant("b", tokenBucket, "g1", 4)));
        assert.deepEqual([used <= 1, granted], [true, undefined]);
      }
      assert.equal(first(await ask(store, "judge", settle("b", tokenBucket, "h1", 0))).hold, "live");
      assert.equal(first(await ask(store, "judge", grant("b", tokenBucket, "g2", 99))).used, 0);
      assert.equal(first(await ask(store, "judge", charge("b", tokenBucket, 6))).retryAfterMs, null);
      assert.equal((await ask(store, "judge", charge("b", tokenBucket, 5))).allowed, true);
    },
  },
  {
    name: "token-bucket: answers a grant to a bucket that is empty only by the rate of a new policy",
    async run({ store, advance }) {
      const slow: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 100, levelPerMs: 1 };
      await ask(store, "judge", charge("b", slow, 5));
      await advance(100);
      const granted = first(await ask(store, "judge", grant("b", { ...slow, levelPerMs: 50 }, "g1", 2)));
      assert.deepEqual([granted.used, granted.resetAfterMs], [0, 0]);
    },
  },
  {
    name: "promises nothing that only a grant would allow, where that ends before the units are free",
    async run({ store }) {
      const limit = quota(5);
      await ask(store, "judge", charge("short", limit, 3), charge("long", limit, 3));
      await ask(
        store,
        "judge",
        grant("short", limit, "g1", 3, WINDOW_MS),
        grant("long", limit, "g1", 3, WINDOW_MS + 99),
      );
      assert.equal(first(await ask(store, "judge", charge("short", limit, 7))).retryAfterMs, null);
      const wait = first(await ask(store, "judge", charge("long", limit, 7))).retryAfterMs ?? 0;
      assert.ok(wait > 0 && wait <= WINDOW_MS, String(wait));
    },
  },
  {
    name: "gives an answer with a grant again, whole but for the list of grants",
    async run({ store }) {
      const once = { key: "k", request: "r" };
      const request = { mode: "judge", steps: [grant("b", quota(5), "g1", 3)], once } as const;
      const reply = answered((await store.apply([request]))[0]);
      const again = answered((await store.apply([request]))[0]);
      const { grants, ...step } = first(reply);
      assert.deepEqual(again, { ...reply, steps: [step], replay: { request: "r", hold: null, units: [3] } });
      assert.deepEqual([step.granted, grants?.length], [3, 1]);
    },
  },
];
