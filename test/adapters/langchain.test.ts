// LangChain.js, with its own fake model and one that never stops by itself.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setImmediate as settled, setTimeout as sleep } from "node:timers/promises";
import { fakeModel } from "@langchain/core/testing";
import { Command, interrupt, MemorySaver } from "@langchain/langgraph";
import {
  AIMessage,
  type BaseMessage,
  createAgent,
  type Runtime,
  ToolMessage,
  tool,
  toolRetryMiddleware,
  toolStrategy,
} from "langchain";
import { createLimiter, MisuseError, type PolicyInput, StoreError } from "tollgate";
import { type LangchainOptions, langchainGuard } from "tollgate/adapters/langchain";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStore } from "tollgate/stores/sqlite";
import { z } from "zod";
import { Guard } from "../../src/adapters/guard.ts";
import { Runs } from "../../src/adapters/langchain/runs.ts";
import { wideRunOnly } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { POLICY, QUOTA, runAgents } from "./agents.ts";
import { ANSWER, RunawayModel } from "./langchain-model.ts";

const server = await anyRedis();
const WORKER = new URL("./langchain-worker.ts", import.meta.url);

describe("a runaway model in three processes on one Redis", () => {
  for (const way of ["calls", "parallel calls", "calls with checkpoints", "parallel calls with checkpoints"]) {
    it(`is stopped and answers: ${way}`, way === "parallel calls" ? {} : wideRunOnly, async () => {
      const { agents, calls } = await runAgents(WORKER, server.url, way);
      assert.equal(calls, QUOTA);
      for (const { answer, results } of agents) {
        assert.equal(answer, ANSWER);
        assert.ok(results.some((text) => text.startsWith("Limit reached (tool-per-session)")));
      }
    });
  }
});

const THREAD: PolicyInput["limits"][number] = { name: "thread", per: ["session"], quota: 3 };
const RUN: PolicyInput["limits"][number] = { name: "run", per: ["session", "turn"], quota: 2, resetAfterIdle: "1h" };
const SEARCH: PolicyInput["limits"][number] = {
  name: "search-only",
  per: ["session", "tool"],
  when: { tool: ["search"] },
  quota: 2,
};
const DENIAL =
  "Limit reached (tool-per-session), call denied: this tool has no calls left in this session: all 10 are used. Do not call it again; other tools are still available.";

/** A message that calls these tools, each with an id of its own. */
function calls(...names: string[]): AIMessage {
  const usage_metadata = { input_tokens: 10, output_tokens: 5, total_tokens: 15 };
  const tool_calls = names.map((name) => ({ type: "tool_call" as const, name, id: `call_${ids++}`, args: {} }));
  return new AIMessage({ content: "", tool_calls, usage_metadata } as object as []);
}
let ids = 0;

/** An agent whose tools count how often they ran, and whose model says these messages one after the other. */
function agentOf(limits: PolicyInput["limits"], messages: BaseMessage[], options: LangchainOptions = {}, policy = {}) {
  const limiter = createLimiter({ policy: { version: 1, ...policy, limits }, store: memoryStore() });
  const ran = { search: 0, calculator: 0 };
  const toolOf = (name: keyof typeof ran) => tool(async () => `${name} ${++ran[name]}`, { name, schema: z.object({}) });
  const model = messages.reduce((fake, message) => fake.respond(message), fakeModel());
  const parts = {
    model,
    tools: [toolOf("search"), toolOf("calculator")],
    middleware: [langchainGuard(limiter, options)],
  };
  const agent = createAgent({ ...parts, checkpointer: new MemorySaver() });
  return { limiter, ran, model, parts, invoke: (configurable?: object) => invoke(agent, configurable) };
}

type Invocable = { invoke(input: object, config: object): Promise<{ messages: BaseMessage[] }> };

/** Runs an agent, and says what its messages are from the last question on. */
async function invoke(agent: unknown, configurable: object = { thread_id: "t1" }, more = {}) {
  const question = { role: "user", content: "Find it." };
  const { messages } = await (agent as Invocable).invoke(
    { messages: [question] },
    { configurable, recursionLimit: 100, ...more },
  );
  const run = messages.slice(messages.findLastIndex((message) => message.type === "human"));
  const results = run.filter((message) => ToolMessage.isInstance(message));
  return {
    messages: run,
    results,
    answer: run.at(-1)?.text,
    denied: results.filter(({ status }) => status === "error"),
    passed: results.filter(({ status }) => status !== "error"),
  };
}

describe("what toolCallLimitMiddleware promises", () => {
  const end = new AIMessage("The end.");

  it("allows calls under the limit of a thread", async () => {
    const { invoke, ran } = agentOf([THREAD], [calls("search", "search"), calls("search"), end]);
    const { answer, denied } = await invoke();
    assert.deepEqual([answer, denied.length, ran.search], ["The end.", 0, 3]);
  });

  it("denies calls beyond the limit of a thread, not the one that reaches it", async () => {
    const { invoke, ran } = agentOf([THREAD], [calls("search", "search"), calls("search"), calls("search"), end]);
    const { denied, answer } = await invoke();
    assert.deepEqual([answer, denied.length, ran.search], ["The end.", 1, 3]);
    assert.match(denied[0]?.text ?? "", /^Limit reached \(thread\)/);
  });

  it("keeps the count of a thread across runs and across agents", async () => {
    const replies = [calls("search", "calculator"), end, calls("search", "calculator"), end, calls("search"), end];
    const { invoke: first, ran, parts } = agentOf([{ ...THREAD, quota: 4 }], replies);
    await first();
    await first();
    const { denied } = await invoke(createAgent(parts));
    assert.equal(denied.length, 1);
    assert.deepEqual(ran, { search: 2, calculator: 2 });
  });

  it("keeps threads apart", async () => {
    const { invoke, ran } = agentOf([{ ...THREAD, quota: 1 }], [calls("search"), end, calls("search"), end]);
    await invoke({ thread_id: "t1" });
    assert.equal((await invoke({ thread_id: "t2" })).denied.length, 0);
    assert.equal(ran.search, 2);
  });

  it("starts the limit of a run again with each run", async () => {
    const three = () => [calls("search", "search"), calls("search"), new AIMessage("The end.")];
    const { invoke, ran } = agentOf([RUN], [...three(), ...three()]);
    for (const runs of [1, 2]) {
      const { denied } = await invoke();
      assert.deepEqual([denied.length, ran.search], [1, 2 * runs]);
      assert.match(denied[0]?.text ?? "", /^Limit reached \(run\)/);
    }
  });

  it("takes a run's id from every place that has it", async () => {
    const { invoke, ran } = agentOf([RUN], [calls("search"), end, calls("search", "search"), end]);
    await invoke({ thread_id: "t1", run_id: "r1" });
    assert.equal((await invoke({ thread_id: "t1", run_id: "r1" })).denied.length, 1);
    assert.equal(ran.search, 2);
  });

  it("counts only calls of the tool that a limit is for", async () => {
    const { invoke, ran } = agentOf([SEARCH], [calls("search", "calculator", "calculator", "calculator"), end]);
    assert.equal((await invoke()).denied.length, 0);
    assert.deepEqual(ran, { search: 1, calculator: 3 });
  });

  it("judges by a global limit and a limit of a tool together", async () => {
    const replies = [calls("search", "search", "calculator"), calls("search"), calls("calculator", "calculator"), end];
    const { invoke, ran } = agentOf([{ ...THREAD, quota: 4 }, SEARCH], replies);
    const { denied } = await invoke();
    assert.deepEqual(
      denied.map(({ text }) => text.split(":")[0]),
      ["Limit reached (search-only), call denied", "Limit reached (thread), call denied"],
    );
    assert.deepEqual(ran, { search: 2, calculator: 2 });
  });

  it("judges by the limits of a thread and of a run together, and names the one that denies", async () => {
    const replies = [calls("search", "search"), calls("search"), end, calls("search"), calls("search"), end];
    const { invoke, ran } = agentOf([THREAD, RUN], replies);
    assert.match((await invoke()).denied[0]?.text ?? "", /^Limit reached \(run\)/);
    assert.match((await invoke()).denied[0]?.text ?? "", /^Limit reached \(thread\)/);
    assert.equal(ran.search, 3);
  });

  it("lets other tools continue when one is over its limit", async () => {
    const both = () => calls("search", "calculator");
    const { invoke, ran } = agentOf([SEARCH], [both(), both(), both(), end]);
    const { denied, answer } = await invoke();
    assert.deepEqual(ran, { search: 2, calculator: 3 });
    assert.deepEqual([denied.length, denied[0]?.name, answer], [1, "search", "The end."]);
  });

  it("lets the allowed ones of parallel calls run, and answers every call", async () => {
    const asked = calls("search", "search", "calculator", "search", "search");
    const { invoke, ran, model } = agentOf([SEARCH], [asked, end]);
    const { results, denied, passed } = await invoke();
    assert.deepEqual(ran, { search: 2, calculator: 1 });
    assert.deepEqual([denied.length, passed.length], [2, 3]);
    const answered = results.map(({ tool_call_id }) => tool_call_id);
    assert.deepEqual(
      answered,
      asked.tool_calls?.map(({ id }) => id),
    );
    assert.equal(model.calls[1]?.messages.filter((message) => ToolMessage.isInstance(message)).length, 5);
  });

  it("does not change messages without calls", async () => {
    const { invoke, limiter } = agentOf([THREAD], [end]);
    assert.equal((await invoke()).answer, "The end.");
    const [usage] = await limiter.usage({ session: "t1" });
    assert.equal(usage?.used, 0);
  });

  it("ends instead of continuing, if configured, and keeps the allowed calls", async () => {
    const model = new RunawayModel(5);
    const { parts, ran } = agentOf([THREAD], [], { maxDenials: 1 });
    const { answer, passed, denied } = await invoke(createAgent({ ...parts, model }));
    assert.deepEqual([answer, passed.length, denied.length, ran.search], [ANSWER, 3, 2, 3]);
    assert.equal(model.asked.length, 2);
  });

  it("raises an error for limits and options that are wrong", () => {
    const limiter = createLimiter({ policy: POLICY, store: memoryStore() });
    for (const [options, path] of [
      [{ maxDenials: 0 }, "maxDenials"],
      [{ limit: 3 }, "options"],
      [null, "options"],
      [{ dimensions: {} }, "dimensions"],
      [{ model: true }, "model"],
      [{ model: { costs: {} } }, "model"],
      [{ model: { costOf: 1 } }, "model.costOf"],
    ] as const) {
      assert.throws(
        () => langchainGuard(limiter, options as never),
        (error: MisuseError) => error.code === "invalid-option" && error.faults[0]?.path === path,
      );
    }
    assert.throws(() => langchainGuard({} as never), { code: "invalid-option" });
  });
});

describe("a denial", () => {
  it("is the text for the model, with numbers for programs", async () => {
    const { parts } = agentOf(POLICY.limits, []);
    const model = new RunawayModel(1);
    const { denied, answer } = await invoke(createAgent({ ...parts, model }));
    assert.equal(answer, ANSWER);
    assert.equal(denied.length, 3);
    assert.equal(model.asked.length, QUOTA + 3 + 1);
    assert.equal(model.asked.at(-1)?.at(-1)?.text, DENIAL);
    const fields = { allowed: false, limit: "tool-per-session", remaining: 0, retryAfterMs: null };
    assert.deepEqual(denied[0]?.artifact, fields);
  });

  it("ends the run when the model calls tools that it was not given", async () => {
    const { invoke, model } = agentOf([{ ...THREAD, quota: 0 }], [calls("search"), calls("search"), calls("search")], {
      maxDenials: 2,
    });
    const { messages, answer } = await invoke();
    assert.match(answer ?? "", /^Call denied \(thread\)/);
    const { type, tool_calls, usage_metadata } = messages.at(-1) as AIMessage;
    assert.deepEqual([type, tool_calls, usage_metadata], ["ai", [], calls().usage_metadata]);
    assert.equal(model.callCount, 3);
  });

  it("of one run has no effect on the next", async () => {
    const two = () => [calls("search"), calls("search"), new AIMessage("The end.")];
    const { invoke, model } = agentOf([{ ...THREAD, quota: 0 }], [...two(), ...two()], { maxDenials: 3 });
    await invoke();
    assert.equal((await invoke()).denied.length, 2);
    assert.equal(model.callCount, 6);
  });
});

describe("a notice", () => {
  const ONE: PolicyInput["limits"][number] = { name: "one", per: ["session", "tool"], quota: 1 };
  const NOTICE = "This tool has no calls left in this session. Do not call it again; other tools are still available.";
  const end = () => new AIMessage("The end.");

  /** Runs a tool once near its limit: the message that the program gets, and the one that the model reads. */
  async function runOnce(result: unknown) {
    const { parts, model } = agentOf([ONE], [calls("search"), end()]);
    const search = tool(() => result, { name: "search", schema: z.object({}) });
    const { results } = await invoke(createAgent({ ...parts, tools: [search] }));
    const read = model.calls[1]?.messages.at(-1);
    assert.ok(results[0] && ToolMessage.isInstance(read));
    return { result: results[0], read };
  }

  it("leaves every result as it is, and follows it in what the model reads", async () => {
    for (const text of ['{"c":3}', "[1]", "<a>1</a>", "a,b\n1,2", "aGk=", "a hit"]) {
      const { result, read } = await runOnce(text);
      assert.equal(result.content, text);
      assert.equal(read.content, `${text}\n\n${NOTICE}`);
      assert.deepEqual(result.response_metadata, { tollgate: { notice: NOTICE } });
    }
    const object = await runOnce({ c: 3 });
    assert.deepEqual([JSON.parse(object.result.text), object.read.text], [{ c: 3 }, `{"c":3}\n\n${NOTICE}`]);
    const empty = await runOnce("");
    assert.deepEqual([empty.result.content, empty.read.content], ["", NOTICE]);
    const content = [{ type: "text" as const, text: "a" }];
    const blocks = await runOnce(new ToolMessage({ content, tool_call_id: "call_1", artifact: [1] }));
    assert.deepEqual([blocks.result.content, blocks.result.artifact], [content, [1]]);
    assert.deepEqual(blocks.read.content, [...content, { type: "text", text: NOTICE }]);
  });

  it("comes once where a tool returns the same message again", async () => {
    const { parts } = agentOf(POLICY.limits, []);
    const same = new ToolMessage({ content: '{"c":3}', tool_call_id: "call_1", artifact: [1] });
    const search = tool(() => same, { name: "search", schema: z.object({ query: z.string() }) });
    const { passed } = await invoke(createAgent({ ...parts, tools: [search], model: new RunawayModel(1) }));
    assert.equal(passed.length, QUOTA);
    for (const { content, artifact } of passed) assert.deepEqual([content, artifact], ['{"c":3}', [1]]);
    const noticed = passed.filter(({ response_metadata }) => "tollgate" in response_metadata);
    assert.deepEqual([noticed.length, same.response_metadata], [3, {}]);
  });

  it("of calls that are made together is the last, for each tool and for all", async () => {
    const { invoke, model } = agentOf(
      [
        { name: "all", per: ["session"], quota: 5, notice: { at: 0.1 } },
        { name: "each", per: ["session", "tool"], when: { tool: ["search"] }, quota: 3, notice: { at: 0.1 } },
      ],
      [calls("calculator", "calculator", "search", "search"), end()],
    );
    await invoke();
    const read = model.calls[1]?.messages.filter((message) => ToolMessage.isInstance(message)).map(({ text }) => text);
    assert.deepEqual(read, [
      "calculator 1",
      "calculator 2",
      "search 1",
      "search 2\n\nOnly 1 of 5 calls is left in this session. Finish before it is used up.",
    ]);
  });

  it("stays with its result in a thread that another process continues", async () => {
    const { parts, model } = agentOf([ONE], [calls("search"), end(), end()]);
    const checkpointer = new MemorySaver();
    await invoke(createAgent({ ...parts, checkpointer }));
    const other = agentOf([ONE], []).parts.middleware;
    await invoke(createAgent({ ...parts, checkpointer, middleware: other }));
    const read = model.calls[2]?.messages.filter((message) => ToolMessage.isInstance(message)) ?? [];
    assert.deepEqual(
      read.map(({ text }) => text),
      [`search 1\n\n${NOTICE}`],
    );
  });
});

describe("a run that is denied ends with a text", () => {
  const NONE = { ...THREAD, quota: 0 };
  const DENIED = "Call denied (thread): no calls are allowed. Do not call tools again; finish with what you have.";
  const usage_metadata = { input_tokens: 10, output_tokens: 5, total_tokens: 15 };
  const silent = (content: unknown = "", more = {}) =>
    new AIMessage({ id: "silent", content, usage_metadata, ...more } as object as []);
  const reasoning = [{ type: "reasoning", reasoning: "hm" }];
  const thinking = [
    { type: "thinking", thinking: "hm", signature: "s" },
    { type: "text", text: "" },
  ];
  const SILENT: [what: string, answer: () => AIMessage][] = [
    ["nothing", () => silent()],
    ["white space", () => silent(" \n")],
    ["no blocks", () => silent([])],
    ["reasoning alone", () => silent(reasoning)],
    ["thinking and an empty text", () => silent(thinking)],
    ["calls of tools", () => calls("search", "search")],
    ["calls that cannot be read", () => silent("", { invalid_tool_calls: [{ name: "search", args: "{", id: "x" }] })],
  ];
  for (const [what, answer] of SILENT) {
    for (const asked of [1, 2]) {
      it(`where the last answer is ${what}, after ${asked} at once`, async () => {
        const first = () => calls(...Array.from({ length: asked }, () => "search"));
        const { invoke } = agentOf([NONE], [first(), answer()], { maxDenials: asked });
        const { messages, denied } = await invoke();
        const last = messages.at(-1) as AIMessage;
        assert.deepEqual([last.text, last.text], [DENIED, denied.at(-1)?.text]);
        assert.deepEqual([last.tool_calls, last.usage_metadata], [[], usage_metadata]);
      });
    }

    it(`also in its stream, where the last answer is ${what}`, async () => {
      const { parts } = agentOf([NONE], [calls("search"), answer()], { maxDenials: 1 });
      const input = { messages: [{ role: "user", content: "Find it." }] };
      const config = { configurable: { thread_id: "t1" } };
      const texts: string[] = [];
      for await (const [message] of await createAgent(parts).stream(input, { ...config, streamMode: "messages" })) {
        if (AIMessage.isInstance(message)) texts.push(message.text);
      }
      assert.equal(texts.join("").trim(), DENIED);
      const again = agentOf([NONE], [calls("search"), answer()], { maxDenials: 1 }).parts;
      let last: BaseMessage | undefined;
      for await (const state of await createAgent(again).stream(input, { ...config, streamMode: "values" })) {
        last = (state as { messages: BaseMessage[] }).messages.at(-1);
      }
      assert.equal(last?.text, DENIED);
    });
  }

  it("also where the model gives up after a denial, with its tools", async () => {
    const { invoke } = agentOf([NONE], [calls("search"), silent()], { maxDenials: 3 });
    assert.equal((await invoke()).answer, DENIED);
  });

  it("but not where the model is silent later", async () => {
    const { invoke } = agentOf([SEARCH], [calls("search", "search", "search"), calls("calculator"), silent()]);
    const { answer, denied } = await invoke();
    assert.deepEqual([answer, denied.length], ["", 1]);
  });

  it("and keeps what the model says, or shows", async () => {
    for (const content of ["Half of it.", [...reasoning, { type: "text", text: "Half of it." }]]) {
      const { invoke } = agentOf([NONE], [calls("search"), silent(content)], { maxDenials: 1 });
      const { messages } = await invoke();
      assert.deepEqual([messages.at(-1)?.content, messages.at(-1)?.id], [content, "silent"]);
    }
    const beside = Object.assign(calls("search"), { content: "Half of it." });
    assert.equal((await agentOf([NONE], [calls("search"), beside], { maxDenials: 1 }).invoke()).answer, "Half of it.");
    const image = [{ type: "image_url", image_url: { url: "data:image/png;base64,aGk=" } }];
    const shown = await agentOf([NONE], [calls("search"), silent(image)], { maxDenials: 1 }).invoke();
    assert.deepEqual(shown.messages.at(-1)?.content, image);
  });
});

describe("runs under way", () => {
  it("are at most 10,000, because a crashed run never ends: the least recently used is forgotten", () => {
    const limiter = createLimiter({ policy: POLICY, store: memoryStore() });
    const runs = new Runs(() => new Guard(limiter));
    const [first, second] = [runs.of("run-0"), runs.of("run-1")];
    for (let i = 2; i < 10_000; i++) runs.of(`run-${i}`);
    assert.equal(runs.of("run-0"), first);
    runs.of("run-10000");
    assert.equal(runs.of("run-0"), first);
    assert.notEqual(runs.of("run-1"), second);
    runs.forget("run-0");
    assert.notEqual(runs.of("run-0"), first);
  });
});

describe("counts", () => {
  it("survive a restart without checkpoints", async () => {
    const file = join(temporaryFolder(), "tollgate.db");
    let passed = 0;
    for (const quota of [2, 1, 0]) {
      const store = sqliteStore(file);
      const limiter = createLimiter({ policy: { version: 1, limits: [THREAD] }, store });
      const search = tool(() => "a hit", { name: "search", schema: z.object({}) });
      const model = fakeModel().respond(calls("search", "search")).respond(new AIMessage("The end."));
      const run = await invoke(createAgent({ model, tools: [search], middleware: [langchainGuard(limiter)] }));
      assert.equal(run.passed.length, quota);
      passed += run.passed.length;
      await limiter.close();
    }
    assert.equal(passed, 3);
  });

  it("have the dimensions that the program sets", async () => {
    const PER_USER: PolicyInput["limits"][number] = { name: "per-plan", per: ["user", "plan"], quota: 1 };
    const limiter = createLimiter({ policy: { version: 1, limits: [PER_USER] }, store: memoryStore() });
    const guard = langchainGuard(limiter, {
      dimensions: ({ context, configurable }: Runtime<{ userId: string }>) => ({
        user: context.userId,
        plan: `${configurable?.plan}`,
      }),
    });
    const search = tool(() => "a hit", { name: "search", schema: z.object({}) });
    for (const [userId, denied] of [
      ["u1", 0],
      ["u2", 0],
      ["u1", 1],
    ] as const) {
      const model = fakeModel().respond(calls("search")).respond(new AIMessage("The end."));
      const agent = createAgent({ model, tools: [search], middleware: [guard] });
      assert.equal((await invoke(agent, { plan: "pro" }, { context: { userId } })).denied.length, denied);
    }
  });

  it("have the session of a bound limiter", async () => {
    const limiter = createLimiter({ policy: { version: 1, limits: [THREAD] }, store: memoryStore() });
    const search = tool(() => "a hit", { name: "search", schema: z.object({}) });
    const model = fakeModel().respond(calls("search")).respond(new AIMessage("The end."));
    const middleware = [langchainGuard(limiter.for({ session: "bound" }))];
    await invoke(createAgent({ model, tools: [search], middleware }), {});
    assert.equal((await limiter.usage({ session: "bound" }))[0]?.used, 1);
  });
});

describe("what goes wrong", () => {
  const isMissing = ({ name, message, cause }: Error) =>
    name === "MisuseError" &&
    /thread_id.*dimensions/.test(message) &&
    MisuseError.isInstance(cause) &&
    cause.code === "missing-dimension" &&
    cause.faults[0]?.path === "session";

  it("without a thread: the run rejects with what to set", async () => {
    const { parts, ran } = agentOf([THREAD], [calls("search")]);
    await assert.rejects(invoke(createAgent(parts), {}), isMissing);
    assert.equal(ran.search, 0);
  });

  it("without a thread, in parallel calls: the same, several times", async () => {
    const { parts } = agentOf([THREAD], [calls("search", "search")]);
    await assert.rejects(invoke(createAgent(parts), {}), ({ errors }: AggregateError) => errors.every(isMissing));
  });

  it("without a thread, where another middleware turns errors into text: the same", async () => {
    const { parts, model } = agentOf([THREAD], [calls("search"), new AIMessage("The end.")]);
    const middleware = [retries(1), ...parts.middleware];
    await assert.rejects(invoke(createAgent({ ...parts, middleware }), {}), isMissing);
    assert.equal(model.callCount, 1);
  });

  it("a store that is away: the run rejects, and the tool does not run", async () => {
    const apply = async () => {
      throw new StoreError("unavailable", "the store is away", { transient: true });
    };
    const store = { apply, close: async () => {} };
    const limiter = createLimiter({ policy: { version: 1, limits: [THREAD] }, store });
    const { parts, ran, model } = agentOf([THREAD], [calls("search")]);
    const agent = createAgent({ ...parts, middleware: [langchainGuard(limiter)] });
    await assert.rejects(invoke(agent), ({ cause }: Error) => StoreError.isInstance(cause));
    assert.deepEqual([ran.search, model.callCount], [0, 1]);
  });

  const CREDITS: PolicyInput["limits"][number] = { name: "credits", per: ["session"], unit: "credits", quota: 100 };
  const held = (onError: string) => ({ onError, tools: { search: { cost: { credits: 4 } } } });
  /** As it comes it does not fit into `createAgent` under `exactOptionalPropertyTypes`. */
  const retries = (maxRetries: number) =>
    toolRetryMiddleware({ maxRetries, initialDelayMs: 1 }) as unknown as ReturnType<typeof langchainGuard>;
  const fail = async (): Promise<string> => {
    throw new RangeError("no network");
  };
  const failing = tool(fail, { name: "search", schema: z.object({}) });
  for (const [onError, used] of [
    ["charge", 4],
    ["refund", 0],
  ] as const) {
    it(`a tool whose own onError is ${onError}: ${used} of 4 are booked`, async () => {
      const policy = {
        onError: used === 0 ? "charge" : "refund",
        tools: { search: { cost: { credits: 4 }, onError } },
      };
      const { parts, limiter } = agentOf([CREDITS], [calls("search"), new AIMessage("The end.")], {}, policy);
      await invoke(createAgent({ ...parts, tools: [failing] }));
      assert.equal((await limiter.usage({ session: "t1" }))[0]?.used, used);
    });

    it(`a tool that throws: the same words as without limits, and with onError ${onError} ${used} of 4 are booked`, async () => {
      const replies = () => [calls("search"), new AIMessage("The end.")];
      const { parts, limiter } = agentOf([CREDITS], replies(), {}, held(onError));
      const guarded = await invoke(createAgent({ ...parts, tools: [failing] }));
      const plain = agentOf([CREDITS], replies());
      const bare = await invoke(createAgent({ ...plain.parts, tools: [failing], middleware: [] }));
      assert.equal(guarded.answer, "The end.");
      assert.equal(guarded.denied[0]?.text, bare.denied[0]?.text);
      assert.equal((await limiter.usage({ session: "t1" }))[0]?.used, used);
    });

    it(`a tool that is tried again inside: one call, and with onError ${onError} ${used} of 4 are booked`, async () => {
      const { parts, limiter } = agentOf([CREDITS], [calls("search"), new AIMessage("The end.")], {}, held(onError));
      const middleware = [...parts.middleware, retries(2)];
      const { denied } = await invoke(createAgent({ ...parts, tools: [failing], middleware }));
      assert.match(denied[0]?.text ?? "", /failed after 3 attempts/);
      assert.equal((await limiter.usage({ session: "t1" }))[0]?.used, used);
    });
  }

  it("a tool that is tried again outside: each try is a call", async () => {
    const { parts, limiter } = agentOf([CREDITS], [calls("search"), new AIMessage("The end.")], {}, held("charge"));
    const middleware = [retries(2), ...parts.middleware];
    await invoke(createAgent({ ...parts, tools: [failing], middleware }));
    assert.equal((await limiter.usage({ session: "t1" }))[0]?.used, 12);
  });

  it("arguments that do not fit: the model gets the error, as without limits", async () => {
    const { parts } = agentOf([THREAD], [calls("search"), new AIMessage("The end.")]);
    const strict = tool(() => "a hit", { name: "search", schema: z.object({ query: z.string() }) });
    const { denied, answer } = await invoke(createAgent({ ...parts, tools: [strict] }));
    assert.match(denied[0]?.text ?? "", /^Error invoking tool 'search'/);
    assert.equal(answer, "The end.");
  });

  it("an aborted run: its hold is refunded", async () => {
    const stop = new AbortController();
    const { parts, limiter } = agentOf([CREDITS], [calls("search")], {}, held("refund"));
    const { promise: isOver, resolve } = Promise.withResolvers<void>();
    const slow = tool(
      async (_args, { signal }: { signal?: AbortSignal }) => {
        stop.abort();
        await sleep(5_000, undefined, { signal }).catch(() => {});
        resolve();
        signal?.throwIfAborted();
      },
      { name: "search", schema: z.object({}) },
    );
    await assert.rejects(invoke(createAgent({ ...parts, tools: [slow] }), undefined, { signal: stop.signal }));
    await isOver;
    await settled();
    assert.equal((await limiter.usage({ session: "t1" }))[0]?.used, 0);
  });

  it("an interrupted run: it continues as the same run", async () => {
    const { parts, limiter } = agentOf(
      [RUN],
      [calls("search"), calls("search"), calls("search"), new AIMessage("The end.")],
      {},
      { onError: "refund" },
    );
    const asking = tool(() => interrupt("May I?"), { name: "search", schema: z.object({}) });
    const agent = createAgent({ ...parts, tools: [asking], checkpointer: new MemorySaver() });
    const config = { configurable: { thread_id: "t1" } };
    await agent.invoke({ messages: [{ role: "user", content: "Find it." }] }, config);
    await agent.invoke(new Command({ resume: "yes" }), config);
    const { messages } = await agent.invoke(new Command({ resume: "yes" }), config);
    const results = messages.filter((message) => ToolMessage.isInstance(message)).map(({ text }) => text);
    assert.deepEqual(
      results.slice(0, 2).map((text) => text.split("\n")[0]),
      ["yes", "yes"],
    );
    assert.match(results[2] ?? "", /^Limit reached \(run\)/);
    await limiter.close();
  });
});

describe("calls of the model", () => {
  const TOKENS: PolicyInput["limits"][number] = { name: "tokens", per: ["session"], unit: "tokens", quota: 30 };

  it("are booked with the tokens that they took, and a denied one ends the run with the denial", async () => {
    const { invoke, limiter, model, ran } = agentOf([TOKENS], [calls("search"), calls("search"), calls("search")], {
      model: {},
    });
    const { answer, messages } = await invoke();
    assert.equal((await limiter.usage({ session: "t1" }))[0]?.used, 30);
    assert.deepEqual([model.callCount, ran.search], [2, 1]);
    assert.match(answer ?? "", /^Limit reached: 30 tokens per session\.$/);
    assert.partialDeepStrictEqual(messages.at(-1)?.response_metadata, {
      tollgate: { allowed: false, limit: "tokens" },
    });
  });

  it("are judged under the name and the price of the program", async () => {
    const limits: PolicyInput["limits"] = [
      { name: "credits", per: ["session"], when: { tool: ["gpt"] }, unit: "credits", quota: 1_000 },
      { name: "calls", per: ["session"], when: { tool: ["gpt"] }, quota: 1_000 },
    ];
    const costOf = ({ input, output }: { input: number; output: number }) => ({ credits: input + 10 * output });
    const model = { tool: "gpt", estimate: { credits: 100 }, costOf };
    const { invoke, limiter } = agentOf(limits, [calls("search"), new AIMessage("no usage told")], { model });
    await invoke();
    const used = (await limiter.usage({ session: "t1" })).map((usage) => usage.used);
    assert.deepEqual(used, [60 + 100, 2]);
  });

  it("count by the model's name, unless the option or the dimensions say another", async () => {
    const limits: PolicyInput["limits"] = [{ name: "rate", per: ["model"], when: { tool: ["model"] }, quota: 9 }];
    const cases: [options: LangchainOptions, name: string][] = [
      [{ model: {} }, "gpt-5"],
      [{ model: { model: "gpt" } }, "gpt"],
      [{ model: {}, dimensions: () => ({ model: "own" }) }, "own"],
    ];
    for (const [options, name] of cases) {
      const { invoke, limiter, model } = agentOf(limits, [calls("search"), new AIMessage("The end.")], options);
      Object.assign(model, { model: "gpt-5" });
      assert.equal((await invoke()).passed.length, 1);
      assert.equal((await limiter.usage({ model: name, tool: "model" }))[0]?.used, 2);
    }
  });

  it("with structured answers are booked, too", async () => {
    const { parts, limiter } = agentOf([TOKENS], [], { model: {} });
    const place = { title: "place", type: "object", properties: { city: { type: "string" } } } as const;
    const responseFormat = toolStrategy(place);
    const answer = calls("place");
    Object.assign(answer.tool_calls?.[0] ?? {}, { args: { city: "Ulm" } });
    const model = fakeModel().respond(answer);
    const agent = createAgent({ ...parts, model, responseFormat });
    const asked = { messages: [{ role: "user", content: "Where?" }] };
    const state = await agent.invoke(asked, { configurable: { thread_id: "t1" } });
    assert.partialDeepStrictEqual(state, { structuredResponse: { city: "Ulm" } });
    assert.equal((await limiter.usage({ session: "t1" }))[0]?.used, 15);
  });
});
