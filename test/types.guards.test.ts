// Guards take a limiter that has the dimensions that they cannot provide, and refuse words that the policy does not know. Each
// refusal stands where the compiler must object: if it did not, the directive above it would be an error.

import assert from "node:assert/strict";
import { it } from "node:test";
import type { Context } from "hono";
import type { Runtime } from "langchain";
import { type CallFor, createLimiter, definePolicy, type Dimensions } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { aiSdkGuard, type AiSdkOptions } from "tollgate/adapters/ai-sdk";
import { expressGuard } from "tollgate/adapters/express";
import { fastifyGuard, fastifyRouteGuard } from "tollgate/adapters/fastify";
import { fetchGuard } from "tollgate/adapters/fetch";
import { honoGuard } from "tollgate/adapters/hono";
import { langchainGuard } from "tollgate/adapters/langchain";
import { mcpServerGuard } from "tollgate/adapters/mcp-server";
import { openaiAgentsGuard } from "tollgate/adapters/openai-agents";
import { memoryStore } from "tollgate/stores/memory";

const policy = definePolicy({
  version: 1,
  limits: [
    { name: "calls", per: ["session", "workspace"], quota: 50, overrides: [{ when: { plan: "pro" }, quota: 90 }] },
  ],
});
const store = memoryStore();
const limiter = createLimiter({ policy, store });
const [session, workspace] = ["s1", "w1"] as const;
const inSession = limiter.for({ session });
const inWorkspace = limiter.for({ workspace });
const bound = inSession.for({ workspace });
const file = createLimiter({
  policy: parsePolicy("version: 1\nlimits: [{ name: calls, per: [session, workspace], quota: 5 }]"),
  store,
});
const tool = "search";

it("of HTTP servers accept calls that the policy can judge", () => {
  honoGuard(limiter, { call: (c) => ({ tool, session, workspace: c.req.path }) });
  honoGuard(limiter, {
    call: (c: Context<{ Variables: { team: string } }>) => ({ tool, session, workspace: c.get("team"), plan: "pro" }),
  });
  honoGuard(limiter, { call: async (c) => (c.req.path === "/" ? null : { tool, session, workspace, args: {} }) });
  honoGuard(limiter, { call: (): CallFor<typeof policy> => ({ tool, session, workspace, cost: { calls: 2 } }) });
  honoGuard(inSession, { call: () => ({ tool, workspace }) });
  expressGuard(bound, { call: (request) => ({ tool, plan: request.get("x-plan") }) });
  fastifyGuard(limiter, { call: ({ ip }) => ({ tool, session, workspace: ip }) });
  fetchGuard(limiter, { call: (_: Request, { team }: { team: string }) => ({ tool, session, workspace: team }) });
  honoGuard(file, { call: (c) => ({ tool, session, workspace, plan: c.req.path }) });
});

it("of HTTP servers refuse calls with misspelled or missing words", () => {
  // @ts-expect-error a typo in a dimension
  honoGuard(limiter, { call: () => ({ tool, session, worspace: "w" }) });
  // @ts-expect-error a typo in a dimension that need not be there
  honoGuard(limiter, { call: () => ({ tool, session, workspace, plam: "pro" }) });
  // @ts-expect-error the same, later
  honoGuard(limiter, { call: async () => ({ tool, session, workspace, plam: "pro" }) });
  // @ts-expect-error the session is missing
  honoGuard(inWorkspace, { call: () => ({ tool }) });
  // @ts-expect-error a typo in a unit
  honoGuard(limiter, { call: () => ({ tool, session, workspace, cost: { cals: 1 } }) });
  // @ts-expect-error the workspace may be missing
  expressGuard(inSession, { call: (request) => ({ tool, workspace: request.get("x-workspace") }) });
  // @ts-expect-error a typo
  fastifyGuard(limiter, { call: () => ({ tool, session, worspace: "w" }) });
  // @ts-expect-error a typo
  fastifyRouteGuard(limiter, { call: () => ({ tool, session, worspace: "w" }) });
  // @ts-expect-error a typo
  fetchGuard(limiter, { call: () => ({ tool, session, worspace: "w" }) });
});

it("of agents accept a limiter that has what they cannot provide", () => {
  aiSdkGuard(bound);
  aiSdkGuard(bound, { maxDenials: 2 });
  aiSdkGuard(inSession, { dimensions: () => ({ workspace, plan: "pro" }) });
  aiSdkGuard(limiter, { dimensions: ({ context }) => context as { session: string; workspace: string } });
  langchainGuard(inWorkspace);
  langchainGuard(limiter, { dimensions: ({ context }: Runtime<{ team: string }>) => ({ workspace: context.team }) });
  openaiAgentsGuard(bound);
  openaiAgentsGuard(limiter, { dimensions: ({ team }: { team: string }) => ({ session, workspace: team }) });
  mcpServerGuard(inWorkspace);
  mcpServerGuard(limiter, { dimensions: async ({ sessionId = "s" }) => ({ session: sessionId, workspace }) });
  for (const options of [{}, { dimensions: (): Dimensions => ({ workspace }) }] satisfies AiSdkOptions[]) {
    aiSdkGuard(file, options);
  }
});

it("of agents refuse a limiter that lacks a dimension, and misspelled ones", () => {
  // @ts-expect-error the workspace is missing
  aiSdkGuard(inSession);
  // @ts-expect-error the workspace is missing
  aiSdkGuard(inSession, { maxDenials: 2 });
  // @ts-expect-error a typo
  aiSdkGuard(inSession, { dimensions: () => ({ worspace: "w" }) });
  // @ts-expect-error a typo in a dimension that need not be there
  aiSdkGuard(bound, { dimensions: () => ({ plam: "pro" }) });
  // @ts-expect-error the workspace is missing
  langchainGuard(limiter);
  // @ts-expect-error a typo
  langchainGuard(limiter, { dimensions: () => ({ worspace: "w" }) });
  // @ts-expect-error the session is missing
  openaiAgentsGuard(inWorkspace);
  // @ts-expect-error a typo
  openaiAgentsGuard(inWorkspace, { dimensions: () => ({ sesion: "s" }) });
  // @ts-expect-error the workspace is missing
  mcpServerGuard(limiter);
  // @ts-expect-error the session may be missing
  mcpServerGuard(inWorkspace, { dimensions: ({ sessionId }) => ({ session: sessionId }) });
  assert.ok(true);
});

it("of models know the units that limits count", () => {
  const priced = createLimiter({
    policy: {
      version: 1,
      limits: [
        { name: "tokens", per: ["session"], unit: "tokens", quota: 50 },
        { name: "money", per: ["session"], unit: "usd_micros", quota: 50 },
      ],
    },
    store,
  }).for({ session });
  const costOf = () => ({ tokens: 1, usd_micros: 2 });
  aiSdkGuard(priced).model({ estimate: { tokens: 5 }, costOf });
  aiSdkGuard(priced).model({});
  aiSdkGuard(file.for({ session })).model({ estimate: { any: 5 }, costOf: () => ({ any: 5 }) });
  langchainGuard(priced, { model: { estimate: { tokens: 5 }, costOf: ({ input }) => ({ tokens: input }) } });
  langchainGuard(priced, { model: {}, dimensions: () => ({}) });
  langchainGuard(file, { model: { costOf } });
  const model = { getResponse: async () => ({}), getStreamedResponse: async function* () {} } as never;
  openaiAgentsGuard(priced).model(model, { estimate: { tokens: 5 }, costOf });
  // @ts-expect-error a typo in a unit
  aiSdkGuard(priced).model({ estimate: { tokns: 5 } });
  // @ts-expect-error a typo in one of two units
  aiSdkGuard(priced).model({ costOf: () => ({ tokens: 5, usd_micos: 2 }) });
  // @ts-expect-error a typo in a unit
  langchainGuard(priced, { model: { estimate: { tokns: 5 } } });
  // @ts-expect-error a typo in one of two units
  langchainGuard(priced, { model: { costOf: () => ({ tokens: 5, usd_micos: 2 }) } });
  // @ts-expect-error a typo in one of two units
  langchainGuard(priced, { dimensions: () => ({}), model: { costOf: () => ({ tokens: 5, usd_micos: 2 }) } });
  // @ts-expect-error a typo in a unit
  openaiAgentsGuard(priced).model(model, { estimate: { tokns: 5 } });
  // @ts-expect-error a typo in one of two units
  openaiAgentsGuard(priced).model(model, { costOf: () => ({ tokens: 5, usd_micos: 2 }) });
});
