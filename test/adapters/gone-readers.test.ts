// Streams whose readers are gone are cancelled, and their holds end. The tests collect garbage to find unreachable streams.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as seven from "ai";
import { MockLanguageModelV4 } from "ai/test";
import * as six from "ai6";
import { MockLanguageModelV3 } from "ai6/test";
import { createLimiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { openaiAgentsGuard } from "tollgate/adapters/openai-agents";
import { memoryStore } from "tollgate/stores/memory";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const POLICY: PolicyInput = {
  version: 1,
  tools: { model: { cost: { tokens: 30 } }, search: { cost: { tokens: 30 } } },
  limits: [
    { name: "at-once", per: [], algorithm: "concurrency", quota: 1 },
    { name: "tokens", per: [], unit: "tokens", quota: 100 },
  ],
};

function setUp() {
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({ policy: POLICY, store: memoryStore(), onEvent: (event) => events.push(event) });
  const used = async () => (await limiter.usage()).map((usage) => usage.used);
  /** Collects garbage until no call runs. */
  const settled = async () => {
    for (let i = 0; i < 40 && (await used())[0] !== 0; i++) {
      for (let turns = 0; turns < 20; turns++) await turn();
      collect();
    }
    return used();
  };
  const reasons = () => events.map((event) => (event.type === "hold.limit_reached" ? event.reason : event.type));
  return { limiter, reasons, used, settled };
}

/** A long stream of a provider, which remembers how often it was cancelled. */
function long() {
  const cancelled: unknown[] = [];
  let pulls = 0;
  const parts = [
    { type: "stream-start", warnings: [] },
    { type: "text-start", id: "t" },
  ];
  const usage = { inputTokens: { total: 5 }, outputTokens: { total: 7 } };
  const last = { type: "finish", finishReason: { unified: "stop" }, usage };
  const stream = new ReadableStream({
    async pull(controller) {
      await turn();
      if (pulls > PARTS) controller.close();
      else if (pulls === PARTS) controller.enqueue(last);
      else controller.enqueue(parts[pulls] ?? { type: "text-delta", id: "t", delta: "x".repeat(10_000) });
      pulls++;
    },
    cancel(reason) {
      cancelled.push(reason);
    },
  });
  return { stream, cancelled };
}

/** More than all buffers on the way to a reader take. */
const PARTS = 150;

const versions = { 6: six as unknown as typeof seven, 7: seven };
for (const version of [6, 7] as const) {
  const { streamText, wrapLanguageModel } = versions[version];
  const Mock = version === 7 ? MockLanguageModelV4 : MockLanguageModelV3;

  function streaming() {
    const set = setUp();
    const { stream, cancelled } = long();
    const answering = new Mock({ doStream: async () => ({ stream }) } as never);
    const middleware = aiSdkGuard(set.limiter).model() as never;
    const model = wrapLanguageModel({ model: answering as never, middleware });
    const ask = (more: object = {}) => streamText({ model, prompt: "Hi.", ...more });
    return { ...set, cancelled, ask };
  }

  // Version 6 reads its provider's stream to the end by itself, even if the result is not read: it cancels nothing.
  const isCancelled = version === 7;
  const ended = isCancelled ? [0, 30] : [0, 12];
  const isToldOf = (cancelled: readonly unknown[]) => assert.equal(cancelled.length, isCancelled ? 1 : 0);

  describe(`a stream of the AI SDK ${version} without an abortSignal`, () => {
    it("ends when its HTTP client disconnects", async () => {
      const { ask, settled, cancelled, used } = streaming();
      const server = createServer((_request, response) => ask().pipeTextStreamToResponse(response));
      await once(server.listen(0, "127.0.0.1"), "listening");
      const request = get({ port: (server.address() as AddressInfo).port });
      const [response] = await once(request, "response");
      await once(response, "data");
      assert.deepEqual(await used(), [1, 30]);
      response.destroy();
      await once(response, "close");
      assert.deepEqual(await settled(), ended);
      isToldOf(cancelled);
      server.close();
    });

    it("ends when its reader breaks off", async () => {
      const { ask, settled, cancelled } = streaming();
      const read = async () => {
        for await (const _ of ask().textStream) break;
      };
      await read();
      assert.deepEqual(await settled(), ended);
      isToldOf(cancelled);
    });

    it("ends when its reader stops and forgets it", async () => {
      const { ask, settled, cancelled, reasons } = streaming();
      const read = async () => {
        const reader = ask().textStream.getReader();
        await reader.read();
      };
      await read();
      assert.deepEqual(await settled(), ended);
      isToldOf(cancelled);
      assert.deepEqual(reasons(), isCancelled ? ["reader-gone"] : []);
    });

    it("ends when one half of a tee is cancelled and both are forgotten", async () => {
      const { ask, settled, cancelled } = streaming();
      const read = async () => {
        const [one, other] = ask().textStream.tee();
        // It resolves when the other half is cancelled, too.
        void one.cancel();
        await other.getReader().read();
      };
      await read();
      assert.deepEqual(await settled(), ended);
      isToldOf(cancelled);
    });
  });

  describe(`a stream of the AI SDK ${version} with an abortSignal`, () => {
    it("ends when the signal is aborted while the stream is not read", async () => {
      const { ask, cancelled, used, reasons } = streaming();
      const stop = new AbortController();
      const reader = ask({ abortSignal: stop.signal }).textStream.getReader();
      await reader.read();
      assert.deepEqual(await used(), [1, 30]);
      stop.abort();
      await turn();
      assert.deepEqual([await used(), cancelled.length, reasons()], [[0, 30], 1, []]);
      await reader.cancel();
    });
  });
}

describe("a stream of a model's middleware", () => {
  const open = async (abortSignal?: AbortSignal) => {
    const set = setUp();
    const { stream: source, cancelled } = long();
    const { wrapStream } = aiSdkGuard(set.limiter).model();
    const { stream } = await wrapStream({ doStream: async () => ({ stream: source }), params: { abortSignal } });
    return { ...set, cancelled, stream: stream as ReadableStream };
  };

  it("ends when it is cancelled, with the reason for the provider", async () => {
    const { stream, cancelled, used, reasons } = await open();
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel("enough");
    assert.deepEqual([await used(), cancelled, reasons()], [[0, 30], ["enough"], []]);
  });

  it("ends when it is never read, and nothing holds it but a signal that lives on", async () => {
    const stop = new AbortController();
    const forget = async () => {
      const { settled, cancelled, reasons } = await open(stop.signal);
      return { settled, cancelled, reasons };
    };
    const { settled, cancelled, reasons } = await forget();
    assert.deepEqual(await settled(), [0, 30]);
    assert.deepEqual([cancelled.length, reasons(), stop.signal.aborted], [1, ["reader-gone"], false]);
  });

  it("ends with the reason of its signal, and never starts after an earlier abort", async () => {
    const stop = new AbortController();
    const { stream, cancelled, used } = await open(stop.signal);
    const reader = stream.getReader();
    await reader.read();
    const next = reader.read();
    stop.abort("enough");
    await assert.rejects(next, (error) => error === "enough");
    await turn();
    assert.deepEqual([await used(), cancelled], [[0, 30], ["enough"]]);
    await assert.rejects(open(stop.signal), (error) => error === "enough");
  });

  it("fetches only what its reader asks for, and ends with its last part", async () => {
    const { limiter, used } = setUp();
    const { wrapStream } = aiSdkGuard(limiter).model();
    let pulled = 0;
    const usage = { inputTokens: { total: 5 }, outputTokens: { total: 7 } };
    const parts = [
      { type: "text-delta", delta: "Hello." },
      { type: "finish", usage },
    ];
    const source = new ReadableStream(
      { pull: (controller) => controller.enqueue(parts[pulled++] ?? assert.fail("fetched too much")) },
      { highWaterMark: 0 },
    );
    const { stream } = await wrapStream({ doStream: async () => ({ stream: source }), params: {} });
    await turn();
    assert.equal(pulled, 0);
    const reader = (stream as ReadableStream).getReader();
    await reader.read();
    assert.deepEqual([pulled, await used()], [1, [1, 30]]);
    await reader.read();
    await turn();
    assert.deepEqual(await used(), [0, 12]);
  });

  it("is kept alive while it is read, and ends a lease after its reader has stopped", async (test) => {
    let passedMs = 0;
    test.mock.method(performance, "now", () => passedMs);
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const advance = async (ms: number) => {
      for (let left = ms; left > 0; left -= 1_000) {
        passedMs += 1_000;
        test.mock.timers.tick(1_000);
        await turn();
      }
    };
    const { stream, used, reasons } = await open();
    const reader = stream.getReader();
    for (let minute = 0; minute < 5; minute++) {
      await reader.read();
      await advance(60_000);
    }
    assert.deepEqual([await used(), reasons()], [[1, 30], []]);
    await advance(60_000);
    assert.deepEqual([await used(), reasons()], [[1, 30], []]);
    await advance(60_000);
    assert.deepEqual([await used(), reasons()], [[0, 30], ["unread"]]);
    await reader.read();
    await reader.cancel();
    assert.deepEqual(await used(), [0, 30]);
  });
});

describe("a generator of a tool of the AI SDK", () => {
  const open = () => {
    const set = setUp();
    let isOpen = true;
    const { search } = aiSdkGuard(set.limiter).tools({
      search: {
        async *execute(_input: object, _options: object) {
          try {
            for (;;) yield 1;
          } finally {
            isOpen = false;
          }
        },
      },
    });
    return { ...set, search, isOpen: () => isOpen };
  };

  it("ends when nothing holds it", async () => {
    const { search, settled, isOpen, reasons } = open();
    const read = async () => {
      await search.execute({}, { toolCallId: "c" }).next();
    };
    await read();
    assert.deepEqual(await settled(), [0, 30]);
    assert.deepEqual([isOpen(), reasons()], [false, ["reader-gone"]]);
  });

  it("ends when it is aborted while it is not read", async () => {
    const { search, used, isOpen } = open();
    const stop = new AbortController();
    const values = search.execute({}, { toolCallId: "c", abortSignal: stop.signal });
    await values.next();
    stop.abort();
    await turn();
    assert.deepEqual([await used(), isOpen()], [[0, 30], false]);
  });
});

describe("a stream of a model of the OpenAI Agents SDK", () => {
  const open = () => {
    const set = setUp();
    let isOpen = true;
    const model = openaiAgentsGuard(set.limiter).model({
      getResponse: async () => assert.fail(),
      async *getStreamedResponse(_request: object) {
        try {
          for (;;) yield { type: "output_text_delta", delta: "x" };
        } finally {
          isOpen = false;
        }
      },
    });
    return { ...set, model, isOpen: () => isOpen };
  };

  it("ends when nothing holds it", async () => {
    const { model, settled, isOpen, reasons } = open();
    const read = async () => {
      await model.getStreamedResponse({}).next();
    };
    await read();
    assert.deepEqual(await settled(), [0, 30]);
    assert.deepEqual([isOpen(), reasons()], [false, ["reader-gone"]]);
  });

  it("ends when its reader breaks off, or is aborted while it reads nothing", async () => {
    const { model, used, isOpen } = open();
    for await (const _ of model.getStreamedResponse({})) break;
    assert.deepEqual([await used(), isOpen()], [[0, 30], false]);
    const stop = new AbortController();
    const aborted = open();
    await aborted.model.getStreamedResponse({ signal: stop.signal } as object).next();
    stop.abort();
    await turn();
    assert.deepEqual([await aborted.used(), aborted.isOpen()], [[0, 30], false]);
  });
});
