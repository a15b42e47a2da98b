// What the compiler says of calls under a policy that only the run time knows: one from a text, a file, a function. Each
// refusal stands where the compiler must object: if it did not, the directive above it would be an error.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import {
  type BucketDimensions,
  type Call,
  createLimiter,
  type Dimensions,
  definePolicy,
  type Limiter,
  type LimitInput,
  type Policy,
  type PolicyInput,
} from "tollgate";
import { loadPolicy, parsePolicy } from "tollgate/policy";
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { expressGuard } from "tollgate/adapters/express";
import { fastifyGuard } from "tollgate/adapters/fastify";
import { fetchGuard } from "tollgate/adapters/fetch";
import { honoGuard } from "tollgate/adapters/hono";
import { langchainGuard } from "tollgate/adapters/langchain";
import { openaiAgentsGuard } from "tollgate/adapters/openai-agents";
import { createRemoteLimiter } from "tollgate/client";
import { createService } from "tollgate/service";
import { memoryStore } from "tollgate/stores/memory";
import { temporaryFolder } from "./temporary.ts";

const TEXT = `
version: 1
limits:
  - { name: per-workspace, per: [session, workspace], quota: 50, overrides: [{ when: { plan: pro }, quota: 60 }] }
  - { name: tokens, per: [session], onMissing: skip, unit: tokens, quota: 5000 }
`;

function limits(): LimitInput[] {
  return [
    {
      name: "per-workspace",
      per: ["session", "workspace"],
      quota: 50,
      overrides: [{ when: { plan: "pro" }, quota: 60 }],
    },
  ];
}

const [tool, session] = ["search", "s1"] as const;
const own = { tool, session, workspace: "w1" };

async function callsCompile(limiter: Limiter): Promise<void> {
  const results = await Promise.all([
    limiter.consume({ tool, session, workspace: "w1" }),
    limiter.consume({ tool, session, workspace: 7, plan: undefined, toolCallId: "call_1", args: { q: "x" } }),
    limiter.record({ tool, session, workspace: "w1", plan: "pro" }),
    limiter.peek(own),
    limiter.reserve({ tool, session, workspace: "w1", cost: { calls: 1, tokens: 5 } }),
    limiter.run({ tool, session, workspace: "w1" }, () => 1),
    limiter.run<number>({ tool, session, workspace: "w1" }, () => 1),
    limiter.for({ workspace: "w1" }).consume({ tool, session }),
    limiter
      .for({ workspace: "w1" })
      .for({ session })
      .run({ tool, plan: "pro" }, () => 1),
  ]);
  assert.ok(results.every(({ allowed }) => allowed));
  const bucket = { limit: "per-workspace", session, workspace: "w1" } as const;
  await limiter.usage({ session, workspace: "w1" });
  await limiter.usage(own);
  await limiter.grant({ ...bucket, plan: "pro" }, { id: "g1", units: 1, durationMs: 60_000 });
  await limiter.revoke({ limit: "per-workspace", session, workspace: "w1" }, "g1");
  await limiter.reset({ limit: "per-workspace", session, workspace: "w1" });
  await limiter.reportOutcome({ tool, session, workspace: "w1" }, { result: 1 });
  const hold = limiter.getHold("run-00000000-0000-4000-8000-000000000000", { tool, session, workspace: "w1" });
  assert.equal(typeof hold.settle, "function");
}

const from: Record<string, () => Limiter> = {
  "a text": () => createLimiter({ policy: parsePolicy(TEXT), store: memoryStore() }),
  "a file": () => {
    const path = join(temporaryFolder(), "tollgate.yaml");
    writeFileSync(path, TEXT);
    return createLimiter({ policy: loadPolicy(path), store: memoryStore() });
  },
  "a variable": () => {
    const policy: Policy = parsePolicy(TEXT);
    return createLimiter({ policy, store: memoryStore() });
  },
  "a file, with more in code": () => {
    const input: PolicyInput = {
      version: 1,
      limits: [...limits(), { name: "t", per: ["session"], unit: "tokens", quota: 9_999 }],
    };
    return createLimiter({ policy: input, store: memoryStore() });
  },
  JSON: () => {
    const policy = JSON.parse(
      JSON.stringify({ version: 1, limits: [...limits(), { name: "t", per: [], unit: "tokens", quota: 9_999 }] }),
    );
    return createLimiter({ policy, store: memoryStore() });
  },
};

for (const [what, limiterFrom] of Object.entries(from)) {
  it(`accepts dimensions of any name under a policy from ${what}`, () => callsCompile(limiterFrom()));
}

it("accepts them under limits from a function, beside any other limits", async () => {
  const some = createLimiter({
    policy: { version: 1, limits: [{ name: "a", per: ["region"], quota: 9 }, ...limits()] },
    store: memoryStore(),
  });
  await some.consume({ tool, session, region: "eu", workspace: "w1" });
  const whens: Record<string, string> = { plan: "pro" };
  const defined = definePolicy({
    version: 1,
    limits: [{ name: "a", per: ["region"], quota: 9, overrides: [{ when: whens, quota: 1 }] }],
  });
  const limiter = createLimiter({ policy: defined, store: memoryStore() });
  await limiter.consume({ tool, region: "eu", plan: "pro", args: {}, cost: { calls: 1 } });
  // @ts-expect-error region is missing
  await assert.rejects(limiter.consume({ tool, plan: "pro" }), { code: "missing-dimension" });
});

it("refuses a value that is no dimension", async () => {
  const limiter = createLimiter({ policy: parsePolicy(TEXT), store: memoryStore() });
  const misuse = (call: () => Promise<unknown>, code: string) => assert.rejects(call, { code });
  // @ts-expect-error an object
  await misuse(() => limiter.consume({ tool, session, workspace: { id: "w1" } }), "invalid-dimension");
  // @ts-expect-error a list
  await misuse(() => limiter.run({ tool, session, workspace: ["w1"] }, () => 1), "invalid-dimension");
  // @ts-expect-error no value
  await misuse(() => limiter.peek({ tool, session, workspace: null }), "missing-dimension");
  // @ts-expect-error an option
  await misuse(() => limiter.consume({ ...own, maxWaitMs: 500 }), "invalid-call");
  // @ts-expect-error a group follows from the tool
  await misuse(() => limiter.consume({ ...own, group: "T1" }), "invalid-call");
  // @ts-expect-error a cost is an object
  await misuse(() => limiter.consume({ ...own, cost: 5 }), "invalid-cost");
  // @ts-expect-error the tool is missing
  await misuse(() => limiter.consume({ session, workspace: "w1" }), "missing-dimension");
  // @ts-expect-error a bucket has no cost
  await misuse(() => limiter.usage({ session, workspace: "w1", cost: { tokens: 1 } }), "invalid-call");
  // @ts-expect-error an object
  await misuse(() => limiter.for({ workspace: {} }).consume({ tool, session }), "invalid-dimension");
  // The compiler cannot know that there is no such dimension.
  await misuse(() => limiter.consume({ ...own, worspace: "w1" }), "invalid-call");
});

it("accepts calls and dimensions with earlier types", async () => {
  interface Mine {
    readonly session: string;
    readonly workspace: string;
  }
  const limiter = createLimiter({ policy: parsePolicy(TEXT), store: memoryStore() });
  const mine: Mine = { session, workspace: "w1" };
  const call: Call = { tool, session, workspace: "w1", cost: { tokens: 1 } };
  const dimensions: Dimensions = { workspace: "w1" };
  const bucket: BucketDimensions = { session, workspace: "w1" };
  const typed: Dimensions = mine;
  await limiter.consume(call);
  await limiter.consume({ tool, ...mine });
  await limiter.for(mine).consume({ tool });
  await limiter.for(typed).consume({ tool });
  await limiter.for(dimensions).consume({ tool, session });
  await limiter.usage(bucket);
  // @ts-expect-error an object
  const wrong: Dimensions = { workspace: {} };
  assert.ok(wrong);
});

it("accepts them from the options of adapters", () => {
  const limiter = createLimiter({ policy: parsePolicy(TEXT), store: memoryStore() });
  const callOf = (workspace: string): Call => ({ tool, session, workspace });
  expressGuard(limiter, { call: (request): Call => ({ tool, session, workspace: request.get("x-workspace") }) });
  expressGuard(limiter, { call: () => ({ tool, session, workspace: "w1" }) });
  fastifyGuard(limiter, { call: async ({ ip }) => callOf(ip) });
  honoGuard(limiter, { call: (c) => callOf(c.req.path) });
  fetchGuard(limiter, { call: () => ({ tool, workspace: "w1" }) })(() => new Response());
  aiSdkGuard(limiter, { dimensions: () => ({ workspace: "w1" }) });
  aiSdkGuard(limiter, { dimensions: (): Dimensions => ({ session, workspace: "w1" }) });
  langchainGuard(limiter, { dimensions: () => ({ workspace: "w1" }) });
  openaiAgentsGuard(limiter, { dimensions: ({ workspace }: { readonly workspace: string }) => ({ workspace }) });
  // @ts-expect-error an object
  aiSdkGuard(limiter, { dimensions: () => ({ workspace: {} }) });
});

it("accepts them from a client of a service", async () => {
  const service = createService({ policy: TEXT, store: memoryStore(), keys: false });
  const client = createRemoteLimiter({
    url: "http://localhost",
    fetch: async (...asked) => service.fetch(new Request(...asked)),
  });
  await callsCompile(client);
  await client.close();
  await service.close();
});
