// The AI SDK, 6 and 7, with its own mock models.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as seven from "ai";
import * as six from "ai6";
import { createLimiter, LimitExceededError, MisuseError, type PolicyInput } from "tollgate";
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { memoryStore } from "tollgate/stores/memory";
import { z } from "zod";
import { wideRunOnly } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { POLICY, QUOTA, runAgents } from "./agents.ts";
import { ANSWER, partsOf, runawayModel } from "./ai-sdk-model.ts";

const server = await anyRedis();
const WORKER = new URL("./ai-sdk-worker.ts", import.meta.url);

describe("a runaway model in three processes on one Redis", () => {
  const ways = ["calls", "parallel calls", "generator", "stream", "parallel stream"];
  for (const way of ways.flatMap((way) => [`${way} of 6`, `${way} of 7`])) {
    const options = way === "calls of 6" || way === "parallel stream of 7" ? {} : wideRunOnly;
    it(`is stopped and answers: ${way}`, options, async () => {
      const { agents, calls } = await runAgents(WORKER, server.url, way);
      assert.equal(calls, QUOTA);
      for (const { answer, results } of agents) {
        assert.equal(answer, ANSWER);
        assert.ok(results.some((text) => /Limit reached \(tool-per-session\)/.test(text)));
      }
    });
  }
});

const versions = { 6: six as unknown as typeof seven, 7: seven };
for (const version of [6, 7] as const) {
  const { generateText, streamText, stepCountIs, tool, wrapLanguageModel } = versions[version];

  function agentOf(
    policy: PolicyInput,
    execute: (input: object, options: { abortSignal?: AbortSignal }) => unknown,
    more = {},
  ) {
    const limiter = createLimiter({ policy, store: memoryStore() });
    const bound = limiter.for({ session: "s1" });
    const guard = aiSdkGuard(bound);
    const { model, read } = runawayModel(version);
    const asked = {
      model: model as seven.LanguageModel,
      prompt: "Find it.",
      stopWhen: stepCountIs(20),
      tools: guard.tools({ search: tool({ inputSchema: z.object({ query: z.string() }), execute: execute as never }) }),
      prepareStep: guard.prepareStep,
      ...more,
    };
    const used = async () => (await limiter.usage({ session: "s1", tool: "search" })).map((usage) => usage.used);
    return { asked, guard, read, used, limiter: bound, model };
  }
  const held = (onError: "charge" | "refund"): PolicyInput => ({
    version: 1,
    onError,
    tools: { search: { cost: { credits: 4 } } },
    limits: [{ name: "credits", per: ["session"], unit: "credits", quota: 100 }],
  });
  /** Where the tool says it, and the policy the opposite. */
  const heldByTool = (onError: "charge" | "refund"): PolicyInput => ({
    ...held(onError === "charge" ? "refund" : "charge"),
    tools: { search: { cost: { credits: 4 }, onError } },
  });

  describe(`the AI SDK ${version}: tools`, () => {
    it("hands the model the denial, and asks it for one last answer without tools", async () => {
      const { asked, read } = agentOf(POLICY, () => "a hit");
      const { text, steps } = await generateText(asked);
      assert.equal(text, ANSWER);
      assert.equal(steps.length, QUOTA + 3 + 1);
      const denial =
        "Limit reached (tool-per-session), call denied: this tool has no calls left in this session: all 10 are used. Do not call it again; other tools are still available.";
      assert.equal(read.at(-1), version === 7 ? `LimitExceededError: ${denial}` : denial);
    });

    it("ends the loop at once with isSpent", async () => {
      const { asked, guard } = agentOf(POLICY, () => "a hit", { prepareStep: undefined });
      const { text, steps } = await generateText({ ...asked, stopWhen: [stepCountIs(20), guard.isSpent] });
      assert.deepEqual([text, steps.length], ["", QUOTA + 3]);
    });

    const ONE: PolicyInput = { version: 1, limits: [{ name: "one", per: ["session", "tool"], quota: 1 }] };
    const LAST = {
      type: "text",
      text: "This tool has no calls left in this session. Do not call it again; other tools are still available.",
    };
    type Own = (options: { output: unknown }) => unknown;
    /** Runs a tool once near its limit: what the program gets as its result, and what the model reads. */
    async function runOnce(way: "generateText" | "streamText", result: unknown, toModelOutput?: Own) {
      const { asked, read, guard } = agentOf(ONE, () => result);
      const search = { inputSchema: z.object({ query: z.string() }), execute: () => result, toModelOutput };
      const tools = guard.tools({ search: toModelOutput === undefined ? tool(search as never) : (search as never) });
      const options = { ...asked, tools, prepareStep: undefined as never, stopWhen: stepCountIs(2) };
      const steps = await (way === "streamText" ? streamText(options).steps : (await generateText(options)).steps);
      return { output: steps[0]?.toolResults[0]?.output as unknown, read: read.at(-1) };
    }

    for (const way of ["generateText", "streamText"] as const) {
      it(`leaves every result as it is, and shows the model a notice beside it: ${way}`, async () => {
        for (const result of ['{"c":3}', '[1,"x"]', "<a>1</a>", "a,b\n1,2", "aGk=", "null", "a hit"]) {
          const { output, read } = await runOnce(way, result);
          assert.equal(output, result);
          assert.deepEqual(JSON.parse(read ?? ""), [{ type: "text", text: result }, LAST]);
        }
        for (const result of [{ c: 3 }, [1, "x"], 7, null]) {
          const { output, read } = await runOnce(way, result);
          assert.deepEqual(output, result);
          assert.deepEqual(JSON.parse(read ?? ""), [{ type: "text", text: JSON.stringify(result) }, LAST]);
        }
        const empty = await runOnce(way, "");
        assert.deepEqual([empty.output, JSON.parse(empty.read ?? "")], ["", [LAST]]);
        assert.deepEqual(JSON.parse((await runOnce(way, undefined)).read ?? ""), [
          { type: "text", text: "null" },
          LAST,
        ]);
      });
    }

    it("shows it after the tool's own output, unless that is an error", async () => {
      const image = { type: "media", data: "aGk=", mediaType: "image/png" };
      const cases: [own: object, read: unknown][] = [
        [{ type: "text", value: "short" }, [{ type: "text", text: "short" }, LAST]],
        [{ type: "json", value: [1] }, [{ type: "text", text: "[1]" }, LAST]],
        [{ type: "content", value: [{ type: "text", text: "a" }] }, [{ type: "text", text: "a" }, LAST]],
        [{ type: "error-text", value: "no" }, "no"],
        [{ type: "error-json", value: [1] }, [1]],
      ];
      for (const [own, expected] of cases) {
        const { output, read } = await runOnce("generateText", image, async () => own);
        assert.deepEqual(output, image);
        assert.deepEqual(typeof expected === "string" ? read : JSON.parse(read ?? ""), expected);
      }
    });

    it("shows the tool's own output unchanged while much is left", async () => {
      const { asked, read } = agentOf(POLICY, () => ({ at: new Date(0), none: undefined }));
      await generateText({ ...asked, stopWhen: stepCountIs(2) });
      assert.equal(read.at(-1), '{"at":"1970-01-01T00:00:00.000Z"}');
    });

    it("keeps a result that cannot be JSON", async () => {
      const whole: Record<string, unknown> = {};
      whole.whole = whole;
      for (const result of [5n, whole]) {
        for (const policy of [ONE, POLICY]) {
          const { guard, asked } = agentOf(policy, () => result);
          const tools = guard.tools({
            search: tool({ inputSchema: z.object({ query: z.string() }), execute: () => result }),
          });
          const { toolResults } = await generateText({ ...asked, tools, stopWhen: stepCountIs(1) });
          assert.equal(toolResults[0]?.output, result);
        }
      }
    });

    it("runs a tool of a class as its own", async () => {
      class Search {
        readonly description = "finds";
        readonly inputSchema = seven.zodSchema(z.object({ query: z.string() }));
        readonly #found = "a hit";
        get strict() {
          return true;
        }
        execute(): unknown {
          return this.#found;
        }
      }
      class Pages extends Search {
        override async *execute() {
          yield super.execute();
        }
      }
      for (const Tool of [Search, Pages]) {
        const { guard, asked, read } = agentOf(POLICY, () => "");
        const tools = guard.tools({ search: new Tool() as never });
        assert.equal((tools.search as Search).strict, true);
        await generateText({ ...asked, tools, stopWhen: stepCountIs(2) });
        assert.equal(read.at(-1), "a hit");
      }
    });

    it("shows one notice for calls that are made together: the last", async () => {
      const { guard, asked } = agentOf(
        { version: 1, limits: [{ name: "ten", per: ["session"], quota: 5, notice: { at: 0.1 } }] },
        () => "",
      );
      const { model, read } = runawayModel(version, 4);
      const tools = guard.tools({
        search: tool({ inputSchema: z.object({ query: z.string() }), execute: () => "{}" }),
      });
      await generateText({ ...asked, model: model as seven.LanguageModel, tools, stopWhen: stepCountIs(2) });
      const notice = "Only 1 of 5 calls is left in this session. Finish before it is used up.";
      const parts = [
        { type: "text", text: "{}" },
        { type: "text", text: notice },
      ];
      assert.deepEqual(read, ["{}", "{}", "{}", JSON.stringify(parts)]);
    });

    it("shows no notice of another run whose calls have equal ids", async () => {
      const limits: PolicyInput["limits"] = [
        { name: "one", per: ["session", "tool"], quota: 1, quotas: { tool: { other: 50 } } },
      ];
      const { guard } = agentOf({ version: 1, limits }, () => "");
      const both = guard.tools({ search: { execute: () => "{}" }, other: { execute: () => "{}" } } as never) as Record<
        string,
        {
          execute: (input: object, options: object) => Promise<string>;
          toModelOutput: (options: object) => Promise<object>;
        }
      >;
      const inputs = [{}, {}];
      await both.search?.execute(inputs[0] as object, { toolCallId: "c", messages: [] });
      await both.other?.execute(inputs[1] as object, { toolCallId: "c", messages: [] });
      const read = await both.other?.toModelOutput({ toolCallId: "c", input: inputs[1], output: "{}" });
      assert.deepEqual(read, { type: "text", value: "{}" });
    });

    /** Answers with these parts once it has no tools. */
    function endingWith(content: object[], unified = "stop") {
      const { model } = runawayModel(version);
      const [generate, stream] = [model.doGenerate.bind(model), model.doStream.bind(model)];
      const finishReason = { unified, raw: undefined };
      return Object.assign(model, {
        doGenerate: async (options: { tools?: unknown[] }) => {
          const answer = await generate(options as never);
          return options.tools?.length ? answer : { ...answer, content, finishReason };
        },
        doStream: async (options: { tools?: unknown[] }) =>
          options.tools?.length
            ? stream(options as never)
            : { stream: ReadableStream.from(partsOf(content, finishReason)) },
      }) as unknown as seven.LanguageModel;
    }

    const CALL = { type: "tool-call", toolCallId: "late", toolName: "search", input: '{"query":"again"}' };
    const DENIAL = /^Limit reached \(tool-per-session\), call denied: this tool has no calls left/;
    for (const [what, content, unified, expected] of [
      ["nothing", [], "stop", DENIAL],
      ["an empty text", [{ type: "text", text: " \n" }], "stop", DENIAL],
      ["a call of a tool", [CALL], "tool-calls", DENIAL],
      ["a call beside a text", [{ type: "text", text: "So far: 1." }, CALL], "tool-calls", /^So far: 1\.$/],
      ["a text", [{ type: "text", text: ANSWER }], "stop", new RegExp(`^${ANSWER}$`)],
    ] as const) {
      it(`ends with a text where the last answer is ${what}`, async () => {
        const { asked } = agentOf(POLICY, () => "a hit", { model: endingWith([...content], unified) });
        const generated = await generateText(asked);
        assert.match(generated.text.trim(), expected);
        assert.deepEqual([generated.finishReason, generated.steps.at(-1)?.toolCalls.length], ["stop", 0]);
        const streaming = agentOf(POLICY, () => "a hit", { model: endingWith([...content], unified) });
        const streamed = streamText(streaming.asked);
        assert.match((await streamed.text).trim(), expected);
        assert.deepEqual([await streamed.finishReason, (await streamed.steps).length], ["stop", QUOTA + 3 + 1]);
      });
    }

    it("charges or refunds a tool that throws, as the policy or its tool entry says", async () => {
      for (const [policy, used] of [
        [held("charge"), 4],
        [held("refund"), 0],
        [heldByTool("charge"), 4],
        [heldByTool("refund"), 0],
      ] as const) {
        const agent = agentOf(policy, () => {
          throw new Error("no network");
        });
        await generateText({ ...agent.asked, stopWhen: stepCountIs(2) });
        assert.match(agent.read.at(-1) ?? "", /no network/);
        assert.deepEqual(await agent.used(), [used * 2]);
      }
    });

    it("settles the hold of an aborted run", async () => {
      const stop = new AbortController();
      const agent = agentOf(held("refund"), async (_input, { abortSignal }) => {
        stop.abort();
        await sleep(1_000, undefined, { signal: abortSignal });
      });
      await assert.rejects(generateText({ ...agent.asked, abortSignal: stop.signal }));
      assert.deepEqual(await agent.used(), [0]);
    });

    it("settles the hold of a generator that is not read to its end", async () => {
      const { guard, used } = agentOf(held("refund"), () => "");
      const { search } = guard.tools({
        search: {
          async *execute(_input: object, _options: object) {
            yield 1;
            yield 2;
          },
        },
      });
      for await (const value of search.execute({}, { toolCallId: "c" })) {
        assert.equal(value, 1);
        assert.deepEqual(await used(), [4]);
        break;
      }
      assert.deepEqual(await used(), [0]);
    });

    it("gives the last of several results where a plain function returns them", async () => {
      const agent = agentOf(POLICY, () => ReadableStream.from(["first", "last"]));
      await generateText({ ...agent.asked, stopWhen: stepCountIs(2) });
      assert.equal(agent.read.at(-1), "last");
    });

    it("fails the run, not the tool, when a dimension is missing", async () => {
      const policy: PolicyInput = { version: 1, limits: [{ name: "per-user", per: ["user"], quota: 5 }] };
      let runs = 0;
      const agent = agentOf(policy, () => runs++);
      await assert.rejects(generateText(agent.asked), (error) => {
        return (
          MisuseError.isInstance(error) && error.code === "missing-dimension" && /limiter\.for/.test(error.message)
        );
      });
      assert.equal(runs, 0);
    });

    it("does not touch tools that run elsewhere", () => {
      const { guard } = agentOf(POLICY, () => "");
      const elsewhere = { inputSchema: z.object({}) };
      assert.equal(guard.tools({ elsewhere }).elsewhere, elsewhere);
    });
  });

  describe(`the AI SDK ${version}: the model`, () => {
    const TOKENS: PolicyInput = {
      version: 1,
      tools: { model: { cost: { tokens: 30 } } },
      limits: [{ name: "tokens", per: ["session"], unit: "tokens", quota: 40 }],
    };
    const answering = () => agentOf(TOKENS, () => "a hit");
    const wrapped = ({ guard, model }: ReturnType<typeof agentOf>, options = {}) =>
      wrapLanguageModel({ model: model as never, middleware: guard.model(options) as never });

    it("holds the estimate of an answer, books its usage, and explains when nothing is left", async () => {
      const agent = answering();
      const model = wrapped(agent);
      const first = await generateText({ model, prompt: "Hi." });
      assert.deepEqual([first.text, await agent.used()], [ANSWER, [15]]);
      const second = await generateText({ model, prompt: "Hi." });
      assert.match(second.text, /^Limit reached: 40 tokens per session, 25 tokens left, 30 tokens needed\.$/);
      assert.deepEqual([second.finishReason, await agent.used()], ["other", [15]]);
    });

    it("does the same for a streamed answer", async () => {
      const agent = answering();
      const model = wrapped(agent);
      assert.deepEqual([await streamText({ model, prompt: "Hi." }).text, await agent.used()], [ANSWER, [15]]);
      const denied = streamText({ model, prompt: "Hi." });
      assert.match(await denied.text, /^Limit reached: 40 tokens per session, 25 tokens left, 30 tokens needed\.$/);
      assert.deepEqual(await agent.used(), [15]);
    });

    it("settles a stream that is cut, or breaks", async () => {
      const agent = agentOf({ ...TOKENS, onError: "refund" }, () => "");
      const { wrapStream } = agent.guard.model();
      const parts = partsOf([{ type: "text", text: "Half" }], { unified: "stop", raw: undefined });
      const { stream } = await wrapStream({
        doStream: async () => ({ stream: ReadableStream.from(parts) }),
        params: {},
      });
      const reader = stream.getReader();
      await reader.read();
      assert.deepEqual(await agent.used(), [30]);
      await reader.cancel();
      assert.deepEqual(await agent.used(), [0]);

      const breaking = new ReadableStream({
        start(controller) {
          controller.error(new Error("reset"));
        },
      });
      const broken = await wrapStream({ doStream: async () => ({ stream: breaking }), params: {} });
      await assert.rejects(broken.stream.getReader().read(), /reset/);
      const failing = async () => {
        throw new Error("refused");
      };
      await assert.rejects(wrapStream({ doStream: failing, params: {} }), /refused/);
      assert.deepEqual(await agent.used(), [0]);
    });

    it("books in the policy's own units", async () => {
      const agent = agentOf(
        {
          version: 1,
          limits: [{ name: "money", per: ["session"], when: { tool: ["gpt"] }, unit: "usd_micros", quota: 1_000 }],
        },
        () => "",
      );
      const costOf = ({ input, output }: { input: number; output: number }) => ({ usd_micros: input * 2 + output * 8 });
      await generateText({
        model: wrapped(agent, { tool: "gpt", estimate: { usd_micros: 500 }, costOf }),
        prompt: "Hi.",
      });
      assert.deepEqual(
        (await agent.limiter.usage({ tool: "gpt" })).map(({ used }) => used),
        [60],
      );
    });

    it("names the estimate in the error where no limit counts its unit", async () => {
      const limits = [{ name: "tokens", per: ["session"], unit: "tokens", quota: 9 }];
      const { guard } = agentOf({ version: 1, limits }, () => "");
      for (const [estimate, message] of [
        [{ tokns: 5 }, /^model\.estimate: expected units that a limit of the policy counts: tokens/],
        [{ tokens: -5 }, /^model\.estimate\.tokens: expected a whole number/],
      ] as const) {
        const asked = guard
          .model({ estimate: estimate as Record<string, number> })
          .wrapGenerate({ doGenerate: async () => ({}), params: {} });
        await assert.rejects(asked, { name: "MisuseError", message });
      }
    });

    it("counts by the model's id, unless the option or the dimensions have another", async () => {
      const limits = [{ name: "rate", per: ["model"], when: { tool: ["model"] }, quota: 9 }];
      const { limiter, asked, guard, model } = agentOf({ version: 1, limits }, () => "a hit");
      const usedOf = async (name: string) => (await limiter.usage({ model: name, tool: "model" }))[0]?.used;
      const ask = (of: ReturnType<typeof guard.model>, modelId: string | undefined) =>
        of.wrapGenerate({ doGenerate: async () => ({}), params: {}, model: { modelId } });

      const { steps } = await generateText({
        ...asked,
        model: wrapped({ guard, model } as never),
        stopWhen: stepCountIs(2),
      });
      assert.equal(steps.at(-1)?.toolResults.length, 1);
      assert.equal(await usedOf("mock-model-id"), 2);
      await ask(guard.model({ model: "gpt" }), "gpt-5-2025-08-07");
      const own = aiSdkGuard(limiter, { dimensions: () => ({ model: "gpt" }) });
      await ask(own.model(), "gpt-5-mini");
      assert.deepEqual([await usedOf("gpt"), await usedOf("gpt-5-mini"), await usedOf("gpt-5-2025-08-07")], [2, 0, 0]);
      await assert.rejects(ask(guard.model(), undefined), /^MisuseError: model: /);
    });
  });
}

describe("aiSdkGuard", () => {
  const limiter = createLimiter({ policy: POLICY, store: memoryStore() });

  it("refuses options that are wrong, by their names", () => {
    for (const maxDenials of [0, 1.5, "3" as never]) {
      assert.throws(() => aiSdkGuard(limiter, { maxDenials }), /maxDenials: expected a whole number, at least 1/);
    }
    assert.throws(() => aiSdkGuard(limiter, { maxDenial: 3 } as never), /options: expected only maxDenials/);
    assert.throws(() => aiSdkGuard({} as never), /limiter: expected a limiter from createLimiter/);
  });

  it("throws an error with the decision when a program calls a tool itself", async () => {
    const { search } = aiSdkGuard(limiter.for({ session: "s1" })).tools({
      search: { execute: (_input: object, _options: object) => 1 },
    });
    for (let i = 0; i < QUOTA; i++) await search.execute({}, { toolCallId: "c" });
    const error = await (search.execute({}, { toolCallId: "c" }) as unknown as Promise<unknown>).catch(
      (thrown) => thrown,
    );
    assert.ok(LimitExceededError.isInstance(error));
    assert.deepEqual([error.decision.allowed, error.decision.verdicts[0]?.limit], [false, "tool-per-session"]);
  });
});
