// The Vercel AI SDK, 6 and 7: tools that are wrapped, a middleware for the model, and a polite end of the loop.
// Everything is structural: nothing of the SDK is imported.

import type { Call } from "../kernel/call.ts";
import { LimitExceededError } from "../kernel/errors.ts";
import type { Limiter } from "../limiter.ts";
import { type ModelMiddleware, modelMiddleware } from "./ai-sdk/model.ts";
import { Guard, type GuardOptions, noticed } from "./guard.ts";
import type { ModelOptions } from "./model-calls.ts";

export type { ModelMiddleware } from "./ai-sdk/model.ts";
export type { GuardOptions } from "./guard.ts";
export type { ModelOptions, ModelUsage } from "./model-calls.ts";

/** What the SDK tells a tool that is called. */
interface ToolCallOptions {
  readonly toolCallId: string;
  readonly abortSignal?: AbortSignal | undefined;
}

/** One run of an agent under its limits: make one for each `generateText`, `streamText` or request. */
export interface AiSdkGuard {
  /** The same tools, each call of which is judged first. A denied one throws, which the SDK hands to the model as text. */
  tools<Tools extends Readonly<Record<string, object>>>(tools: Tools): Tools;
  /** For `prepareStep`: after `maxDenials` denied calls one last answer without tools. */
  readonly prepareStep: () => { activeTools: []; toolChoice: "none" } | undefined;
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
    prepareStep() {
      guard.throwFault();
      return guard.isSpent ? { activeTools: [], toolChoice: "none" } : undefined;
    },
    isSpent: () => guard.isSpent,
    model: (modelOptions = {}) => modelMiddleware(guard, modelOptions),
  };
}

/** A tool that is judged before it runs. One without `execute` runs elsewhere. */
function wrapTool(guard: Guard, tool: string, definition: { execute?: unknown }): object {
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
      return noticed(ran.value, ran.decision);
    },
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
