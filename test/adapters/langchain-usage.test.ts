// What LangChain's models report about their answers, as `usage_metadata`.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fakeModel } from "@langchain/core/testing";
import { AIMessage, createAgent, toolStrategy } from "langchain";
import { createLimiter, type Limiter } from "tollgate";
import { langchainGuard, type ModelUsage } from "tollgate/adapters/langchain";
import { memoryStore } from "tollgate/stores/memory";
import { z } from "zod";
import { ANSWER, type AskModel, type Counts, testUsage } from "./usage-cases.ts";

function metadataOf(counts: Counts | null): object | undefined {
  if (counts === null) return undefined;
  const { input, output, total, cacheRead, cacheWrite, reasoning } = counts;
  return {
    input_tokens: input,
    output_tokens: output,
    total_tokens: total,
    input_token_details: { cache_read: cacheRead, cache_creation: cacheWrite },
    output_token_details: { reasoning },
  };
}

const messageOf = (fields: object) => new AIMessage(fields as { content: string });

function agentOf(limiter: Limiter, message: AIMessage, model: object) {
  return createAgent({ model: fakeModel().respond(message), middleware: [langchainGuard(limiter, { model })] });
}

const ask: AskModel = async (limiter, counts, { text = ANSWER, ...model }) => {
  const message = messageOf({ content: text, usage_metadata: metadataOf(counts) });
  const { messages } = await agentOf(limiter, message, model).invoke({ messages: [{ role: "user", content: "Hi." }] });
  return messages.at(-1)?.text ?? "(nothing)";
};

describe("what LangChain reports about an answer", () => {
  testUsage({ ask, hasTotal: true, keepsGarbage: true });
});

describe("usage of LangChain", () => {
  const policy = { version: 1, limits: [{ name: "money", per: [], unit: "usd_micros", quota: 1_000_000 }] } as const;
  const QUESTION = { messages: [{ role: "user", content: "Hi." }] };
  const usage_metadata = metadataOf({
    input: 1_200,
    output: 300,
    total: 1_500,
    cacheRead: 1_000,
    cacheWrite: 50,
    reasoning: 100,
  });
  const COUNTS = { input: 1_200, output: 300, cacheRead: 1_000, cacheWrite: 50, reasoning: 100 };

  it("reaches costOf with everything reported", async () => {
    const limiter = createLimiter({ policy, store: memoryStore() });
    const seen: ModelUsage[] = [];
    const costOf = (usage: ModelUsage) => ({ usd_micros: seen.push(usage) });
    for (const [response_metadata, expected] of [
      [
        { model_name: "gpt-served", model_provider: "openai" },
        { model: "gpt-served", provider: "openai" },
      ],
      [{ model: "gpt-served" }, { model: "gpt-served", provider: undefined }],
      [{}, { model: undefined, provider: undefined }],
    ]) {
      await agentOf(limiter, messageOf({ content: ANSWER, usage_metadata, response_metadata }), { costOf }).invoke(
        QUESTION,
      );
      assert.deepEqual(seen.pop(), { ...COUNTS, ...expected });
    }
  });

  it("reaches costOf also for a structured answer", async () => {
    const limiter = createLimiter({ policy, store: memoryStore() });
    const seen: ModelUsage[] = [];
    const tool_calls = [{ type: "tool_call", name: "answer", id: "c", args: { hits: 1 } }];
    const schema = z.object({ hits: z.number() }).meta({ title: "answer" });
    const agent = createAgent({
      model: fakeModel().respond(messageOf({ content: "", tool_calls, usage_metadata })),
      responseFormat: toolStrategy(schema),
      middleware: [langchainGuard(limiter, { model: { costOf: (usage) => ({ usd_micros: seen.push(usage) }) } })],
    });
    await agent.invoke(QUESTION);
    assert.deepEqual(seen, [{ ...COUNTS, model: undefined, provider: undefined }]);
  });
});
