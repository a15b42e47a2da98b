// Agents whose tools or models have a rate: with `maxWaitMs` they become slower and finish. What ends a call ends its wait, too.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import * as agents from "@openai/agents";
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents-core/testing";
import * as seven from "ai";
import { MockLanguageModelV4 } from "ai/test";
import * as six from "ai6";
import { MockLanguageModelV3 } from "ai6/test";
import * as langchain from "langchain";
import { createLimiter, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { langchainGuard } from "tollgate/adapters/langchain";
import { mcpServerGuard } from "tollgate/adapters/mcp-server";
import { openaiAgentsGuard } from "tollgate/adapters/openai-agents";
import { ToolRateLimiter } from "tollgate/tool-rate-limiter";
import { memoryLog } from "tollgate/log";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { z } from "zod";
import { partsOf } from "./ai-sdk-model.ts";

agents.setTracingDisabled(true);

/** Calls of an agent's tool, each in a step of its own. */
const CALLS = 6;
const ANSWER = "That is all I found.";
const EACH_MS = 50;
/** A call of a tool, or of the model, in 50 ms. */
const RATE: PolicyInput = {
  version: 1,
  limits: [
    {
      name: "rate",
      per: ["session", "tool"],
      algorithm: "token-bucket",
      window: "1s",
      quota: 1_000 / EACH_MS,
      burst: 1,
    },
  ],
};
/** One in an hour: who waits for the second one is still waiting. */
const SLOW: PolicyInput = {
  version: 1,
  limits: [{ name: "rate", per: ["session", "tool"], algorithm: "token-bucket", window: "1h", quota: 1, burst: 1 }],
};
const WAITS = { maxWaitMs: 30_000 };
const HOUR = { maxWaitMs: 3_600_000 };

/** Of all limiters here. */
const log = memoryLog();

function limiterOf(policy = RATE): Limiter {
  return createLimiter({ policy, store: memoryStore(), log }).for({ session: "s1" });
}

/** Units used of the rate of a tool. */
async function usedOf(limiter: Limiter, tool: string): Promise<number | undefined> {
  return (await limiter.usage({ tool }))[0]?.used;
}

/** Runs an agent that must take so long at least. */
async function slowly(run: () => Promise<string>, steps: number): Promise<void> {
  const startMs = performance.now();
  assert.equal(await run(), ANSWER);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs >= (steps - 1) * EACH_MS - 1, `${steps} calls took ${tookMs} ms`);
}

/** Aborts what waits once its place is taken, and sees that it is given back. */
async function aborted(
  limiter: Limiter,
  tool: string,
  begin: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const stop = new AbortController();
  const waiting = begin(stop.signal).then(
    () => "ended",
    () => "failed",
  );
  while ((await usedOf(limiter, tool)) !== 2) await sleep(2);
  stop.abort(new Error("enough"));
  const late = sleep(10_000, "late", { ref: false });
  assert.notEqual(await Promise.race([waiting, late]), "late");
  while ((await usedOf(limiter, tool)) !== 1) await sleep(2);
}

const usage = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};

for (const version of [6, 7] as const) {
  const { generateText, streamText, stepCountIs, tool, wrapLanguageModel } =
    version === 7 ? seven : (six as unknown as typeof seven);

  /** A model that calls the tool again and again, and then answers. */
  const searching = () => {
    let asked = 0;
    const next = () => {
      const goesOn = asked++ < CALLS;
      const content = goesOn
        ? [{ type: "tool-call" as const, toolCallId: `c${asked}`, toolName: "search", input: '{"query":"it"}' }]
        : [{ type: "text" as const, text: ANSWER }];
      return {
        content,
        finishReason: { unified: goesOn ? ("tool-calls" as const) : ("stop" as const), raw: undefined },
      };
    };
    const options = {
      doGenerate: async () => ({ ...next(), usage, warnings: [] }),
      doStream: async () => {
        const { content, finishReason } = next();
        return { stream: ReadableStream.from(partsOf(content, finishReason)) };
      },
    };
    const Model = version === 7 ? MockLanguageModelV4 : MockLanguageModelV3;
    return new Model(options as never) as never;
  };
  const agentOf = (limiter: Limiter, options: object, modelOptions: object) => {
    const guard = aiSdkGuard(limiter, options);
    let calls = 0;
    const search = tool({ inputSchema: z.object({ query: z.string() }), execute: (() => `hit ${++calls}`) as never });
    const asked = {
      model: wrapLanguageModel({ model: searching(), middleware: guard.model(modelOptions) as never }),
      prompt: "Find it.",
      stopWhen: stepCountIs(20),
      tools: guard.tools({ search }),
      prepareStep: guard.prepareStep,
    };
    return { asked, calls: () => calls };
  };

  describe(`the AI SDK ${version} with maxWaitMs`, () => {
    it("slows an agent down instead of ending it", async () => {
      const { asked, calls } = agentOf(limiterOf(), WAITS, WAITS);
      await slowly(async () => (await generateText(asked)).text, CALLS + 1);
      assert.equal(calls(), CALLS);
    });

    it("does the same with streamed answers", async () => {
      const { asked, calls } = agentOf(limiterOf(), WAITS, WAITS);
      await slowly(async () => streamText(asked).text, CALLS + 1);
      assert.equal(calls(), CALLS);
    });

    it("has a separate option for the model", async () => {
      const { asked, calls } = agentOf(limiterOf(), WAITS, {});
      const { text } = await generateText(asked);
      assert.match(text, /^Limit reached/);
      assert.equal(calls(), 1);
    });

    it("ends the wait of a tool and of the model with the run, and frees their turns", async () => {
      const limiter = limiterOf(SLOW);
      for (const name of ["search", "model"]) {
        await limiter.consume({ tool: name });
        const { asked, calls } = agentOf(limiter, HOUR, name === "model" ? HOUR : { tool: `free ${name}` });
        await aborted(limiter, name, (abortSignal) => generateText({ ...asked, abortSignal, maxRetries: 0 }));
        assert.equal(calls(), 0);
      }
    });
  });
}

describe("the OpenAI Agents SDK with maxWaitMs", () => {
  const agentOf = (limiter: Limiter, options: object, modelOptions: object, toolOptions: object = {}) => {
    const guard = openaiAgentsGuard(limiter, options);
    let calls = 0;
    const step = modelResponder(({ index }) => {
      const call = functionCall("search", { query: "it" }, { callId: `c${index}` });
      const usage = new agents.Usage({ requests: 1, inputTokens: 10, outputTokens: 5 });
      return { output: [index < CALLS ? call : assistantMessage(ANSWER)], usage };
    });
    const search = agents.tool({
      name: "search",
      description: "Searches.",
      parameters: z.object({ query: z.string() }),
      execute: () => `hit ${++calls}`,
      ...toolOptions,
    });
    const model = guard.model(new ScriptedModel(Array.from({ length: 20 }, () => step)), modelOptions);
    const agent = new agents.Agent({ name: "finder", model, tools: guard.tools([search]) });
    return { agent, calls: () => calls };
  };
  const answerOf = async (agent: agents.Agent) => (await agents.run(agent, "Find it.", { maxTurns: 20 })).finalOutput;

  it("slows an agent down instead of ending it", async () => {
    const { agent, calls } = agentOf(limiterOf(), WAITS, WAITS);
    await slowly(async () => (await answerOf(agent)) ?? "", CALLS + 1);
    assert.equal(calls(), CALLS);
  });

  it("does the same with streamed answers", async () => {
    const { agent, calls } = agentOf(limiterOf(), WAITS, WAITS);
    await slowly(async () => {
      const result = await agents.run(agent, "Find it.", { maxTurns: 20, stream: true });
      for await (const _ of result);
      return result.finalOutput ?? "";
    }, CALLS + 1);
    assert.equal(calls(), CALLS);
  });

  it("ends the wait of a tool and of the model with the run, and frees their turns", async () => {
    const limiter = limiterOf(SLOW);
    for (const name of ["search", "model"]) {
      await limiter.consume({ tool: name });
      const { agent, calls } = agentOf(limiter, HOUR, name === "model" ? HOUR : { tool: `free ${name}` });
      await aborted(limiter, name, (signal) => agents.run(agent, "Find it.", { signal }));
      assert.equal(calls(), 0);
    }
  });

  it("counts the wait as a part of the time that a tool has, and charges nothing when that is over", async () => {
    const limiter = limiterOf(SLOW);
    await limiter.consume({ tool: "search" });
    const { agent, calls } = agentOf(limiter, HOUR, { tool: "free" }, { timeoutMs: 20 });
    const result = await agents.run(agent, "Find it.", { maxTurns: 20 }).catch((error: unknown) => error);
    assert.equal(calls(), 0);
    assert.ok(result !== undefined);
    while ((await usedOf(limiter, "search")) !== 1) await sleep(2);
  });
});

describe("LangChain with maxWaitMs", () => {
  class SearchingModel extends langchain.FakeToolCallingModel {
    asked = 0;
  }
  const agentOf = (limiter: Limiter, options: object) => {
    let calls = 0;
    const search = langchain.tool(() => `hit ${++calls}`, { name: "search", schema: z.object({}) });
    const call = (i: number) => ({ type: "tool_call" as const, name: "search", id: `c${i}`, args: {} });
    const model = new SearchingModel({ toolCalls: [...Array.from({ length: CALLS }, (_, i) => [call(i)]), []] });
    const agent = langchain.createAgent({ model, tools: [search], middleware: [langchainGuard(limiter, options)] });
    return { agent, calls: () => calls };
  };
  const input = { messages: [{ role: "user", content: "Find it." }] };

  it("slows an agent down instead of ending it", async () => {
    const { agent, calls } = agentOf(limiterOf(), { ...WAITS, model: WAITS });
    await slowly(async () => {
      const { messages } = await agent.invoke(input, { recursionLimit: 100 });
      assert.ok(messages.every((message) => !message.text.startsWith("Limit reached")));
      return ANSWER;
    }, CALLS + 1);
    assert.equal(calls(), CALLS);
  });

  it("ends the wait of a tool and of the model with the run, and frees their turns", async () => {
    const limiter = limiterOf(SLOW);
    for (const name of ["search", "model"]) {
      await limiter.consume({ tool: name });
      const { agent, calls } = agentOf(limiter, { ...HOUR, ...(name === "model" ? { model: HOUR } : {}) });
      await aborted(limiter, name, (signal) => agent.invoke(input, { signal }));
      assert.equal(calls(), 0);
    }
  });
});

describe("an MCP server with maxWaitMs", () => {
  async function connected(limiter: Limiter, maxWaitMs: number) {
    const server = new McpServer({ name: "finder", version: "1.0.0" });
    let calls = 0;
    mcpServerGuard(limiter, { maxWaitMs })(server);
    server.registerTool("search", { inputSchema: {} }, () => {
      calls++;
      return { content: [{ type: "text", text: "a hit" }] };
    });
    const client = new Client({ name: "client", version: "1.0.0" });
    const [here, there] = InMemoryTransport.createLinkedPair();
    await Promise.all([server.connect(here), client.connect(there)]);
    return { client, calls: () => calls };
  }

  it("lets calls wait for their turn", async () => {
    const { client, calls } = await connected(limiterOf(), WAITS.maxWaitMs);
    await slowly(async () => {
      for (let i = 0; i < CALLS; i++) {
        assert.notEqual((await client.callTool({ name: "search", arguments: {} })).isError, true);
      }
      return ANSWER;
    }, CALLS);
    assert.equal(calls(), CALLS);
  });

  it("ends the wait of a request that is cancelled or timed out", async () => {
    const limiter = limiterOf(SLOW);
    await limiter.consume({ tool: "search" });
    const { client, calls } = await connected(limiter, HOUR.maxWaitMs);
    await aborted(limiter, "search", (signal) =>
      client.callTool({ name: "search", arguments: {} }, undefined, { signal }),
    );
    await assert.rejects(client.callTool({ name: "search", arguments: {} }, undefined, { timeout: 20 }));
    while ((await usedOf(limiter, "search")) !== 1) await sleep(2);
    assert.equal(calls(), 0);
  });
});

describe("ToolRateLimiter with maxWaitMs", () => {
  it("lets tryCall wait until the count is back", async () => {
    const clock = fakeClock();
    const store = memoryStore({ clock });
    const limits = { search: { maxPerTurn: 1, maxPerSession: 10 } };
    const limiter = new ToolRateLimiter(limits, { store, session: "s1", maxWaitMs: 3_600_000 });
    assert.equal((await limiter.tryCall("search")).allowed, true);
    const waiting = limiter.tryCall("search");
    await sleep(1);
    clock.advance(3_600_000);
    assert.equal((await waiting).allowed, true);
  });
});

describe("the option maxWaitMs", () => {
  it("is a whole number of ms up to an hour, for every adapter", () => {
    const limiter = limiterOf();
    for (const maxWaitMs of [-1, 0.5, 3_600_001, Number.NaN, "1s" as never]) {
      const refused: Readonly<Record<string, () => unknown>> = {
        "ai-sdk": () => aiSdkGuard(limiter, { maxWaitMs }),
        "the model of ai-sdk": () => aiSdkGuard(limiter).model({ maxWaitMs }),
        "openai-agents": () => openaiAgentsGuard(limiter, { maxWaitMs }),
        "the model of openai-agents": () => openaiAgentsGuard(limiter).model(new ScriptedModel([]), { maxWaitMs }),
        langchain: () => langchainGuard(limiter, { maxWaitMs }),
        "the model of langchain": () => langchainGuard(limiter, { model: { maxWaitMs } }),
        "mcp-server": () => mcpServerGuard(limiter, { maxWaitMs }),
        "tool-rate-limiter": () => new ToolRateLimiter({}, { store: memoryStore(), session: "s", maxWaitMs }),
      };
      for (const [name, make] of Object.entries(refused)) {
        assert.throws(
          make,
          (error) => {
            return MisuseError.isInstance(error) && /maxWaitMs$/.test(error.faults[0]?.path ?? "");
          },
          name,
        );
      }
    }
  });
});

describe("the decision log", () => {
  it("says which adapter asked", async () => {
    await log.flush();
    const { items } = await log.storage.read.entries({ kind: "decision", tenants: null, pageSize: 1_000 });
    const asked = new Set(items.map((entry) => entry.kind === "decision" && entry.via));
    assert.deepEqual([...asked].toSorted(), ["ai-sdk", "langchain", "library", "mcp-server", "openai-agents"]);
  });
});
