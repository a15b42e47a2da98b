// What the compiler knows of a policy that is written in code. Each refusal stands where the compiler must object: if it
// did not, the directive above it would be an error.

import assert from "node:assert/strict";
import { it } from "node:test";
import { type CallFor, createLimiter, definePolicy, type Limiter } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { otel } from "tollgate/otel";
import { memoryStore } from "tollgate/stores/memory";

const policy = definePolicy({
  version: 1,
  limits: [
    { name: "turn", per: ["session", "turn", "tool"], quota: 50 },
    { name: "tokens", per: ["workspace"], unit: "tokens", quota: 50, overrides: [{ when: { plan: "pro" }, quota: 9 }] },
    { name: "user", per: ["user", "group"], onMissing: "skip", quota: 50 },
    { name: "sessions", per: [], distinct: "device", algorithm: "fixed-window", window: "1h", quota: 50 },
  ],
});
const limiter = createLimiter({ policy, store: memoryStore() });
const whole = { tool: "x", session: "s", turn: 1, workspace: "w", device: "d" } as const;

it("accepts the calls that the policy can judge", async () => {
  await limiter.consume(whole);
  await limiter.consume({
    ...whole,
    user: "u",
    plan: "pro",
    toolCallId: "call_1",
    args: {},
    cost: { tokens: 5, calls: 1 },
  });
  const bound = limiter.for({ session: "s", workspace: "w" });
  await bound.consume({ tool: "x", turn: 1, device: "d" });
  await bound.for({ turn: 1 }).run({ tool: "x", device: "d" }, () => 1);
  await limiter.usage({ workspace: "w", group: "T1", args: {} });
  const { allowed } = await limiter.peek(whole);
  assert.equal(allowed, true);
});

it("refuses others when they are compiled, and when they are made", async () => {
  // @ts-expect-error session is missing
  await assert.rejects(limiter.consume({ tool: "x", turn: 1, workspace: "w", device: "d" }));
  // @ts-expect-error the dimension that is counted is missing
  await assert.rejects(limiter.consume({ tool: "x", session: "s", turn: 1, workspace: "w" }));
  // @ts-expect-error no limit is per colour
  await assert.rejects(limiter.consume({ ...whole, colour: "red" }));
  // @ts-expect-error no limit counts euros
  await assert.rejects(limiter.consume({ ...whole, cost: { euros: 1 } }));
  // @ts-expect-error turn is missing where only the session is bound
  await assert.rejects(limiter.for({ session: "s" }).consume({ tool: "x", workspace: "w", device: "d" }));
  // @ts-expect-error a group follows from the tool
  await assert.rejects(limiter.consume({ ...whole, group: "T1" }));
});

it("infers the same from a policy that is written in the options", async () => {
  const inline = createLimiter({
    policy: {
      version: 1,
      limits: [
        {
          name: "workspace",
          per: ["session", "workspace"],
          quota: 50,
          overrides: [{ when: { plan: "pro" }, quota: 9 }],
        },
        { name: "tokens", per: ["session"], unit: "tokens", quota: 50 },
      ],
    },
    store: memoryStore(),
  });
  await inline.consume({ tool: "x", session: "s", workspace: "w" });
  await inline.for({ workspace: "w" }).consume({ tool: "x", session: "s", plan: "pro", cost: { tokens: 1 } });
  // @ts-expect-error workspace is missing
  await assert.rejects(inline.consume({ tool: "x", session: "s" }), { code: "missing-dimension" });
  // @ts-expect-error a typo
  await assert.rejects(inline.consume({ tool: "x", session: "s", worspace: "w" }), { code: "invalid-call" });
  // @ts-expect-error no limit counts euros
  await assert.rejects(inline.consume({ tool: "x", session: "s", workspace: "w", cost: { euros: 1 } }));
  // @ts-expect-error an object is no dimension's value
  await assert.rejects(inline.consume({ tool: "x", session: "s", workspace: { id: "w" } }));
});

it("refuses dimensions that cannot be bound, and ignores undefined ones", async () => {
  // @ts-expect-error a typo
  assert.throws(() => limiter.for({ session: "s", worspace: "w" }), { code: "invalid-call" });
  // @ts-expect-error an object is no dimension's value
  const wrong = limiter.for({ session: {} });
  await assert.rejects(wrong.consume({ tool: "x", turn: 1, workspace: "w", device: "d" }), {
    code: "invalid-dimension",
  });
  const header = undefined as string | undefined;
  const bound = limiter.for({ session: header, workspace: "w" });
  // @ts-expect-error the session may be missing
  await assert.rejects(bound.consume({ tool: "x", turn: 1, device: "d" }), { code: "missing-dimension" });
  await bound.consume({ tool: "x", session: "s", turn: 1, device: "d" });
});

it("requires nothing that only some tools or some calls need", async () => {
  const some = createLimiter({
    policy: {
      version: 1,
      tools: { book: { group: "T3" } },
      limits: [
        { name: "bookings", per: ["workspace"], when: { tool: ["book"] }, quota: 9 },
        { name: "groups", per: ["tenant", "group", "region"], quota: 9 },
        { name: "kinds", per: ["device"], distinct: "group", quota: 9 },
        { name: "agents", per: ["agent"], onMissing: "skip", quota: 9 },
        { name: "all", per: ["session"], quota: 9 },
      ],
    },
    store: memoryStore(),
  });
  await some.consume({ tool: "search", session: "s" });
  await some.consume({ tool: "book", session: "s", workspace: "w", tenant: "t", region: "eu", device: "d" });
  await assert.rejects(some.consume({ tool: "book", session: "s", workspace: "w" }), { code: "missing-dimension" });
  // @ts-expect-error session is missing
  await assert.rejects(some.consume({ tool: "search" }), { code: "missing-dimension" });
});

it("requires at run time what it requires here, of limits for some calls and of shared buckets", async () => {
  const some = createLimiter({
    policy: {
      version: 1,
      limits: [
        { name: "trial", per: ["region"], when: { plan: ["trial", "!x"] }, quota: "2k" },
        {
          name: "anonymous",
          per: ["user", "session"],
          onMissing: "shared",
          quota: 9,
          quotas: { seats: { 5: "1_000" } },
        },
        { name: "all", per: ["tenant"], quota: 9 },
      ],
    },
    store: memoryStore(),
  });
  await some.consume({ tool: "x", tenant: "t" });
  await some.consume({ tool: "x", tenant: "t", seats: 5, plan: "pro" });
  await assert.rejects(some.consume({ tool: "x", tenant: "t", plan: "trial" }), { code: "missing-dimension" });
  await some.reset({ limit: "anonymous", user: "u" });
  // @ts-expect-error tenant is missing
  await assert.rejects(some.consume({ tool: "x" }), { code: "missing-dimension" });
});

it("refuses invalid amounts", () => {
  const limit = { name: "a", per: ["session"], unit: "usd_micros" } as const;
  for (const quota of [5, "5k", "2M", "5_000", "$5", "$0.05"] as const)
    definePolicy({ version: 1, tools: { x: { cost: { usd_micros: "$0.05" } } }, limits: [{ ...limit, quota }] });
  // @ts-expect-error a capital
  assert.throws(() => definePolicy({ version: 1, limits: [{ ...limit, quota: "5K" }] }));
  // @ts-expect-error a fraction
  assert.throws(() => definePolicy({ version: 1, limits: [{ ...limit, quota: "1.5M" }] }));
  // @ts-expect-error a comma
  assert.throws(() => definePolicy({ version: 1, limits: [{ ...limit, quota: "$1,000" }] }));
  // @ts-expect-error not a text
  assert.throws(() => definePolicy({ version: 1, limits: [{ ...limit, quota: "5" }] }));
});

const NOW: boolean = Number("1") === 1;

it("asks only for what each of several policies needs", async () => {
  const session = { name: "session", per: ["session"], quota: 9 } as const;
  const other = definePolicy({ version: 1, limits: [session, { name: "region", per: ["region"], quota: 9 }] });
  const one = definePolicy({ version: 1, limits: [session] });
  const either = createLimiter({ policy: NOW ? one : other, store: memoryStore() });
  await either.consume({ tool: "x", session: "s" });
  const inline = createLimiter({
    policy: {
      version: 1,
      limits: [session, ...(NOW ? [{ name: "region", per: ["region"], quota: 9 } as const] : [])],
    },
    store: memoryStore(),
  });
  await inline.consume({ tool: "x", session: "s", region: "eu" });
  const parts = { version: 1, limits: [session] } as const;
  const spread = createLimiter({
    policy: { ...parts, limits: [...parts.limits, { name: "region", per: ["region"], quota: 9 }] },
    store: memoryStore(),
  });
  await spread.consume({ tool: "x", session: "s", region: "eu" });
  // @ts-expect-error session is missing
  await assert.rejects(either.consume({ tool: "x" }), { code: "missing-dimension" });
  // @ts-expect-error no limit of either is per colour
  await assert.rejects(either.consume({ tool: "x", session: "s", colour: "red" }), { code: "invalid-call" });
  // @ts-expect-error no limit is per colour
  await assert.rejects(inline.consume({ tool: "x", session: "s", region: "eu", colour: "red" }));
  // @ts-expect-error region is missing
  await assert.rejects(spread.consume({ tool: "x", session: "s" }), { code: "missing-dimension" });
});

it("annotates fields, parameters and clients with the policy", async () => {
  class Service {
    readonly limiter: Limiter<typeof policy>;
    constructor(limiter: Limiter<typeof policy>) {
      this.limiter = limiter;
    }
    call(call: CallFor<typeof policy>) {
      return this.limiter.consume(call);
    }
  }
  const service = new Service(limiter);
  await service.call(whole);
  // @ts-expect-error session is missing
  await assert.rejects(service.call({ tool: "x", turn: 1, workspace: "w", device: "d" }));
  const any: Limiter = limiter;
  await any.consume({ ...whole, colour: "red" }).catch(() => {});
  const client = createRemoteLimiter<typeof policy>({ url: "http://127.0.0.1:9", deadlineMs: 10 });
  // @ts-expect-error session is missing
  await assert.rejects(client.consume({ tool: "x", turn: 1, workspace: "w", device: "d" }));
  await client.close();
  const told = createLimiter({ policy, store: memoryStore(), telemetry: otel() });
  await told.consume(whole);
  // @ts-expect-error session is missing
  await assert.rejects(told.consume({ tool: "x", turn: 1, workspace: "w", device: "d" }));
});

it("refuses keys of a policy that have no meaning", () => {
  const store = memoryStore();
  const limit = { name: "a", per: ["session"], quota: 5 } as const;
  const refused = { code: "invalid-policy" };
  // @ts-expect-error a typo in a limit
  assert.throws(() => definePolicy({ version: 1, limits: [{ name: "a", per: ["session"], qouta: 5 }] }), refused);
  // @ts-expect-error a typo in a limit, in the options
  assert.throws(() => createLimiter({ policy: { version: 1, limits: [{ ...limit, qouta: 5 }] }, store }), refused);
  // @ts-expect-error a typo in the policy
  assert.throws(() => definePolicy({ version: 1, limits: [limit], partiton: "user" }), refused);
  // @ts-expect-error a window needs an algorithm
  assert.throws(() => definePolicy({ version: 1, limits: [{ ...limit, window: "1h" }] }), refused);
  assert.throws(
    // @ts-expect-error a fixed window has no burst
    () => definePolicy({ version: 1, limits: [{ ...limit, algorithm: "fixed-window", window: "1h", burst: 2 }] }),
    refused,
  );
  assert.throws(
    // @ts-expect-error a typo in an override
    () => definePolicy({ version: 1, limits: [{ ...limit, overrides: [{ when: {}, qota: 1 }] }] }),
    refused,
  );
  // @ts-expect-error a typo in how units are held
  assert.throws(() => definePolicy({ version: 1, limits: [{ ...limit, hold: { laese: "1m" } }] }), refused);
  // @ts-expect-error a typo in a tool
  assert.throws(() => definePolicy({ version: 1, tools: { x: { tire: "T1" } }, limits: [limit] }), refused);
  // @ts-expect-error a typo in a part that is spread
  assert.throws(() => definePolicy({ ...{ version: 1, limits: [limit] }, tool: {} }), refused);
  // @ts-expect-error a typo in the options
  assert.throws(() => createLimiter({ policy: { version: 1, limits: [limit] }, store, prefx: "x" }));
  definePolicy({
    version: 1,
    $schema: "policy.schema.json",
    tools: { x: { group: "T1", cost: { calls: 2 }, ignoreArgs: ["id"] } },
    limits: [
      { ...limit, resetAfter: "1h", hold: { lease: "1m", onExpiry: "refund" }, quotas: { session: { s1: 6 } } },
      {
        ...limit,
        name: "b",
        algorithm: "token-bucket",
        window: "1h",
        burst: 2,
        overrides: [{ when: { plan: "p" }, quota: 3 }],
      },
    ],
  });
});
