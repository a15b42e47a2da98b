// The OpenAI Agents SDK, with its own model for tests.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Agent,
  type AgentConfiguration,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
  ToolCallError,
  tool,
  webSearchTool,
} from "@openai/agents";
import { assistantMessage, functionCall, modelStream, ScriptedModel } from "@openai/agents-core/testing";
import { createLimiter, MisuseError, type PolicyInput, StoreError } from "tollgate";
import { type OpenaiAgentsOptions, openaiAgentsGuard, watchErrors } from "tollgate/adapters/openai-agents";
import { memoryStore } from "tollgate/stores/memory";
import { z } from "zod";
import { wideRunOnly } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { POLICY, QUOTA, runAgents } from "./agents.ts";
import { ANSWER, runawayModel, textsIn } from "./openai-agents-model.ts";

setTracingDisabled(true);
const server = await anyRedis();
const WORKER = new URL("./openai-agents-worker.ts", import.meta.url);

describe("a runaway model in three processes on one Redis", () => {
  for (const way of ["calls", "parallel calls", "stream", "parallel stream"]) {
    it(`is stopped and answers: ${way}`, way === "parallel calls" ? {} : wideRunOnly, async () => {
      const { agents, calls } = await runAgents(WORKER, server.url, way);
      assert.equal(calls, QUOTA);
      for (const { answer, results } of agents) {
        assert.equal(answer, ANSWER);
        assert.ok(results.some((text) => /^Limit reached \(tool-per-session\)/.test(text)));
      }
    });
  }
});

interface App {
  readonly session?: string;
  readonly user?: string;
}
type Execute = (input: unknown, context?: unknown, details?: { signal?: AbortSignal }) => unknown;

/** What the tests' tool is, beside what it does. */
const SEARCH = { name: "search", description: "Searches.", parameters: z.object({ query: z.string() }) };
const DENIED =
  "Limit reached (tool-per-session), call denied: this tool has no calls left in this session: all 10 are used. Do not call it again; other tools are still available.";
/** What the SDK itself shows the model of a tool that throws. */
const FAILED = "An error occurred while running the tool. Please try again.";

/** A limiter, its guard, and agents that search. */
function setUp(policy: PolicyInput, options: OpenaiAgentsOptions<App> = { dimensions: (app) => app }) {
  const limiter = createLimiter({ policy, store: memoryStore() });
  const guard = openaiAgentsGuard(limiter, options);
  const agentOf = (execute: Execute, more: object = {}, agentMore: Partial<AgentConfiguration<App>> = {}) => {
    const { model, read } = runawayModel();
    const search = tool({ ...SEARCH, execute: execute as () => unknown, ...more });
    return { read, agent: new Agent<App>({ name: "finder", model, tools: guard.tools([search]), ...agentMore }) };
  };
  const used = async () => (await limiter.usage({ session: "s1", tool: "search" })).map((usage) => usage.used);
  return { limiter, guard, agentOf, used };
}
const RUN = { context: { session: "s1" }, maxTurns: 30 };
const once = () =>
  new ScriptedModel([[functionCall("search", { query: "it" }, { callId: "c" })], [assistantMessage(ANSWER)]]);

const held = (onError: "charge" | "refund"): PolicyInput => ({
  version: 1,
  onError,
  tools: { search: { cost: { credits: 4 } } },
  limits: [{ name: "credits", per: ["session"], unit: "credits", quota: 100 }],
});

describe("the OpenAI Agents SDK: tools", () => {
  it("hands the model the denial, and asks it for one last answer without tools", async () => {
    const { agentOf } = setUp(POLICY);
    const { agent, read } = agentOf(() => "a hit");
    const { finalOutput, rawResponses } = await run(agent, "Find it.", RUN);
    assert.deepEqual([finalOutput, rawResponses.length], [ANSWER, QUOTA + 3 + 1]);
    assert.deepEqual(read.slice(-3), [DENIED, DENIED, DENIED]);
  });

  it("ends the run at once with isSpent", async () => {
    const { agentOf, guard } = setUp(POLICY, { dimensions: (app) => app, maxDenials: 2 });
    const toolUseBehavior: AgentConfiguration<App>["toolUseBehavior"] = (context) =>
      guard.isSpent(context)
        ? { isFinalOutput: true, finalOutput: "Spent.", isInterrupted: undefined }
        : { isFinalOutput: false, isInterrupted: undefined };
    const { agent } = agentOf(() => "a hit", {}, { toolUseBehavior });
    const { finalOutput, rawResponses } = await run(agent, "Find it.", RUN);
    assert.deepEqual([finalOutput, rawResponses.length], ["Spent.", QUOTA + 2]);
  });

  /** Books nothing for a call of the model: these policies count calls of the tool alone. */
  const CALLS = { costOf: () => ({}) };
  const ONE: PolicyInput = {
    version: 1,
    limits: [{ name: "one", per: ["session", "tool"], when: { tool: ["search"] }, quota: 1 }],
  };
  const NOTICE = "search has no calls left in this session. Do not call it again; other tools are still available.";
  /** Runs a tool once near its limit: what the program gets as its result, and what the model reads. */
  async function runOnce(result: unknown, { isGuarded = true, more = {}, callId = "c", isStreamed = false } = {}) {
    const { guard } = setUp(ONE);
    const own = new ScriptedModel([[functionCall("search", { query: "it" }, { callId })], [assistantMessage(ANSWER)]]);
    const search = tool({ ...SEARCH, execute: () => result, ...more });
    // As the docs have it: the model's guard is another one than that of the tools.
    const model = isGuarded ? setUp(ONE).guard.model(own, CALLS) : own;
    const agent = new Agent<App>({ name: "finder", model, tools: guard.tools([search]) });
    const ran = isStreamed ? await run(agent, "Find it.", { ...RUN, stream: true }) : await run(agent, "Find it.", RUN);
    if ("completed" in ran) await ran.completed;
    const output = ran.newItems.find((item) => item.type === "tool_call_output_item")?.output;
    return { output, read: textsIn(own.calls[1]?.request ?? assert.fail())[0], history: ran.history };
  }

  for (const isStreamed of [false, true]) {
    it(`leaves every result as it is, and follows it in what a guarded model reads: ${isStreamed ? "stream" : "run"}`, async () => {
      for (const [i, result] of ['{"c":3}', "[1]", "<a>1</a>", "a,b\n1,2", "aGk=", "a hit"].entries()) {
        const { output, read, history } = await runOnce(result, { callId: `kind-${i}-${isStreamed}`, isStreamed });
        assert.deepEqual([output, read], [result, `${result}\n\n${NOTICE}`]);
        assert.deepEqual(textsIn({ input: history }), [result]);
      }
      const empty = await runOnce("", { callId: `empty-${isStreamed}`, isStreamed });
      assert.deepEqual([empty.output, empty.read], ["", NOTICE]);
    });
  }

  it("shows no notice where the model is not guarded, or the result is no text or must be JSON", async () => {
    const cases = [
      ["a hit", { isGuarded: false, callId: "no-1" }],
      [{ hits: 1 }, { callId: "no-2" }],
      ['{"hits":1}', { callId: "no-3", more: { outputSchema: z.string() } }],
    ] as const;
    for (const [result, options] of cases) {
      const { output, read } = await runOnce(result, options);
      assert.deepEqual(output, result);
      assert.doesNotMatch(read ?? "", /no calls left/);
    }
  });

  it("shows one notice for calls that are made together: the last", async () => {
    const limits: PolicyInput["limits"] = [
      { name: "five", per: ["session"], when: { tool: ["search"] }, quota: 5, notice: { at: 0.1 } },
    ];
    const { guard } = setUp({ version: 1, limits });
    const call = (_: unknown, i: number) => functionCall("search", { query: "it" }, { callId: `together-${i}` });
    const own = new ScriptedModel([Array.from({ length: 4 }, call), [assistantMessage(ANSWER)]]);
    const search = guard.tools([tool({ ...SEARCH, execute: () => "a hit" })]);
    await run(new Agent<App>({ name: "finder", model: guard.model(own, CALLS), tools: search }), "Find it.", RUN);
    const last = "a hit\n\nsearch has only 1 of 5 calls left in this session; other tools are still available.";
    assert.deepEqual(textsIn(own.calls[1]?.request ?? assert.fail()), ["a hit", "a hit", "a hit", last]);
  });

  it("shows no notice of another run with the same call id and result", async () => {
    const limits: PolicyInput["limits"] = [
      { name: "two", per: ["session", "tool"], when: { tool: ["search"] }, quota: 2 },
    ];
    const { guard } = setUp({ version: 1, limits });
    const { promise: both, resolve } = Promise.withResolvers<void>();
    let calls = 0;
    const search = guard.tools([
      tool({
        ...SEARCH,
        execute: async () => {
          if (++calls === 3) resolve();
          if (calls > 1) await both;
          return "a hit";
        },
      }),
    ]);
    const runs = ["a", "a", "b"].map((session, i) => {
      const own = new ScriptedModel([
        [functionCall("search", { query: "it" }, { callId: i === 0 ? "own" : "shared" })],
        [assistantMessage(ANSWER)],
      ]);
      const agent = new Agent<App>({ name: "finder", model: guard.model(own, CALLS), tools: search });
      return { own, ran: () => run(agent, "Find it.", { ...RUN, context: { session } }) };
    });
    await runs[0]?.ran();
    await Promise.all(runs.slice(1).map(({ ran }) => ran()));
    // Session b has a call left, whatever a has.
    const read = textsIn(runs[2]?.own.calls[1]?.request ?? assert.fail());
    assert.deepEqual(read, ["a hit"]);
  });

  const SILENT = [
    ["an empty text", [assistantMessage("")]],
    ["white space", [assistantMessage(" \n")]],
    ["nothing", []],
    ["reasoning alone", [{ type: "reasoning", content: [{ type: "input_text", text: "hm" }] }]],
    ["a call of a tool", [functionCall("search", { query: "late" }, { callId: "late" })]],
  ] as const;
  for (const [what, last] of SILENT) {
    for (const maxDenials of [1, 3]) {
      if (what === "a call of a tool" && maxDenials === 3) continue;
      for (const asked of [1, 2]) {
        it(`ends with the denial where a guarded model answers with ${what}: ${maxDenials}, ${asked} at once`, async () => {
          const none: PolicyInput = {
            version: 1,
            limits: [{ name: "none", per: [], when: { tool: ["search"] }, quota: 0 }],
          };
          const denial =
            "Call denied (none): search is not allowed. Do not call it again; other tools are still available.";
          const ended = async (isStreamed: boolean) => {
            const { guard } = setUp(none, { maxDenials });
            const call = (_: unknown, i: number) => functionCall("search", { query: "it" }, { callId: `c${i}` });
            const own = new ScriptedModel([Array.from({ length: asked }, call), [...last]] as never);
            const tools = guard.tools([tool({ ...SEARCH, execute: () => "a hit" })]);
            const agent = new Agent<App>({ name: "finder", model: guard.model(own, CALLS), tools });
            if (!isStreamed) return (await run(agent, "Find it.")).finalOutput;
            const stream = await run(agent, "Find it.", { stream: true });
            let text = "";
            for await (const part of stream.toTextStream()) text += part;
            await stream.completed;
            assert.equal(text.trim(), denial);
            return stream.finalOutput;
          };
          assert.deepEqual([await ended(false), await ended(true)], [denial, denial]);
        });
      }
    }
  }

  it("keeps what a guarded model says after a denial", async () => {
    const { guard } = setUp(
      { version: 1, limits: [{ name: "none", per: [], when: { tool: ["search"] }, quota: 0 }] },
      { maxDenials: 1 },
    );
    const late = [assistantMessage("So far: 1."), functionCall("search", { query: "late" }, { callId: "late" })];
    const own = new ScriptedModel([[functionCall("search", { query: "it" }, { callId: "c" })], late]);
    const tools = guard.tools([tool({ ...SEARCH, execute: () => "a hit" })]);
    const { finalOutput } = await run(
      new Agent<App>({ name: "finder", model: guard.model(own, CALLS), tools }),
      "Find it.",
    );
    assert.equal(finalOutput, "So far: 1.");
  });

  it("gives each run its own turn and its own denials, also at once", async () => {
    const policy: PolicyInput = { version: 1, limits: [{ name: "per-turn", per: ["turn"], quota: 4 }] };
    const { agentOf } = setUp(policy, {});
    const both = [1, 2].map(async () => {
      let calls = 0;
      const { agent, read } = agentOf(() => calls++);
      await run(agent, "Find it.");
      return [calls, read.length];
    });
    assert.deepEqual(await Promise.all(both), [
      [4, 7],
      [4, 7],
    ]);

    let calls = 0;
    const { agent } = agentOf(async () => {
      calls++;
      await sleep(1);
    });
    const results = await Promise.all([run(agent, "Find it."), run(agent, "Find it.")]);
    assert.equal(calls, 8);
    assert.deepEqual(
      results.map(({ finalOutput }) => finalOutput),
      [ANSWER, ANSWER],
    );
  });

  it("takes dimensions from the program's context, before those that the limiter is bound to", async () => {
    const policy: PolicyInput = { version: 1, limits: [{ name: "per-user", per: ["user"], quota: 5 }] };
    const limiter = createLimiter({ policy, store: memoryStore() });
    const guard = openaiAgentsGuard(limiter.for({ user: "u1", session: "s1" }), {
      dimensions: ({ user }: App) => ({ user }),
    });
    const search = guard.tools([tool({ ...SEARCH, execute: () => "a hit" })]);
    for (const user of ["u2", undefined]) {
      const agent = new Agent<App>({ name: "finder", model: once(), tools: search });
      await run(agent, "Find it.", { context: user === undefined ? {} : { user } });
    }
    const usages = await Promise.all(["u1", "u2"].map((user) => limiter.usage({ user })));
    assert.deepEqual(
      usages.flat().map(({ used }) => used),
      [1, 1],
    );
  });

  it("does not touch tools that are not functions", () => {
    const { guard } = setUp(POLICY);
    const elsewhere = webSearchTool();
    assert.equal(guard.tools([elsewhere])[0], elsewhere);
  });

  it("shows no tool that its own isEnabled hides", async () => {
    const { agentOf, used } = setUp(POLICY);
    const { agent } = agentOf(() => "a hit", { isEnabled: false });
    assert.equal((await run(agent, "Find it.", RUN)).finalOutput, ANSWER);
    assert.deepEqual(await used(), [0]);
  });

  it("charges nothing for calls that guardrails or people reject", async () => {
    const { agentOf, used } = setUp(POLICY);
    const inputGuardrails = [
      { type: "tool_input", name: "no", run: async () => ({ behavior: { type: "rejectContent", message: "No." } }) },
    ];
    const rejected = agentOf(() => "a hit", { inputGuardrails }, { model: once() });
    await run(rejected.agent, "Find it.", RUN);
    assert.deepEqual(await used(), [0]);

    const asking = agentOf(() => "a hit", { needsApproval: true }, { model: once() });
    const paused = await run(asking.agent, "Find it.", RUN);
    assert.deepEqual([paused.interruptions.length, await used()], [1, [0]]);
    for (const interruption of paused.interruptions) paused.state.approve(interruption);
    assert.equal((await run(asking.agent, paused.state)).finalOutput, ANSWER);
    assert.deepEqual(await used(), [1]);
  });
});

describe("the OpenAI Agents SDK: what goes wrong", () => {
  const failing: Execute = () => {
    throw new Error("no network");
  };
  const told = (_: unknown, error: unknown) => `It failed: ${(error as Error).message}`;
  for (const [onError, used] of [
    ["charge", 4],
    ["refund", 0],
  ] as const) {
    for (const [what, more, shown] of [
      ["throws", {}, FAILED],
      ["throws, with an errorFunction that is watched", { errorFunction: watchErrors(told) }, "It failed: no network"],
    ] as const) {
      it(`settles a tool that ${what} as the policy says: ${onError}`, async () => {
        const agent = setUp(held(onError));
        const model = once();
        const { finalOutput } = await run(agent.agentOf(failing, more, { model }).agent, "Find it.", RUN);
        assert.equal(finalOutput, ANSWER);
        assert.deepEqual(textsIn(model.calls[1]?.request ?? assert.fail()), [shown]);
        assert.deepEqual(await agent.used(), [used]);
      });
    }

    it(`settles a tool that throws as the tool's own onError says: ${onError}`, async () => {
      const policy = held(used === 0 ? "charge" : "refund");
      const agent = setUp({ ...policy, tools: { search: { cost: { credits: 4 }, onError } } });
      await run(agent.agentOf(failing, {}, { model: once() }).agent, "Find it.", RUN);
      assert.deepEqual(await agent.used(), [used]);
    });

    it(`settles a tool whose errors end the run as the policy says: ${onError}`, async () => {
      const { agentOf, used: booked } = setUp(held(onError));
      const { agent } = agentOf(failing, { errorFunction: null });
      await assert.rejects(run(agent, "Find it.", RUN), /no network/);
      assert.deepEqual(await booked(), [used]);
    });

    it(`settles a tool that is too slow as the policy says: ${onError}`, async () => {
      const { agentOf, used: booked } = setUp(held(onError));
      const model = once();
      const { agent } = agentOf((_input, _context, details) => sleep(5_000, "", details), { timeoutMs: 20 }, { model });
      await run(agent, "Find it.", RUN);
      assert.deepEqual(textsIn(model.calls[1]?.request ?? assert.fail()), ["Tool 'search' timed out after 20ms."]);
      assert.deepEqual(await booked(), [used]);
    });

    it(`settles the hold of an aborted run: ${onError}`, async () => {
      const stop = new AbortController();
      const { agentOf, used: booked } = setUp(held(onError));
      const { agent } = agentOf(async (_input, _context, details) => {
        stop.abort();
        await sleep(5_000, undefined, details);
      });
      await assert.rejects(run(agent, "Find it.", { ...RUN, signal: stop.signal }));
      assert.deepEqual(await booked(), [used]);
    });

    it(`settles the hold of a streamed run that is not read to its end: ${onError}`, async () => {
      const { agentOf, used: booked } = setUp(held(onError));
      const { promise: begun, resolve } = Promise.withResolvers<void>();
      const { agent } = agentOf((_input, _context, details) => {
        resolve();
        return sleep(5_000, "", details);
      });
      const stream = await run(agent, "Find it.", { ...RUN, stream: true });
      for await (const event of stream) {
        if (event.type !== "run_item_stream_event") continue;
        await begun;
        break;
      }
      await stream.completed;
      assert.deepEqual(await booked(), [used]);
    });
  }

  it("rejects the run, and calls no tool, without a session", async () => {
    let calls = 0;
    const { agentOf } = setUp(POLICY, {});
    const { agent, read } = agentOf(() => calls++);
    await assert.rejects(run(agent, "Find it.", RUN), (error) => {
      assert.ok(error instanceof ToolCallError && MisuseError.isInstance(error.error));
      assert.equal(error.error.code, "missing-dimension");
      assert.match(error.message, /session: .*the option dimensions, or in limiter\.for/);
      return true;
    });
    assert.deepEqual([calls, read], [0, []]);
  });

  it("rejects the run when the program's dimensions are none, or throw", async () => {
    for (const [dimensions, expected] of [
      [() => "s1" as never, /dimensions: expected an object/],
      [() => assert.fail("no such user"), /no such user/],
    ] as const) {
      const { agentOf } = setUp(POLICY, { dimensions });
      await assert.rejects(run(agentOf(() => "a hit").agent, "Find it.", RUN), expected);
    }
  });

  it("rejects the run when the store fails", async () => {
    const limits = [...POLICY.limits, { name: "per-session", per: ["session"], quota: 5 }];
    const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore({ maxBuckets: 1 }) });
    const { tools } = openaiAgentsGuard(limiter.for({ session: "s1" }));
    const search = tool({ ...SEARCH, execute: () => "a hit" });
    const agent = new Agent({ name: "finder", model: once(), tools: tools([search]) });
    await assert.rejects(
      run(agent, "Find it."),
      (error) => error instanceof ToolCallError && StoreError.isInstance(error.error),
    );
  });

  it("refuses wrong options by name", () => {
    const limiter = createLimiter({ policy: POLICY, store: memoryStore() });
    for (const [options, path] of [
      [{ dimensions: { session: "s1" } }, "dimensions"],
      [{ maxDenials: 0 }, "maxDenials"],
      [{ maxDenial: 1 }, "options"],
      [null, "options"],
    ] as const) {
      assert.throws(() => openaiAgentsGuard(limiter, options as never), isInvalid(path));
    }
    assert.throws(() => openaiAgentsGuard(undefined as never), isInvalid("limiter"));
    const { model } = openaiAgentsGuard(limiter);
    assert.throws(() => model("gpt-5" as never), isInvalid("model"));
    assert.throws(() => model(once(), { costs: {} } as never), isInvalid("model"));
  });
});

const isInvalid = (path: string) => (error: unknown) =>
  MisuseError.isInstance(error) && error.code === "invalid-option" && error.faults[0]?.path === path;

describe("the OpenAI Agents SDK: the model", () => {
  const TOKENS: PolicyInput = {
    version: 1,
    tools: { model: { cost: { tokens: 30 } } },
    limits: [{ name: "tokens", per: ["session"], when: { tool: ["model"] }, unit: "tokens", quota: 40 }],
  };
  function setUpModel(policy = TOKENS) {
    const limiter = createLimiter({ policy, store: memoryStore() });
    const { model } = openaiAgentsGuard(limiter.for({ session: "s1" }));
    const used = async () => (await limiter.usage({ session: "s1" })).map((usage) => usage.used);
    return { model, used };
  }
  const answering = () => new Agent({ name: "talker", model: runawayModel().model });

  it("holds the estimate of an answer, books its usage, and explains when nothing is left", async () => {
    const { model, used } = setUpModel();
    const agent = answering().clone({ model: model(runawayModel().model) });
    assert.deepEqual([(await run(agent, "Hi.")).finalOutput, await used()], [ANSWER, [15]]);
    const denied = await run(agent, "Hi.");
    assert.match(denied.finalOutput ?? "", /^Limit reached: 40 tokens per session/);
    assert.deepEqual([denied.state.usage.totalTokens, denied.lastResponseId, await used()], [0, undefined, [15]]);
  });

  it("does the same for a streamed answer", async () => {
    const { model, used } = setUpModel();
    const agent = answering().clone({ model: model(runawayModel().model) });
    const textOf = async () => {
      let text = "";
      const stream = await run(agent, "Hi.", { stream: true });
      for await (const part of stream.toTextStream()) text += part;
      await stream.completed;
      assert.equal(stream.finalOutput, text);
      return { text, lastResponseId: stream.lastResponseId };
    };
    assert.equal((await textOf()).text, ANSWER);
    assert.deepEqual(await used(), [15]);
    const denied = await textOf();
    assert.match(denied.text, /^Limit reached: 40 tokens per session/);
    assert.ok(!denied.lastResponseId);
    assert.deepEqual(await used(), [15]);
  });

  it("ends a run whose model repeats one call's id, which the SDK runs once", async () => {
    const { model } = setUpModel({ ...TOKENS, tools: {} });
    const { model: runaway } = runawayModel(1, () => "call_1");
    let calls = 0;
    const search = tool({ ...SEARCH, execute: () => calls++ });
    const agent = new Agent({ name: "finder", model: model(runaway), tools: [search] });
    assert.match((await run(agent, "Find it.")).finalOutput ?? "", /^Limit reached: 40 tokens per session/);
    assert.deepEqual([calls, runaway.calls.length], [1, 3]);
  });

  it("books the result of costOf, for the configured tool", async () => {
    const limiter = createLimiter({
      policy: {
        version: 1,
        limits: [{ name: "money", per: ["session"], when: { tool: ["gpt"] }, unit: "credits", quota: 100 }],
      },
      store: memoryStore(),
    });
    const costOf = ({ input, output }: { input: number; output: number }) => ({ credits: input + 4 * output });
    const guarded = openaiAgentsGuard(limiter.for({ session: "s1" })).model(runawayModel().model, {
      tool: "gpt",
      costOf,
    });
    await run(new Agent({ name: "talker", model: guarded }), "Hi.");
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 30);
  });

  it("counts by the id of a model of the Responses API, or of the option", async () => {
    const limits: PolicyInput["limits"] = [{ name: "rate", per: ["model"], when: { tool: ["model"] }, quota: 9 }];
    const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore() });
    const guard = openaiAgentsGuard(limiter);
    const answering = <Model extends OpenAIResponsesModel | OpenAIChatCompletionsModel>(model: Model): Model =>
      Object.assign(model, { getResponse: async () => ({ output: [], usage: {} }) });
    const responses = answering(new OpenAIResponsesModel({} as never, "gpt-5"));
    await guard.model(responses).getResponse({ input: "Hi." } as never);
    await guard.model(responses, { model: "gpt" }).getResponse({ input: "Hi." } as never);
    const chat = answering(new OpenAIChatCompletionsModel({} as never, "gpt-5"));
    await guard.model(chat, { model: "gpt" }).getResponse({ input: "Hi." } as never);
    const unknown = guard.model(chat).getResponse({ input: "Hi." } as never);
    await assert.rejects(unknown, /^MisuseError: model: .* the limit rate is per model/);
    const search = tool({ ...SEARCH, execute: () => "a hit" });
    const model = guard.model(runawayModel().model, { model: "gpt" });
    await run(new Agent({ name: "finder", model, tools: guard.tools([search]) }), "Hi.", { maxTurns: 2 }).catch(
      () => {},
    );
    const used = await Promise.all(["gpt-5", "gpt"].map((name) => limiter.usage({ model: name, tool: "model" })));
    assert.deepEqual(
      used.map(([usage]) => usage?.used),
      [1, 4],
    );
  });

  it("settles an answer that breaks, or whose stream does or is cut", async () => {
    const { model, used } = setUpModel({ ...TOKENS, onError: "refund" });
    const breaking = () => new ScriptedModel([{ type: "error", error: new Error("no network") }]);
    const agent = answering();
    await assert.rejects(run(agent.clone({ model: model(breaking()) }), "Hi."), /no network/);
    const stream = await run(agent.clone({ model: model(breaking()) }), "Hi.", { stream: true });
    await assert.rejects(stream.completed, /no network/);
    assert.deepEqual(await used(), [0]);

    const half = modelStream([{ type: "response_started" }, { type: "output_text_delta", delta: "Half" }]);
    const request = {
      input: "Hi.",
      modelSettings: {},
      tools: [],
      outputType: "text",
      handoffs: [],
      tracing: false,
    } as const;
    for await (const event of model(new ScriptedModel([half])).getStreamedResponse({
      ...request,
      tools: [],
      handoffs: [],
    })) {
      assert.equal(event.type, "response_started");
      assert.deepEqual(await used(), [30]);
      break;
    }
    assert.deepEqual(await used(), [0]);
  });

  it("settles the answer of a streamed run that is aborted", async () => {
    const { model, used } = setUpModel({ ...TOKENS, onError: "refund" });
    const stop = new AbortController();
    async function* slow() {
      yield { type: "response_started" } as const;
      stop.abort();
      await sleep(5_000, undefined, { signal: stop.signal });
    }
    const agent = answering().clone({ model: model(new ScriptedModel([modelStream(slow())])) });
    const stream = await run(agent, "Hi.", { stream: true, signal: stop.signal });
    await stream.completed.catch(() => {});
    assert.deepEqual(await used(), [0]);
  });

  it("behaves like the model otherwise", async () => {
    const { model } = setUpModel();
    const own = Object.assign(runawayModel().model, { supportsPromptModelSelection: true });
    const guarded = model(own);
    assert.ok(guarded instanceof ScriptedModel && guarded.supportsPromptModelSelection);
    assert.equal(guarded.remainingSteps, own.remainingSteps);
    await run(new Agent({ name: "talker", model: guarded }), "Hi.");
    assert.equal(guarded.calls.length, 1);
  });
});
