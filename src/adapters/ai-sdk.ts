// The Vercel AI SDK, 6 and 7: tools that are wrapped, a middleware for the model, and a polite end of the loop.
// Everything is structural: nothing of the SDK is imported.

import type { Call } from "../kernel/call.ts";
import { LimitExceededError } from "../kernel/errors.ts";
import type { Limiter } from "../limiter.ts";
import { denialIn, type Step, speakingModel } from "./ai-sdk/last-answer.ts";
import { type ModelMiddleware, modelMiddleware } from "./ai-sdk/model.ts";
import { noteFor, withNotices } from "./ai-sdk/notices.ts";
import { Guard, type GuardOptions } from "./guard.ts";
import type { ModelOptions } from "./model-calls.ts";

export type { ModelMiddleware } from "./ai-sdk/model.ts";
export type { GuardOptions } from "./guard.ts";
export type { ModelOptions } from "./model-calls.ts";

/** What the SDK tells a tool that is called. */
interface ToolCallOptions {
  readonly toolCallId: string;
  readonly abortSignal?: AbortSignal | undefined;
  readonly messages?: unknown;
}

/** What the SDK tells `prepareStep`. */
interface StepOptions {
  readonly model?: unknown;
  readonly steps?: readonly Step[];
}

/** A step without tools. */
// biome-ignore lint/suspicious/noExplicitAny: models of both versions must fit.
type LastStep = { activeTools: []; toolChoice: "none"; model?: any };

/** One run of an agent under its limits: make one for each `generateText`, `streamText` or request. */
export interface AiSdkGuard {
  /** The same tools, each call of which is judged first. A denied one throws, which the SDK hands to the model as text. */
  tools<Tools extends Readonly<Record<string, object>>>(tools: Tools): Tools;
  /**
   * For `prepareStep`: after `maxDenials` denied calls one last answer without tools. Where the model then says nothing, or
   * calls a tool all the same, the answer is the denial.
   */
  readonly prepareStep: (options?: StepOptions) => LastStep | undefined;
  /** For `stopWhen`: ends the loop after `maxDenials` denied calls, without a last answer. */
  readonly isSpent: () => boolean;
  /** For `wrapLanguageModel`: judges each call of the model, and books the tokens that it took. */
  model(options?: ModelOptions): ModelMiddleware;
}

/**
 * Guards one run of an agent.
 *
 * @param limiter bound to whose run it is: `limiter.for({ session, turn, user })`
 * @throws MisuseError `invalid-option`
 */
export function aiSdkGuard(limiter: Limiter, options: GuardOptions = {}): AiSdkGuard {
  const guard = new Guard(limiter, options);
  return {
    tools<Tools extends Readonly<Record<string, object>>>(tools: Tools): Tools {
      const wrapped = Object.entries(tools).map(([name, tool]) => [name, wrapTool(guard, name, tool)]);
      return Object.fromEntries(wrapped) as Tools;
    },
    prepareStep({ model, steps = [] } = {}) {
      guard.throwFault();
      if (!guard.isSpent) return undefined;
      const denial = denialIn(steps.at(-1));
      const speaking = denial === null ? null : speakingModel(model, denial);
      return { activeTools: [], toolChoice: "none", ...(speaking === null ? {} : { model: speaking }) };
    },
    isSpent: () => guard.isSpent,
    model: (modelOptions = {}) => modelMiddleware(guard, modelOptions),
  };
}

/** A tool of the SDK. */
interface Definition {
  readonly execute?: unknown;
  readonly toModelOutput?: Parameters<typeof withNotices>[0];
}

/** A tool that is judged before it runs. One without `execute` runs elsewhere. */
function wrapTool(guard: Guard, tool: string, definition: Definition): object {
  const { execute } = definition;
  if (!isFunction(execute)) return definition;
  const callOf = (args: unknown, { toolCallId }: ToolCallOptions): Call => ({ tool, args, id: toolCallId });
  if (execute.constructor.name === "AsyncGeneratorFunction") {
    // A plain function round a generator would hide that it is one.
    const generate = async function* (args: unknown, options: ToolCallOptions) {
      yield* guard.iterate(
        callOf(args, options),
        () => execute(args, options) as AsyncIterable<unknown>,
        options.abortSignal,
      );
    };
    return { ...definition, execute: generate };
  }
  return {
    ...definition,
    async execute(args: unknown, options: ToolCallOptions) {
      const ran = await guard.run(callOf(args, options), () => lastOf(execute(args, options)), options.abortSignal);
      if (!ran.allowed) throw new LimitExceededError(ran.decision);
      noteFor(tool, args, options.messages, ran.decision);
      return ran.value;
    },
    toModelOutput: withNotices(definition.toModelOutput?.bind(definition)),
  };
}

function isFunction(value: unknown): value is (input: unknown, options: ToolCallOptions) => unknown {
  return typeof value === "function";
}

/** The result of a tool, which may be the last of several. */
async function lastOf(result: unknown): Promise<unknown> {
  if (typeof result !== "object" || result === null || !(Symbol.asyncIterator in result)) return result;
  let last: unknown;
  for await (const value of result as AsyncIterable<unknown>) last = value;
  return last;
}
