// What models of the OpenAI Agents SDK report about their answers, whole and streamed, and its own chat-completions model
// against a server that reports nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { Agent, OpenAIProvider, run, setTracingDisabled, Usage } from "@openai/agents";
import { assistantMessage } from "@openai/agents-core/testing";
import { createLimiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { type ModelUsage, openaiAgentsGuard } from "tollgate/adapters/openai-agents";
import { memoryStore } from "tollgate/stores/memory";
import { ANSWER, type AskModel, type Counts, testUsage } from "./usage-cases.ts";

setTracingDisabled(true);

function usageOf(counts: Counts | null): unknown {
  if (counts === null) return undefined;
  const { input, output, total, cacheRead, cacheWrite, reasoning } = counts;
  return {
    inputTokens: input,
    outputTokens: output,
    totalTokens: total,
    inputTokensDetails: [{ cached_tokens: cacheRead, cache_write_tokens: cacheWrite }],
    outputTokensDetails: [{ reasoning_tokens: reasoning }],
  };
}

const outputOf = (text: string) => (text === "" ? [] : [assistantMessage(text)]);

/** A model with a fixed answer. */
function modelOf(response: object) {
  return {
    getResponse: async (_request: object) => response,
    async *getStreamedResponse(_request: object) {
      yield { type: "response_started" };
      yield { type: "response_done", response };
    },
  };
}

interface Answered {
  readonly output: readonly { readonly content: readonly { readonly text: string }[] }[];
}

const textOf = ({ output }: Answered) => output[0]?.content[0]?.text ?? "";

function ask(isStreamed: boolean): AskModel {
  return async (limiter, counts, { text = ANSWER, ...options }) => {
    const response = { usage: usageOf(counts), output: outputOf(text) };
    const model = openaiAgentsGuard(limiter).model(modelOf(response), options as object);
    if (!isStreamed) return textOf((await model.getResponse({})) as Answered);
    let last = "(nothing)";
    for await (const event of model.getStreamedResponse({}))
      if ("response" in event) last = textOf(event.response as Answered);
    return last;
  };
}

for (const isStreamed of [false, true]) {
  describe(`what the OpenAI Agents SDK reports about an answer: ${isStreamed ? "streamed" : "whole"}`, () => {
    testUsage({ ask: ask(isStreamed), hasTotal: true, keepsGarbage: true });
  });
}

describe("usage of the OpenAI Agents SDK", () => {
  const MONEY: PolicyInput = { version: 1, limits: [{ name: "money", per: [], unit: "usd_micros", quota: 1_000_000 }] };

  it("reaches costOf with everything reported, of all requests of an answer", async () => {
    const limiter = createLimiter({ policy: MONEY, store: memoryStore() });
    const seen: ModelUsage[] = [];
    const usage = new Usage({
      inputTokens: 1_200,
      outputTokens: 300,
      inputTokensDetails: [{ cached_tokens: 600 }, { cached_tokens: 400, cache_write_tokens: 50 }],
      outputTokensDetails: [{ reasoning_tokens: 100 }],
    });
    const response = { usage, output: outputOf(ANSWER), providerData: { model: "gpt-served", provider: "openai" } };
    const costOf = (each: ModelUsage) => ({ usd_micros: seen.push(each) });
    const model = openaiAgentsGuard(limiter).model(modelOf(response), { costOf });
    await model.getResponse({});
    for await (const { type } of model.getStreamedResponse({})) assert.match(type, /^response_/);
    const whole = { input: 1_200, output: 300, cacheRead: 1_000, cacheWrite: 50, reasoning: 100 };
    const reported = { ...whole, model: "gpt-served", provider: "openai" };
    assert.deepEqual(seen, [reported, reported]);
  });

  it("is charged once where a stream ends twice", async () => {
    const policy: PolicyInput = { version: 1, limits: [{ name: "tokens", per: [], unit: "tokens", quota: 1_000 }] };
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({ policy, store: memoryStore(), onEvent: (event) => events.push(event) });
    const response = { usage: new Usage({ inputTokens: 10, outputTokens: 5 }), output: outputOf(ANSWER) };
    const twice = {
      getResponse: async () => response,
      async *getStreamedResponse(_: unknown) {
        yield { type: "response_done", response };
        yield { type: "response_done", response };
      },
    };
    let read = 0;
    for await (const _ of openaiAgentsGuard(limiter).model(twice).getStreamedResponse({})) read++;
    assert.deepEqual([read, (await limiter.usage())[0]?.used, events], [2, 15, []]);
  });

  it("is estimated, so that only two of five answers pass, where a server of chat completions reports none", async () => {
    const server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const { stream } = JSON.parse(body) as { readonly stream?: boolean };
      const told = { id: "c1", created: 1, model: "gpt-served" };
      const message = { role: "assistant", content: ANSWER };
      if (stream !== true) {
        response.setHeader("content-type", "application/json");
        const choices = [{ index: 0, finish_reason: "stop", message }];
        response.end(JSON.stringify({ ...told, object: "chat.completion", choices }));
        return;
      }
      response.setHeader("content-type", "text/event-stream");
      const choices = [{ index: 0, finish_reason: "stop", delta: message }];
      response.end(
        `data: ${JSON.stringify({ ...told, object: "chat.completion.chunk", choices })}\n\ndata: [DONE]\n\n`,
      );
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    after(() => server.close());
    const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const provider = new OpenAIProvider({ apiKey: "none", baseURL, useResponses: false });
    const policy: PolicyInput = {
      version: 1,
      tools: { model: { cost: { tokens: 4_000 } } },
      limits: [{ name: "tokens", per: [], unit: "tokens", quota: 10_000 }],
    };
    for (const isStreamed of [false, true]) {
      const limiter = createLimiter({ policy, store: memoryStore() });
      const model = openaiAgentsGuard(limiter).model(await provider.getModel("gpt-asked"));
      const agent = new Agent({ name: "talker", model });
      const answers: unknown[] = [];
      for (let i = 0; i < 5; i++) {
        if (!isStreamed) {
          answers.push((await run(agent, "Hi.")).finalOutput);
          continue;
        }
        const streamed = await run(agent, "Hi.", { stream: true });
        await streamed.completed;
        answers.push(streamed.finalOutput);
      }
      assert.equal(answers.filter((answer) => answer === ANSWER).length, 2);
      assert.equal((await limiter.usage())[0]?.used, 8_000);
    }
  });
});
