// Every store gives equal decisions for equal calls (invariant 4) where policies choose calls by patterns, quotas by any
// dimension, and share buckets; and no two partition keys share one (invariant 7), but for those that a policy shares.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Call, createLimiter, type LimitInput, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { type Clock, fakeClock } from "tollgate/testing";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? cases(60, 200));
const io = (await anyRedis()).ioredis();
const folder = temporaryFolder();
const stores: Readonly<Record<string, (clock: Clock) => Store>> = {
  sqlite: (clock) => sqliteStore(join(folder, "selectors.db"), { clock }),
  redis: (clock) => redisStore(io, { clock }),
};

const name = fc.constantFrom("a", "b", "%none", "none", 7);
const pattern = fc.constantFrom("a", "b", "*", "!a", "!*", "%none", "n*", 7);
const when = fc.dictionary(
  fc.constantFrom("tool", "user", "plan"),
  fc.oneof(pattern, fc.array(pattern, { minLength: 1, maxLength: 3 })),
  { maxKeys: 2, noNullPrototype: true },
);
const quota = fc.constantFrom(0, 1, 2, 3);
const limit = fc
  .record({
    per: fc.subarray(["session", "user", "tool", "plan"]),
    when,
    onMissing: fc.constantFrom("shared", "shared", "skip"),
    quota,
    quotas: fc.dictionary(fc.constantFrom("plan", "user"), fc.dictionary(fc.constantFrom("a", "7", "none"), quota), {
      noNullPrototype: true,
    }),
    overrides: fc.array(fc.record({ when, quota }), { maxLength: 2 }),
  })
  .map((each) => each as Omit<LimitInput, "name">);
const call = fc
  .record({ tool: fc.constantFrom("a", "b"), session: fc.option(name), user: fc.option(name), plan: fc.option(name) })
  .map((said) => said as Call);
const schedule = fc.record({
  limits: fc.array(limit, { minLength: 1, maxLength: 3 }),
  calls: fc.array(call, { minLength: 4, maxLength: 14 }),
});

/** Units used by the values of each limit's `per`: what a bucket is, without keys. */
function bucketsOf(
  limits: readonly LimitInput[],
  calls: readonly { readonly said: Call; readonly allowed: readonly string[] }[],
) {
  const used = new Map<string, number>();
  for (const { said, allowed } of calls) {
    for (const each of limits.filter(({ name }) => allowed.includes(name))) {
      const values = each.per.map((dimension) => {
        const value = (said as unknown as Record<string, unknown>)[dimension] ?? null;
        return value === null ? null : String(value);
      });
      const bucket = JSON.stringify([each.name, values]);
      used.set(bucket, (used.get(bucket) ?? 0) + 1);
    }
  }
  return used;
}

for (const [store, open] of Object.entries(stores)) {
  describe(`${store} and the memory`, () => {
    it(`decide the same on ${SCHEDULES} schedules, in buckets that only policies share`, async () => {
      let [made, denials, shared] = [0, 0, 0];
      const play = async ({
        limits,
        calls,
      }: {
        limits: readonly Omit<LimitInput, "name">[];
        calls: readonly Call[];
      }) => {
        const clock = fakeClock(Date.UTC(2031, 0, 1));
        const named = limits.map((each, n) => ({ ...each, name: `l${n}` }) as LimitInput);
        // So that calls may always say a plan and a user.
        const all = { name: "all", per: [], quota: 1_000, overrides: [{ when: { plan: "x", user: "x" }, quota: 1 }] };
        const policy: PolicyInput = { version: 1, limits: [...named, all] };
        const prefix = `agree-${made++}`;
        // No answer is late, however busy the machine is.
        const patient = { failover: { deadlineMs: 60_000 } };
        const one = createLimiter({ policy, prefix, store: memoryStore({ clock }) });
        // A denial that is given again says how other buckets stood then.
        const other = createLimiter({ policy, prefix, store: open(clock), denyCacheMs: 0, ...patient });
        const passed: { said: Call; allowed: readonly string[] }[] = [];
        for (const said of calls) {
          const decision = await one.consume(said);
          assert.deepEqual(await other.consume(said), decision);
          if (decision.allowed) passed.push({ said, allowed: decision.verdicts.map(({ limit }) => limit) });
          else denials++;
          shared += Number(decision.verdicts.length > 1 && (said.user ?? null) === null);
        }
        for (const [bucket, units] of bucketsOf(named, passed)) {
          const [limit, values] = JSON.parse(bucket) as [string, (string | null)[]];
          const per = named.find((each) => each.name === limit)?.per ?? [];
          const said = Object.fromEntries(per.flatMap((name, i) => (values[i] === null ? [] : [[name, values[i]]])));
          for (const limiter of [one, other]) {
            const usages = await limiter.usage(said);
            const found = usages.find((each) => each.limit === limit && same(each.dimensions, said));
            if (found !== undefined) assert.equal(found.used, units, bucket);
          }
        }
        await other.close();
      };
      await fc.assert(fc.asyncProperty(schedule, play), { numRuns: SCHEDULES, seed: 20_261_128 });
      assert.ok(denials > SCHEDULES && shared > SCHEDULES / 2, `${denials} denials, ${shared} shared`);
    });
  });
}

function same(one: Readonly<Record<string, string>>, other: Readonly<Record<string, unknown>>): boolean {
  const sorted = (value: object) => JSON.stringify(Object.entries(value).sort());
  return sorted(one) === sorted(other);
}
