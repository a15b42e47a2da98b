// What a store must do where values, outcomes or time are counted, where windows are a calendar's, where units are
// granted, and where a step is in shadow.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step, StoreReply } from "../kernel/request.ts";
import type { Store } from "../store/store.ts";
import {
  answered,
  ask,
  charge,
  first,
  forEachWindow,
  tokenBucket,
  hold,
  LEASE_MS,
  quota,
  REMEMBERED_MS,
  read,
  reset,
  type StoreCase,
  settle,
  slots,
  usedOf,
  WINDOW_MS,
} from "./cases.ts";

const MARKS = ["00000000000000aa", "bb00000000000000", "0123456789abcdef"] as const;
const [A, B, C] = MARKS;

const elapsed = { algorithm: "elapsed", quota: 50, ttlMs: 100 } as const satisfies LimitSpec;
const streak = { algorithm: "streak", quota: 2, ttlMs: 100 } as const satisfies LimitSpec;
const window: LimitSpec = { algorithm: "fixed-window", quota: 2, windowMs: WINDOW_MS, align: "first-use" };

const count = (bucket: string, limit: LimitSpec, seen: string, cost = 1): Step => ({
  bucket,
  limit,
  event: { type: "charge", cost, seen },
});
const report = (bucket: string, limit: LimitSpec, outcome: string | null): Step => ({
  bucket,
  limit,
  event: { type: "report", outcome },
});
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
const inShadow = (step: Step): Step => ({ ...step, shadow: true });

/** The store's time. */
async function nowOf(store: Store): Promise<number> {
  return (await ask(store, "peek")).nowMs;
}

/** Two windows of a calendar that lie around a time. */
function calendar(nowMs: number, ...[start, middle, end]: [number, number, number]): LimitSpec {
  const boundaries = [nowMs + start, nowMs + middle, nowMs + end] as const;
  return { algorithm: "fixed-window", quota: 2, align: "calendar", boundaries };
}

function assertStale(reply: StoreReply): void {
  assert.deepEqual({ ...reply, nowMs: 0 }, { allowed: false, stale: true, nowMs: 0, steps: [] });
}

const countCases: readonly StoreCase[] = [quota(2), window].flatMap((limit): StoreCase[] => [
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

const streakCases: readonly StoreCase[] = [
  {
    name: "streak: denies after as many equal outcomes in a row as it may, until another one, or none",
    async run({ store }) {
      for (const [i, outcomes] of [["ok"], [null], ["ok", "error"]].entries()) {
        const bucket = `b${i}`;
        for (const _ of [1, 2]) await ask(store, "judge", report(bucket, streak, "error"));
        assert.equal((await ask(store, "judge", charge(bucket, streak))).allowed, false);
        for (const outcome of outcomes) await ask(store, "judge", report(bucket, streak, outcome));
        assert.equal((await ask(store, "judge", charge(bucket, streak))).allowed, true, bucket);
      }
    },
  },
  {
    name: "streak: says how long its row is, and is not changed by calls",
    async run({ store }) {
      assert.equal(first(await ask(store, "judge", report("b", streak, "error"))).used, 1);
      for (const _ of [1, 2, 3]) assert.equal((await ask(store, "judge", charge("b", streak))).allowed, true);
      assert.equal(first(await ask(store, "peek", report("b", streak, "error"))).used, 2);
      assert.equal(await usedOf(store, "b", streak), 1);
      assert.equal(first(await ask(store, "judge", report("b", streak, "error"))).used, 2);
      assert.equal(first(await ask(store, "judge", report("b", streak, "x"))).used, 1);
      assert.equal(first(await ask(store, "judge", report("b", streak, null))).used, 0);
    },
  },
  {
    name: "streak: forgets its row a ttl after the last report",
    async run({ store, advance }) {
      await ask(store, "judge", report("b", streak, "error"));
      await advance(streak.ttlMs - 1);
      await ask(store, "judge", report("b", streak, "error"));
      await advance(streak.ttlMs - 1);
      const { allowed, retryAfterMs, resetAfterMs } = first(await ask(store, "judge", charge("b", streak)));
      assert.deepEqual([allowed, retryAfterMs, resetAfterMs], [false, 1, 1]);
      await advance(1);
      assert.equal((await ask(store, "judge", charge("b", streak))).allowed, true);
    },
  },
  {
    name: "changes nothing by a report where outcomes are not counted",
    async run({ store }) {
      for (const limit of [quota(5), window, tokenBucket, slots, elapsed]) {
        const bucket = limit.algorithm;
        await ask(store, "judge", charge(bucket, limit, limit === slots ? 0 : 1));
        const before = first(await ask(store, "peek", read(bucket, limit)));
        for (const outcome of ["error", "error", null]) await ask(store, "judge", report(bucket, limit, outcome));
        const after = first(await ask(store, "peek", read(bucket, limit)));
        assert.deepEqual([after.used, after.allowed], [before.used, true], bucket);
      }
    },
  },
];

const elapsedCases: readonly StoreCase[] = [
  {
    name: "elapsed: begins with the first call, also of nothing, and denies when its time is over",
    async run({ store, advance }) {
      assert.deepEqual(first(await ask(store, "judge", charge("b", elapsed, 0))).used, 0);
      await advance(elapsed.quota - 1);
      const last = first(await ask(store, "judge", charge("b", elapsed, 0)));
      assert.deepEqual([last.allowed, last.used, last.resetAfterMs], [true, elapsed.quota - 1, elapsed.ttlMs]);
      await advance(1);
      const over = first(await ask(store, "judge", charge("b", elapsed, 0)));
      assert.deepEqual([over.allowed, over.used, over.retryAfterMs], [false, elapsed.quota, null]);
      await advance(elapsed.ttlMs - 2);
      assert.equal((await ask(store, "judge", charge("b", elapsed, 0))).allowed, false);
      await advance(1);
      assert.equal(first(await ask(store, "judge", charge("b", elapsed, 0))).used, 0);
    },
  },
  {
    name: "elapsed: does not begin with a peek, or with a call that another step denies",
    async run({ store, advance }) {
      await ask(store, "peek", charge("b", elapsed, 0));
      await ask(store, "judge", charge("b", elapsed, 0), charge("none", quota(0)));
      await advance(1);
      await ask(store, "judge", charge("b", elapsed, 0));
      assert.equal(await usedOf(store, "b", elapsed), 0);
    },
  },
];

const grantCases: readonly StoreCase[] = [
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

const shadowCases: readonly StoreCase[] = [
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

const lastingCases: readonly StoreCase[] = [
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

const calendarCases: readonly StoreCase[] = [
  {
    name: "fixed-window calendar: begins anew at each boundary, and decides nothing from the last one on",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 0, 31, 59);
      const { allowed, used, resetAfterMs } = first(await ask(store, "judge", charge("b", limit, 2)));
      assert.deepEqual([allowed, used, resetAfterMs], [true, 2, 31]);
      await advance(30);
      assert.equal(first(await ask(store, "judge", charge("b", limit))).retryAfterMs, 1);
      await advance(1);
      assert.equal(first(await ask(store, "judge", charge("b", limit, 2))).resetAfterMs, 28);
      await advance(27);
      assert.equal(first(await ask(store, "judge", charge("b", limit))).retryAfterMs, 1);
      await advance(1);
      assertStale(await ask(store, "judge", charge("b", limit)));
    },
  },
  {
    name: "fixed-window calendar: decides nothing before the first boundary, whatever is asked, and books nothing",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 1, 31, 59);
      for (const mode of ["judge", "peek", "force"] as const) {
        assertStale(await ask(store, mode, charge("c", quota(5)), charge("b", limit)));
        assertStale(await ask(store, mode, read("b", limit)));
      }
      assert.equal(await usedOf(store, "c", quota(5)), 0);
      await advance(1);
      assert.equal((await ask(store, "judge", charge("c", quota(5)), charge("b", limit))).allowed, true);
    },
  },
  {
    name: "fixed-window calendar: answers the other requests of a batch, and gives a kept answer again",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 0, 31, 59);
      const request = { mode: "judge", steps: [charge("b", limit)], once: { key: "k", request: "r" } } as const;
      const reply = answered((await store.apply([request]))[0]);
      await advance(59);
      const replies = await store.apply([
        { mode: "judge", steps: [charge("b", limit)] },
        request,
        { mode: "judge", steps: [charge("c", quota(5))] },
      ]);
      const [stale, again, other] = replies.map(answered);
      assert.ok(stale !== undefined && other !== undefined);
      assertStale(stale);
      assert.deepEqual(again, { ...reply, replay: { request: "r", hold: null, units: [1] } });
      assert.deepEqual([other.allowed, first(other).used], [true, 1]);
    },
  },
  {
    name: "fixed-window calendar: keeps the end of a bucket whatever boundaries are named next",
    async run({ store, advance }) {
      const nowMs = await nowOf(store);
      await ask(store, "judge", charge("b", calendar(nowMs, 0, 31, 59), 2));
      const moved = calendar(nowMs, -5, 9, 900);
      assert.equal(first(await ask(store, "judge", charge("b", moved))).retryAfterMs, 31);
      await advance(31);
      assert.equal(first(await ask(store, "judge", charge("b", moved))).resetAfterMs, 900 - 31);
    },
  },
  {
    name: "fixed-window calendar: charges a hold to the window that it ended in",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 0, 31, 59);
      await ask(store, "judge", hold("first", limit, "h1", 2, { leaseMs: 20 }));
      await ask(store, "judge", hold("second", limit, "h1", 2, { leaseMs: 40 }));
      await advance(41);
      assert.equal(await usedOf(store, "first", limit), 0);
      const { used, resetAfterMs } = first(await ask(store, "peek", read("second", limit)));
      assert.deepEqual([used, resetAfterMs], [2, 18]);
    },
  },
];

export const wordCases: readonly StoreCase[] = [
  ...countCases,
  ...streakCases,
  ...elapsedCases,
  ...grantCases,
  ...shadowCases,
  ...lastingCases,
  ...calendarCases,
];
