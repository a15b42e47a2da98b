// What the compiler knows of a limiter: which policy it is of, what it is bound to, and the names of limits and units. Each
// refusal stands where the compiler must object: if it did not, the directive above it would be an error.

import assert from "node:assert/strict";
import { it } from "node:test";
import {
  type AddUsage,
  type CallFor,
  createLimiter,
  type Decision,
  definePolicy,
  type Limiter,
  type Policy,
} from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { createRemoteLimiter } from "tollgate/client";
import { localFailover } from "tollgate/client/failover";
import { memoryStore } from "tollgate/stores/memory";

const policy = definePolicy({
  version: 1,
  limits: [
    { name: "calls", per: ["session", "workspace"], quota: 50, quotas: { plan: { pro: 90 } } },
    { name: "tokens", per: ["session"], unit: "tokens", quota: 5_000 },
    { name: "monthly", per: ["workspace"], window: "month", quota: { from: "call", default: 10, max: 100 } },
  ],
});
const limiter = createLimiter({ policy, store: memoryStore() });
const call = { tool: "search", session: "s", workspace: "w" } as const;
const smaller = definePolicy({ version: 1, limits: [{ name: "calls", per: ["session"], quota: 50 }] });
const file = createLimiter({
  policy: parsePolicy("version: 1\nlimits: [{ name: calls, per: [session], quota: 5 }]"),
  store: memoryStore(),
});

it("fits where its policy, or any, is expected, and not where another is", () => {
  const plain: Limiter = limiter;
  const plainPolicy: Policy = policy;
  // One with other numbers is used in the same way.
  const same: Limiter<typeof smaller> = createLimiter({
    policy: { version: 1, limits: [{ name: "calls", per: ["session"], quota: 7, resetAfter: "1h" }] },
    store: memoryStore(),
  });
  // @ts-expect-error of a policy with fewer dimensions
  const less: Limiter<typeof policy> = createLimiter({ policy: smaller, store: memoryStore() });
  // @ts-expect-error of a policy with more dimensions
  const more: Limiter<typeof smaller> = limiter;
  // @ts-expect-error of a policy that is read at run time
  const unknown: Limiter<typeof policy> = file;
  // @ts-expect-error not of this policy
  const remote: Limiter<typeof smaller> = createRemoteLimiter<typeof policy>({ url: "http://localhost" });
  assert.equal([plain, same, less, more, unknown, remote].length, 6);
  assert.equal(plainPolicy.limits.length, 3);
});

it("is named by what it is bound to", async () => {
  const bound: Limiter<typeof policy, "session"> = limiter.for({ session: "s" });
  const twice: Limiter<typeof policy, "session" | "workspace"> = bound.for({ workspace: "w" });
  await bound.consume({ tool: "search", workspace: "w" });
  await twice.consume({ tool: "search" });
  const wanted: CallFor<typeof policy, "session"> = { tool: "search", workspace: "w" };
  await bound.consume(wanted);
  // One that is bound to more can stand where less is bound.
  const asBound: Limiter<typeof policy, "session"> = twice;
  const asWhole: Limiter<typeof policy> = bound;
  const plain: Limiter = bound;
  await plain.consume({ tool: "search", session: "s", workspace: "w" });
  await asWhole.consume(call);
  // @ts-expect-error is bound to nothing
  const unbound: Limiter<typeof policy, "session"> = limiter;
  // @ts-expect-error is not bound to a workspace
  const half: Limiter<typeof policy, "session" | "workspace"> = bound;
  // @ts-expect-error the workspace is missing
  await assert.rejects(half.for({}).for({}).for({ session: "s" }).consume({ tool: "search", sesion: "s" }));
  // @ts-expect-error the workspace is missing
  await assert.rejects(bound.consume({ tool: "search" }), { code: "missing-dimension" });
  assert.ok(asBound && unbound);
});

it("knows the names of limits", async () => {
  const decision = await limiter.consume(call);
  const plain: Decision = decision;
  const names: readonly ("calls" | "tokens" | "monthly")[] = decision.verdicts.map(({ limit }) => limit);
  assert.deepEqual([...names], ["calls", "tokens", "monthly"]);
  assert.equal(plain.verdicts.length, 3);
  // @ts-expect-error no such limit
  assert.notEqual(decision.deniedBy === "toknes", true);
  const [verdict] = decision.verdicts;
  // @ts-expect-error no such limit
  assert.ok(verdict?.limit !== "toknes");
  const usages = await limiter.usage({ session: "s", workspace: "w" });
  // @ts-expect-error no such limit
  assert.ok(usages[0]?.limit !== "toknes");
  const { before, after } = await limiter.reset({ limit: "tokens", session: "s" });
  assert.deepEqual([before.limit, after.limit], ["tokens", "tokens"]);
  const granted = await limiter.grant({ limit: "tokens", session: "s" }, { id: "g", units: 5, durationMs: 9_000 });
  assert.equal(granted.granted, 5);
  const { revoked } = await limiter.revoke({ limit: "tokens", session: "s" }, "g");
  assert.equal(revoked, true);
  const unknown = { code: "unknown-limit" };
  // @ts-expect-error no such limit
  await assert.rejects(limiter.reset({ limit: "toknes", session: "s" }), unknown);
  // @ts-expect-error no such limit
  await assert.rejects(limiter.grant({ limit: "toknes" }, { id: "g", units: 5, durationMs: 9_000 }), unknown);
  // @ts-expect-error no such limit
  await assert.rejects(limiter.revoke({ limit: "toknes" }, "g"), unknown);
  await file.reset({ limit: "calls", session: "s" });
});

it("accepts quotas only for the limits that ask for them", async () => {
  const { verdicts } = await limiter.peek(call, { quotas: { monthly: 25 } });
  assert.equal(verdicts.find(({ limit }) => limit === "monthly")?.quota, 25);
  // @ts-expect-error says its quota itself
  await assert.rejects(limiter.consume(call, { quotas: { calls: 25 } }), { code: "invalid-option" });
  const resolved = createLimiter({
    policy,
    store: memoryStore(),
    quotas: ({ limit }) => {
      const only: "monthly" = limit;
      return only === "monthly" ? 7 : undefined;
    },
  });
  const peeked = await resolved.peek(call);
  assert.equal(peeked.verdicts.find(({ limit }) => limit === "monthly")?.quota, 7);
  // @ts-expect-error no limit asks for quotas
  assert.throws(() => createLimiter({ policy: smaller, store: memoryStore(), quotas: () => 7 }));
});

it("knows the units of what is used", async () => {
  const helper = (add: AddUsage) => add({ tokens: 1 });
  await limiter.run({ ...call, cost: { tokens: 10 } }, ({ addUsage }) => {
    addUsage({ tokens: 3 });
    helper(addUsage);
    // @ts-expect-error no limit counts it
    addUsage({ toknes: 3 });
  });
  const held = await limiter.reserve({ ...call, cost: { tokens: 10 } });
  assert.equal(held.allowed, true);
  if (!held.allowed) return;
  // @ts-expect-error no limit counts it
  await assert.rejects(held.hold.settle({ toknes: 3 }), { code: "unknown-unit" });
  const { usages } = await limiter.getHold(held.hold.id, { ...call, cost: { tokens: 10 } }).settle({ tokens: 3 });
  // @ts-expect-error no such limit
  assert.ok(usages[0]?.limit !== "toknes");
});

it("shows of a policy its version and the names, dimensions and units of its limits", () => {
  assert.match(policy.version, /^[0-9a-f]{32}$/);
  const [first] = policy.limits;
  assert.deepEqual([first?.name, first?.per, first?.unit], ["calls", ["session", "workspace"], "calls"]);
  // @ts-expect-error what it was compiled to is not for users
  assert.ok(policy.partition);
  // @ts-expect-error what it was compiled to is not for users
  assert.ok(first?.allotment);
});

it("knows which dimensions the quotas of calls are asked for", async () => {
  const limits = [
    { name: "monthly", per: ["tenant"], quota: { from: "call", default: 10, max: 100 } },
    { name: "daily", per: ["tenant", "region"], quota: { from: "call", default: 10, max: 100 } },
    { name: "other", per: ["user"], onMissing: "skip", quota: 5 },
  ] as const;
  const store = memoryStore();
  const asking = createLimiter({
    policy: { version: 1, limits },
    store,
    quotas: (question) => {
      const tenant: string | null = question.dimensions.tenant;
      // @ts-expect-error a typo
      assert.equal(question.dimensions.tenat, undefined);
      // @ts-expect-error the limit is not per user
      assert.equal(question.dimensions.user, undefined);
      return question.limit === "daily" && question.dimensions.region === "eu" ? 7 : tenant === "t" ? 8 : undefined;
    },
  });
  const { verdicts } = await asking.consume({ tool: "x", tenant: "t", region: "eu" });
  assert.deepEqual(
    verdicts.map(({ quota }) => quota),
    [8, 7],
  );
});

it("refuses quotas where no limit takes them from calls", async () => {
  const none = createLimiter({ policy: smaller, store: memoryStore() });
  const refused = { code: "invalid-option" };
  // @ts-expect-error no limit takes quotas
  await assert.rejects(none.consume({ tool: "x", session: "s" }, { quotas: { nonsense: 5 } }), refused);
  // @ts-expect-error no limit takes quotas
  await assert.rejects(none.usage({ session: "s" }, { quotas: { calls: 5 } }), refused);
  await none.consume({ tool: "x", session: "s" }, {});
});

it("knows the policy that a client has for the time without its service", async () => {
  const url = "http://127.0.0.1:9";
  const told = createRemoteLimiter<typeof policy>({ url, failover: localFailover({ policy, instances: 2 }) });
  // @ts-expect-error another policy
  const other = createRemoteLimiter<typeof policy>({ url, failover: localFailover({ policy: smaller, instances: 2 }) });
  const inferred: Limiter<typeof policy> = createRemoteLimiter({
    url,
    failover: localFailover({ policy, instances: 2 }),
  });
  const plain: Limiter = createRemoteLimiter({ url });
  const written = createRemoteLimiter({
    url,
    failover: localFailover({
      policy: { version: 1, limits: [{ name: "a", per: ["session"], quota: 5 }] },
      instances: 2,
    }),
  });
  // @ts-expect-error the session is missing
  await assert.rejects(written.consume({ tool: "x" }), { code: "missing-dimension" });
  // @ts-expect-error the service knows the quota
  await assert.rejects(told.usage({}, { quotas: { monthly: 5 } }), { code: "invalid-option" });
  // @ts-expect-error the same of one that is bound
  await assert.rejects(told.for({ session: "s" }).usage({}, { quotas: { monthly: 5 } }), { code: "invalid-option" });
  for (const each of [told, other, inferred, plain, written]) await each.close({ withinMs: 0 });
});
