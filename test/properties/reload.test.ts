// A limiter that lives through reloads, overrides and outages beside one that is made for each call and has nothing kept:
// whatever is remembered between calls, the decisions are the same.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createLimiter, type Decision, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { RemoteStore } from "../layers/remote.ts";
import { slowStore } from "../layers/slow-store.ts";

const QUOTAS = fc.constantFrom(0, 1, 2, 3, 5, 8);

/** Policies of the same limits, whose numbers and modes differ. Buckets and kinds of state stay the same. */
const policies = (modes: readonly object[]): fc.Arbitrary<PolicyInput> =>
  fc
    .record({
      quota: QUOTAS,
      pro: fc.option(QUOTAS, { nil: undefined }),
      tools: QUOTAS,
      rate: QUOTAS,
      price: fc.integer({ min: 0, max: 2 }),
      group: fc.constantFrom("T1", "T2"),
      mode: fc.constantFrom(...modes),
      tool: fc.constantFrom(["*"], ["read_*"]),
    })
    .map(
      ({ quota, pro, tools, rate, price, group, mode, tool }) =>
        ({
          version: 1,
          tools: { read_file: { cost: { tokens: price }, group }, write_file: { group: "T2" } },
          limits: [
            {
              name: "calls",
              per: ["user"],
              algorithm: "fixed-window",
              window: "365d",
              quota,
              ...(pro === undefined ? {} : { overrides: [{ when: { plan: "pro" }, quota: pro }] }),
              ...mode,
            },
            { name: "tools", per: ["user", "tool"], when: { tool }, quotas: { tool: { write_file: tools } }, quota: 5 },
            { name: "groups", per: ["user", "group"], quota: tools + 1 },
            { name: "turns", per: ["turn"], onMissing: "skip", quota: 2 },
            {
              name: "tokens",
              per: ["user"],
              unit: "tokens",
              algorithm: "token-bucket",
              window: "365d",
              quota: rate + 1,
              burst: 4,
            },
            { name: "by-plan", per: ["user"], overrides: [{ when: { agent: "a1" }, quota: 1 }], quota: 9 },
          ],
        }) as PolicyInput,
    );

type Act =
  | {
      readonly type: "call";
      readonly verb: "consume" | "record" | "peek";
      readonly call: object;
      readonly isBound: boolean;
    }
  | { readonly type: "reload"; readonly policy: PolicyInput }
  /** A grant of an id, or a reset. */
  | { readonly type: "admin"; readonly user: string; readonly id: string | null };

const calls = fc.record(
  {
    tool: fc.constantFrom("read_file", "write_file", "other"),
    user: fc.constantFrom("u1", "u2", 7),
    plan: fc.constantFrom("pro", "free"),
    agent: fc.constantFrom("a1", "a2"),
    turn: fc.constantFrom("t1", "t2"),
    cost: fc.record({ calls: fc.integer({ min: 0, max: 2 }) }),
    sesion: fc.constant("a word that no policy knows"),
  },
  { requiredKeys: ["tool"] },
);

function acts(modes: readonly object[], isAdmin: boolean): fc.Arbitrary<Act[]> {
  const call = fc.record({
    type: fc.constant("call" as const),
    verb: fc.constantFrom("consume" as const, "consume" as const, "record" as const, "peek" as const),
    // Known words are more frequent than others.
    call: fc.oneof({ weight: 9, arbitrary: calls.map(({ sesion: _, ...rest }) => ({ user: "u1", ...rest })) }, calls),
    isBound: fc.boolean(),
  });
  const reload = fc.record({ type: fc.constant("reload" as const), policy: policies(modes) });
  const admin = fc.record({
    type: fc.constant("admin" as const),
    user: fc.constantFrom("u1", "u2"),
    id: fc.constantFrom(null, "g1", "g2"),
  });
  return fc.array(
    fc.oneof(
      { weight: 12, arbitrary: call },
      { weight: 2, arbitrary: reload },
      ...(isAdmin ? [{ weight: 1, arbitrary: admin }] : []),
    ),
    { maxLength: 80, size: "max" },
  );
}

type Said = (decision: Decision) => unknown;

/** What is said of a call, without times. */
const verdictsOf: Said = ({ allowed, verdicts }) => ({
  allowed,
  verdicts: verdicts.map(({ limit, exceeded, quota, cost, mode }) => ({ limit, exceeded, quota, cost, mode })),
});

/** Of a denial only that it is one: a denial that is kept says how the buckets stood when it was made. */
const answerOf: Said = (decision) => (decision.allowed ? verdictsOf(decision) : decision.allowed);

/** Does one act, and says what came of it. */
async function done(limiter: Limiter, act: Exclude<Act, { type: "reload" }>, said: Said): Promise<unknown> {
  try {
    if (act.type === "admin") {
      const bucket = { limit: "calls", user: act.user };
      if (act.id === null) return (await limiter.reset(bucket))?.before.quota;
      const grant = { id: act.id, units: 2, durationMs: 86_400_000 };
      return (await limiter.grant(bucket, grant))?.quota;
    }
    const asked = act.isBound ? limiter.for({ agent: "a1" }) : limiter;
    return said(await asked[act.verb](act.call as never));
  } catch (error) {
    if (MisuseError.isInstance(error)) return error.code;
    throw error;
  }
}

/** The same store, which a limiter that is closed leaves open. */
function kept(store: Store): Store {
  const { clock, answer } = store;
  return {
    ...(clock === undefined ? {} : { clock }),
    ...(answer === undefined ? {} : { answer: answer.bind(store) }),
    apply: store.apply.bind(store),
    async close() {},
  };
}

const FIRST: PolicyInput = fc.sample(policies([{}]), { numRuns: 1, seed: 1 })[0] as PolicyInput;
const MODES = [{}, {}, { mode: "shadow" }, { onMissing: "skip" }];

describe("a limiter that is reloaded", () => {
  const stores: Record<string, readonly [() => Store, Said]> = {
    "a store that answers at once": [() => memoryStore({ clock: fakeClock() }), verdictsOf],
    "a store that takes a while": [() => slowStore().store, answerOf],
  };
  for (const [name, [make, said]] of Object.entries(stores)) {
    it(`decides as one that is made for each call: ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(acts(MODES, true), async (list) => {
          const other = make();
          const lasting = createLimiter({ policy: FIRST, store: make() }) as Limiter;
          let policy = FIRST;
          for (const act of list) {
            if (act.type === "reload") {
              policy = act.policy;
              lasting.reload(policy);
              continue;
            }
            const fresh = createLimiter({ policy, store: kept(other) }) as Limiter;
            assert.deepEqual(await done(lasting, act, said), await done(fresh, act, said), JSON.stringify(act));
          }
        }),
        { numRuns: 80 },
      );
    });
  }
});

describe("a limiter that is reloaded while its store is unreachable", () => {
  it("decides and books like one that is made for each call over a reachable store", async () => {
    const modes = [{}, { onStoreError: "local" }, { mode: "shadow" }];
    await fc.assert(
      fc.asyncProperty(acts(modes, false), fc.nat(20), fc.boolean(), async (list, cutAt, keepsDenials) => {
        const remote = new RemoteStore({ nowMs: () => Date.now() });
        const back = Promise.withResolvers<void>();
        const lasting = createLimiter({
          policy: FIRST,
          store: remote,
          failover: { deadlineMs: 5_000 },
          ...(keepsDenials ? {} : { denyCacheMs: 0 }),
          onEvent: ({ type }) => type === "store.recovered" && back.resolve(),
        }) as Limiter;
        const said = keepsDenials ? answerOf : verdictsOf;
        const other = memoryStore();
        let policy = FIRST;
        const users = ["u1", "u2", "7"];
        const usages = async (limiter: Limiter) =>
          (await Promise.all(users.map((user) => limiter.usage({ user, turn: "t1" }))))
            .flat()
            .map(({ limit, dimensions, used }) => ({ limit, dimensions, used }));
        await usages(lasting);
        for (const [i, act] of list.entries()) {
          if (i === cutAt) remote.fault = "lose-request";
          if (act.type === "reload") {
            policy = act.policy;
            lasting.reload(policy);
            continue;
          }
          const fresh = createLimiter({ policy, store: kept(other) }) as Limiter;
          assert.deepEqual(await done(lasting, act, said), await done(fresh, act, said), JSON.stringify(act));
        }
        const isAway = remote.fault !== "answer";
        remote.fault = "answer";
        const decision = isAway ? await lasting.peek({ tool: "other", user: "u3" } as never) : null;
        if (decision?.degraded) await back.promise;
        const fresh = createLimiter({ policy, store: kept(other) }) as Limiter;
        assert.deepEqual(await usages(lasting), await usages(fresh));
        await lasting.close();
      }),
      // Each run waits until the store is found again: none is shrunk.
      { numRuns: 20, endOnFailure: true },
    );
  });
});
