// What the AI SDK's models report about their answers: versions 6 and 7, whole and streamed, and the flat counts of version 2
// of the models' interface.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as seven from "ai";
import { MockLanguageModelV4 } from "ai/test";
import * as six from "ai6";
import { MockLanguageModelV3 } from "ai6/test";
import { createLimiter, type Limiter, type LimiterEvent } from "tollgate";
import { aiSdkGuard, type ModelUsage } from "tollgate/adapters/ai-sdk";
import { memoryStore } from "tollgate/stores/memory";
import { ANSWER, type AskModel, type Counts, testUsage } from "./usage-cases.ts";

const STOP = { unified: "stop", raw: undefined };

/** Counts by parts, as version 3 and 4 of the models' interface have them. */
function byParts(counts: Counts | null): unknown {
  if (counts === null) return undefined;
  const { input, output, cacheRead, cacheWrite, reasoning } = counts;
  return { inputTokens: { total: input, cacheRead, cacheWrite }, outputTokens: { total: output, reasoning } };
}

/** Flat counts, as version 2 has them. */
function flat(counts: Counts | null): unknown {
  if (counts === null) return undefined;
  const { input, output, total, cacheRead, reasoning } = counts;
  return {
    inputTokens: input,
    outputTokens: output,
    totalTokens: total,
    cachedInputTokens: cacheRead,
    reasoningTokens: reasoning,
  };
}

function partsOf(text: string, usage: unknown, finishReason: unknown = STOP): object[] {
  return [
    { type: "stream-start", warnings: [] },
    { type: "response-metadata", modelId: "gpt-served" },
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: text },
    { type: "text-end", id: "t" },
    { type: "finish", finishReason, usage },
  ];
}

const content = (text: string) => [{ type: "text", text }];
const RESPONSE = { modelId: "gpt-served" };

/** Asks through the SDK's own middleware. The SDK itself does sums, so that it takes what is a number alone. */
function throughSdk(version: 6 | 7, isStreamed: boolean): AskModel {
  const { generateText, streamText, wrapLanguageModel } = version === 7 ? seven : (six as unknown as typeof seven);
  const Mock = version === 7 ? MockLanguageModelV4 : MockLanguageModelV3;
  return async (limiter, counts, { text = ANSWER, ...options }) => {
    const usage = byParts(counts ?? {});
    const answering = new Mock({
      doGenerate: async () => ({ content: content(text), finishReason: STOP, usage, warnings: [], response: RESPONSE }),
      doStream: async () => ({ stream: ReadableStream.from(partsOf(text, usage)) }),
    } as never);
    const middleware = aiSdkGuard(limiter).model(options as object) as never;
    const asked = { model: wrapLanguageModel({ model: answering as never, middleware }), prompt: "Hi." };
    return isStreamed ? await streamText(asked).text : (await generateText(asked)).text;
  };
}

/** Asks the middleware as the SDK does, with whatever a model may answer. */
function direct(usageOf: (counts: Counts | null) => unknown, isStreamed: boolean): AskModel {
  return async (limiter, counts, { text = ANSWER, ...options }) => {
    const { wrapGenerate, wrapStream } = aiSdkGuard(limiter).model(options as object);
    const usage = usageOf(counts);
    if (!isStreamed) {
      const doGenerate = async () => ({ content: content(text), usage });
      return (await wrapGenerate({ doGenerate, params: {} })).content[0].text;
    }
    const doStream = async () => ({ stream: ReadableStream.from(partsOf(text, usage)) });
    const { stream } = await wrapStream({ doStream, params: {} });
    let read = "";
    for await (const { delta = "" } of stream) read += delta;
    return read;
  };
}

for (const isStreamed of [false, true]) {
  const how = isStreamed ? "streamed" : "whole";
  for (const version of [6, 7] as const) {
    describe(`what the AI SDK ${version} reports about an answer: ${how}`, () => {
      testUsage({ ask: throughSdk(version, isStreamed), hasTotal: false, keepsGarbage: false });
    });
  }
  describe(`what a model of the AI SDK reports by parts: ${how}`, () => {
    testUsage({ ask: direct(byParts, isStreamed), hasTotal: false, keepsGarbage: true });
  });
  describe(`what a model of the AI SDK reports flat: ${how}`, () => {
    testUsage({ ask: direct(flat, isStreamed), hasTotal: true, keepsGarbage: true });
  });
}

describe("usage of the AI SDK", () => {
  const MONEY = { version: 1, limits: [{ name: "money", per: [], unit: "usd_micros", quota: 1_000_000 }] } as const;

  it("is charged as through a model of version 2", async () => {
    const policy = { version: 1, limits: [{ name: "tokens", per: [], unit: "tokens", quota: 10_000 }] } as const;
    const limiter = createLimiter({ policy, store: memoryStore() });
    const usage = { inputTokens: 1_200, outputTokens: 300, totalTokens: 1_500 };
    const model = {
      specificationVersion: "v2",
      provider: "openai",
      modelId: "gpt-asked",
      supportedUrls: {},
      doGenerate: async () => ({
        content: [{ type: "text", text: ANSWER }],
        finishReason: "stop",
        usage,
        warnings: [],
      }),
      doStream: async () => ({ stream: ReadableStream.from(partsOf(ANSWER, usage, "stop")) }),
    };
    for (const { wrapLanguageModel, generateText, streamText } of [six as unknown as typeof seven, seven]) {
      const wrapped = wrapLanguageModel({ model: model as never, middleware: aiSdkGuard(limiter).model() as never });
      await generateText({ model: wrapped, prompt: "Hi." });
      await streamText({ model: wrapped, prompt: "Hi." }).text;
    }
    assert.equal((await limiter.usage())[0]?.used, 6_000);
  });

  it("is charged once where a stream has two last parts", async () => {
    const policy = { version: 1, limits: [{ name: "tokens", per: [], unit: "tokens", quota: 1_000 }] } as const;
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({ policy, store: memoryStore(), onEvent: (event) => events.push(event) });
    const parts = partsOf(ANSWER, byParts({ input: 10, output: 5 }));
    const twice = ReadableStream.from([...parts, ...parts.slice(-1)]);
    const { stream } = await aiSdkGuard(limiter)
      .model()
      .wrapStream({ doStream: async () => ({ stream: twice }), params: {} });
    let read = 0;
    for await (const _ of stream) read++;
    assert.deepEqual([read, (await limiter.usage())[0]?.used, events], [parts.length + 1, 15, []]);
  });

  it("is estimated where a stream ends without its last part, and where that part has none", async () => {
    const policy = {
      version: 1,
      tools: { model: { cost: { tokens: 30 } } },
      limits: [{ name: "tokens", per: [], unit: "tokens", quota: 1_000 }],
    } as const;
    const limiter = createLimiter({ policy, store: memoryStore() });
    const { wrapStream } = aiSdkGuard(limiter).model();
    for (const parts of [partsOf(ANSWER, null).slice(0, -1), partsOf(ANSWER, null), [{ type: "finish" }], []]) {
      const { stream } = await wrapStream({
        doStream: async () => ({ stream: ReadableStream.from(parts) }),
        params: {},
      });
      let read = 0;
      for await (const _ of stream) read++;
      assert.equal(read, parts.length);
    }
    assert.equal((await limiter.usage())[0]?.used, 120);
  });

  const usage = {
    inputTokens: { total: 1_200, noCache: 150, cacheRead: 1_000, cacheWrite: 50 },
    outputTokens: { total: 300, text: 200, reasoning: 100 },
  };
  const REPORTED: ModelUsage = {
    input: 1_200,
    output: 300,
    cacheRead: 1_000,
    cacheWrite: 50,
    reasoning: 100,
    model: "gpt-served",
    provider: "openai",
  };
  const guardedBy = (limiter: Limiter, seen: ModelUsage[]) =>
    aiSdkGuard(limiter).model({ costOf: (each) => ({ usd_micros: seen.push(each) }) }) as never;

  for (const version of [6, 7] as const) {
    const { generateText, streamText, wrapLanguageModel } = version === 7 ? seven : (six as unknown as typeof seven);
    const Mock = version === 7 ? MockLanguageModelV4 : MockLanguageModelV3;
    it(`reaches costOf with everything reported, in version ${version}`, async () => {
      const limiter = createLimiter({ policy: MONEY, store: memoryStore() });
      const seen: ModelUsage[] = [];
      const named = { modelId: "gpt-asked", provider: "openai" };
      const answering = (response?: object) =>
        new Mock({
          ...named,
          doGenerate: async () => ({ content: content(ANSWER), finishReason: STOP, usage, warnings: [], response }),
          doStream: async () => ({
            stream: ReadableStream.from(partsOf(ANSWER, usage).filter((_, i) => i !== 1 || response !== undefined)),
          }),
        } as never) as never;
      for (const response of [RESPONSE, undefined]) {
        const model = wrapLanguageModel({ model: answering(response), middleware: guardedBy(limiter, seen) });
        await generateText({ model, prompt: "Hi." });
        await streamText({ model, prompt: "Hi." }).text;
      }
      const asked = { ...REPORTED, model: "gpt-asked" };
      assert.deepEqual(seen, [REPORTED, REPORTED, asked, asked]);
    });
  }

  it("reaches costOf with undefined for missing parts, and the total of the others", async () => {
    const limiter = createLimiter({ policy: MONEY, store: memoryStore() });
    const seen: ModelUsage[] = [];
    const { wrapGenerate } = aiSdkGuard(limiter).model({ costOf: (each) => ({ usd_micros: seen.push(each) }) });
    const none = {
      cacheRead: undefined,
      cacheWrite: undefined,
      reasoning: undefined,
      model: undefined,
      provider: undefined,
    };
    for (const [reported, expected] of [
      [{ inputTokens: { total: 5 }, outputTokens: { total: 7 } }, none],
      [
        { inputTokens: { noCache: 3, cacheRead: 2 }, outputTokens: { text: 6, reasoning: 1 } },
        { cacheRead: 2, reasoning: 1 },
      ],
      [
        { inputTokens: 5, outputTokens: 7, cachedInputTokens: 4, reasoningTokens: 6 },
        { cacheRead: 4, reasoning: 6 },
      ],
      [{ inputTokens: 5, totalTokens: 12 }, none],
    ]) {
      await wrapGenerate({ doGenerate: async () => ({ content: content(ANSWER), usage: reported }), params: {} });
      assert.deepEqual(seen.pop(), { input: 5, output: 7, ...none, ...expected });
    }
  });

  it("prices cached tokens with costOf", async () => {
    const limiter = createLimiter({ policy: MONEY, store: memoryStore() });
    const costOf = ({ input, output, cacheRead = 0, cacheWrite = 0 }: ModelUsage) => {
      const fresh = input - cacheRead - cacheWrite;
      return { usd_micros: Math.ceil(fresh * 2.5 + cacheRead * 1.25 + cacheWrite * 3 + output * 10) };
    };
    const { wrapGenerate } = aiSdkGuard(limiter).model({ costOf });
    await wrapGenerate({ doGenerate: async () => ({ content: content(ANSWER), usage }), params: {} });
    assert.equal((await limiter.usage())[0]?.used, 150 * 2.5 + 1_000 * 1.25 + 50 * 3 + 300 * 10);
  });
});
