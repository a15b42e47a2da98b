// One guard of the AI SDK for all runs of an agent that lives as long as its module, as the SDK's agents do.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import * as seven from "ai";
import * as six from "ai6";
import { createLimiter, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import { type AiSdkOptions, aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { memoryStore } from "tollgate/stores/memory";
import { z } from "zod";
import { ANSWER, runawayModel } from "./ai-sdk-model.ts";

/** A quota that no run may use. */
const DENYING: PolicyInput = { version: 1, limits: [{ name: "none", per: ["session"], quota: 0 }] };
const TWO: PolicyInput = { version: 1, limits: [{ name: "per-turn", per: ["turn"], quota: 2 }] };

const versions = { 6: six as unknown as typeof seven, 7: seven };
for (const version of [6, 7] as const) {
  const { ToolLoopAgent, stepCountIs, streamText, tool, wrapLanguageModel } = versions[version];

  function setUp(limiter: Limiter, options: AiSdkOptions = {}, calls = 1) {
    const guard = aiSdkGuard(limiter, options);
    const ran: string[] = [];
    const search = tool({
      inputSchema: z.object({ query: z.string() }),
      contextSchema: z.any(),
      execute: async (_input: unknown, { toolCallId }: { toolCallId: string }) => {
        ran.push(toolCallId);
        await turn();
        return "a hit";
      },
    } as never);
    const { model } = runawayModel(version, calls);
    const settings = {
      model: model as seven.LanguageModel,
      tools: guard.tools({ search }),
      prepareStep: guard.prepareStep,
    };
    return { guard, ran, settings, model };
  }

  /** What a run comes to: its text, and how many steps it took. */
  async function outcomeOf(run: PromiseLike<{ readonly text: string; readonly steps: readonly unknown[] }>) {
    const { text, steps } = await run;
    return [text, steps.length];
  }

  describe(`one guard for all runs of an agent of the AI SDK ${version}`, () => {
    const LAST = [ANSWER, 4];

    it("counts the denials of each run separately, one after the other", async () => {
      const limiter = createLimiter({ policy: DENYING, store: memoryStore() }).for({ session: "s1" });
      const { settings } = setUp(limiter);
      const agent = new ToolLoopAgent({ ...settings, stopWhen: stepCountIs(20) });
      for (let i = 0; i < 3; i++) assert.deepEqual(await outcomeOf(agent.generate({ prompt: "Find it." })), LAST);
    });

    it("counts the denials of each run separately, also of concurrent runs", async () => {
      const limiter = createLimiter({ policy: DENYING, store: memoryStore() }).for({ session: "s1" });
      const { settings } = setUp(limiter);
      const agent = new ToolLoopAgent({ ...settings, stopWhen: stepCountIs(20) });
      const runs = Array.from({ length: 20 }, () => outcomeOf(agent.generate({ prompt: "Find it." })));
      assert.deepEqual(
        await Promise.all(runs),
        Array.from({ length: 20 }, () => LAST),
      );
    });

    it("counts the denials of each run separately where the answer is streamed", async () => {
      const limiter = createLimiter({ policy: DENYING, store: memoryStore() }).for({ session: "s1" });
      const { settings } = setUp(limiter);
      const streamed = async () => {
        const result = streamText({ ...settings, prompt: "Find it.", stopWhen: stepCountIs(20) });
        return outcomeOf(Promise.all([result.text, result.steps]).then(([text, steps]) => ({ text, steps })));
      };
      assert.deepEqual(await streamed(), LAST);
      assert.deepEqual(await Promise.all([streamed(), streamed(), streamed()]), [LAST, LAST, LAST]);
    });

    it("counts parallel calls of one step, and ends each run with isSpent", async () => {
      const limiter = createLimiter({ policy: DENYING, store: memoryStore() }).for({ session: "s1" });
      const { guard, settings } = setUp(limiter, { maxDenials: 5 }, 4);
      const { prepareStep: _, ...unprepared } = settings;
      const agent = new ToolLoopAgent({ ...unprepared, stopWhen: [stepCountIs(20), guard.isSpent] });
      const runs = [1, 2, 3].map(() => outcomeOf(agent.generate({ prompt: "Find it." })));
      assert.deepEqual(await Promise.all(runs), [
        ["", 2],
        ["", 2],
        ["", 2],
      ]);
    });

    it("works with a prepareStep of the program", async () => {
      const limiter = createLimiter({ policy: DENYING, store: memoryStore() }).for({ session: "s1" });
      const { guard, settings } = setUp(limiter);
      const seen: number[] = [];
      const agent = new ToolLoopAgent({
        ...settings,
        stopWhen: stepCountIs(20),
        prepareStep: (step) => {
          seen.push(step.stepNumber);
          return { temperature: 0, messages: step.messages.slice(-3), ...guard.prepareStep(step) };
        },
      });
      assert.deepEqual(await outcomeOf(agent.generate({ prompt: "Find it." })), LAST);
      assert.deepEqual(await outcomeOf(agent.generate({ prompt: "Find it." })), LAST);
      assert.deepEqual(seen, [0, 1, 2, 3, 0, 1, 2, 3]);
    });

    it("fails a run whose call cannot be judged, and no other", async () => {
      const limiter = createLimiter({ policy: TWO, store: memoryStore() });
      const known =
        version === 7 ? { toolsContext: { search: { turn: "t1" } } } : { experimental_context: { turn: "t1" } };
      const { settings, ran } = setUp(limiter, {
        dimensions: ({ context }) => context as { turn: string } | undefined,
      });
      const generate = (more: object) =>
        versions[version].generateText({
          ...settings,
          prompt: "Find it.",
          stopWhen: stepCountIs(20),
          ...more,
        } as never);
      const isMissing = (error: unknown) =>
        MisuseError.isInstance(error) && error.code === "missing-dimension" && /option dimensions/.test(error.message);
      const [failed, fine] = await Promise.allSettled([generate({}), generate(known)]);
      assert.ok(failed?.status === "rejected" && isMissing(failed.reason), String(failed?.status));
      assert.ok(fine?.status === "fulfilled");
      assert.deepEqual([fine.value.text, fine.value.steps.length, ran.length], [ANSWER, 2 + 3 + 1, 2]);
      await assert.rejects(generate({}), isMissing);
    });

    it("takes dimensions of tool calls and model calls from the option dimensions", async () => {
      const policy: PolicyInput = {
        version: 1,
        limits: [
          { name: "calls", per: ["user"], when: { tool: ["search"] }, quota: 2 },
          { name: "tokens", per: ["user"], when: { tool: ["model"] }, unit: "tokens", quota: 1_000 },
        ],
      };
      const limiter = createLimiter({ policy, store: memoryStore() });
      const seen: unknown[] = [];
      const { guard, settings, model } = setUp(limiter, {
        dimensions(call) {
          seen.push(call);
          return (call.context ?? call.providerOptions?.tollgate) as { user: string };
        },
      });
      const guarded = wrapLanguageModel({ model: model as never, middleware: guard.model() as never });
      for (const [user, steps] of [
        ["u1", 6],
        ["u2", 6],
        ["u1", 4],
      ] as const) {
        const known = version === 7 ? { toolsContext: { search: { user } } } : { experimental_context: { user } };
        const { text, steps: taken } = await versions[version].generateText({
          ...settings,
          model: guarded,
          prompt: "Find it.",
          stopWhen: stepCountIs(20),
          providerOptions: { tollgate: { user } },
          ...known,
        } as never);
        assert.deepEqual([text, taken.length], [ANSWER, steps]);
      }
      const used = await Promise.all(["u1", "u2"].map((user) => limiter.usage({ user })));
      assert.deepEqual(
        used.flat().map(({ limit, used }) => [limit, used]),
        [
          ["calls", 2],
          ["tokens", 150],
          ["calls", 2],
          ["tokens", 90],
        ],
      );
      assert.ok(seen.length > 0);
    });

    it("fails a run when the option dimensions throws, or returns no object", async () => {
      const limiter = createLimiter({ policy: TWO, store: memoryStore() });
      for (const [dimensions, expected] of [
        [() => assert.fail("no such user"), /no such user/],
        [() => "t1" as never, /dimensions: expected an object/],
      ] as const) {
        const { settings, ran } = setUp(limiter, { dimensions });
        await assert.rejects(new ToolLoopAgent(settings).generate({ prompt: "Find it." }), expected);
        assert.equal(ran.length, 0);
      }
    });
  });
}

describe("a guard of the AI SDK", () => {
  const limiter = createLimiter({ policy: DENYING, store: memoryStore() });

  it("refuses wrong options, and steps that did not come from the SDK", () => {
    const isInvalid = (path: string) => (error: unknown) =>
      MisuseError.isInstance(error) && error.code === "invalid-option" && error.faults[0]?.path === path;
    assert.throws(() => aiSdkGuard(limiter, { dimensions: {} } as never), isInvalid("dimensions"));
    assert.throws(() => aiSdkGuard(limiter, { dimension: () => ({}) } as never), isInvalid("options"));
    const { prepareStep, isSpent } = aiSdkGuard(limiter);
    for (const told of [undefined, null, {}, { steps: 3 }]) {
      assert.throws(() => prepareStep(told as never), isInvalid("steps"));
      assert.throws(() => isSpent(told as never), isInvalid("steps"));
    }
  });

  it("fits the types of both versions", () => {
    const { prepareStep, isSpent } = aiSdkGuard(limiter);
    const forSix: Parameters<typeof six.generateText>[0]["prepareStep"] = prepareStep;
    const forSeven: Parameters<typeof seven.generateText>[0]["prepareStep"] = prepareStep;
    const stopSix: Parameters<typeof six.streamText>[0]["stopWhen"] = isSpent;
    const stopSeven: Parameters<typeof seven.streamText>[0]["stopWhen"] = [seven.stepCountIs(3), isSpent];
    const given: readonly unknown[] = [forSix, forSeven, stopSix, stopSeven];
    assert.deepEqual(given.slice(0, 3), [prepareStep, prepareStep, isSpent]);
  });

  it("counts only its own denials", () => {
    const { isSpent } = aiSdkGuard(limiter, { maxDenials: 1 });
    const errors = [new Error("no network"), "text", undefined, null];
    const content = errors.map((error) => ({ type: "tool-error", error }));
    assert.equal(isSpent({ steps: [{ content }, { content: [] }] }), false);
  });
});
