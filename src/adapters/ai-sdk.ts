// The Vercel AI SDK, 6 and 7: tools that are wrapped, a middleware for the model, and a polite end of the loop.
// Everything is structural: nothing of the SDK is imported. Each run is counted by its own steps, so that one guard serves all.

import { type Call, type Cost, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import { checkOptionKeys, invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { AnyOf, Lacking, OnlyDimensions, OnlyUnits, Served, Serving, UnitOf } from "../kernel/policy/typed.ts";
import { askedBy, type Limiter } from "../limiter.ts";
import { denialIn, speakingModel } from "./ai-sdk/last-answer.ts";
import { type ModelMiddleware, modelMiddleware } from "./ai-sdk/model.ts";
import { noteFor, withNotices } from "./ai-sdk/notices.ts";
import { type AiSdkRun, thrownIn } from "./ai-sdk/steps.ts";
import { Guard, type GuardOptions } from "./guard.ts";
import type { ModelOptions } from "./model-calls.ts";

export type { ModelMiddleware } from "./ai-sdk/model.ts";
export type { AiSdkRun, AiSdkStep } from "./ai-sdk/steps.ts";
export type { GuardOptions } from "./guard.ts";
export type { ModelOptions, ModelUsage } from "./model-calls.ts";

interface ToolCallOptions {
  readonly toolCallId: string;
  readonly abortSignal?: AbortSignal | undefined;
  readonly messages?: unknown;
  /** Version 7: the tool's entry in `toolsContext`. */
  readonly context?: unknown;
  /** Version 6: what the run was given. */
  readonly experimental_context?: unknown;
}

/** What is known of the run that a call belongs to. */
export interface AiSdkCall {
  /** Of a tool: its entry in `toolsContext` (version 7), or the run's `experimental_context` (version 6). */
  readonly context?: unknown;
  /** Of the model: the run's `providerOptions`. Providers skip entries that are not theirs, such as `tollgate`. */
  readonly providerOptions?: Readonly<Record<string, unknown>> | undefined;
}

/** How runs of agents are guarded. */
export interface AiSdkOptions<Given = Dimensions> extends GuardOptions {
  /**
   * Whose call it is, such as `{ session, turn, user }`: for a guard that serves runs of several. Called before each call,
   * with what the SDK knows of its run. Default: what the limiter is bound to, alone.
   */
  readonly dimensions?: ((call: AiSdkCall) => Given | undefined) | undefined;
}

/** A step without tools. */
// biome-ignore lint/suspicious/noExplicitAny: models of both versions must fit.
type LastStep = { activeTools: []; toolChoice: "none"; model?: any };

/** Agents under limits: one guard for all runs. Denials are counted for each run. */
export interface AiSdkGuard<Unit extends string = string> {
  /** The same tools, each call of which is judged first. A denied one throws, which the SDK hands to the model as text. */
  tools<Tools extends Readonly<Record<string, object>>>(tools: Tools): Tools;
  /**
   * For `prepareStep`: after `maxDenials` denied calls of the run one last answer without tools. Where the model then says
   * nothing, or still calls a tool, the answer is the denial.
   */
  readonly prepareStep: (run: AiSdkRun & { readonly model?: unknown }) => LastStep | undefined;
  /** For `stopWhen`: ends the loop after `maxDenials` denied calls of the run, without a last answer. */
  readonly isSpent: (run: AiSdkRun) => boolean;
  /** For `wrapLanguageModel`: judges each call of the model, and books the tokens that it took. */
  model<const Used extends Cost<Unit>>(options?: ModelOptions<Unit, Used & OnlyUnits<Unit, Used>>): ModelMiddleware;
}

/**
 * Guards runs of agents.
 *
 * @param limiter bound to the dimensions of its runs, unless the option `dimensions` gives them
 * @throws MisuseError `invalid-option`
 */
export function aiSdkGuard<P extends Policy, Bound extends string>(
  limiter: Limiter<P, Bound> & Served<P, Bound>,
  options?: AiSdkOptions<AnyOf<P>>,
): AiSdkGuard<UnitOf<P>>;
export function aiSdkGuard<P extends Policy, Bound extends string, const Given extends Lacking<P, Bound>>(
  limiter: Limiter<P, Bound>,
  options: AiSdkOptions<Given & OnlyDimensions<P, Given>> & Serving<P, Bound>,
): AiSdkGuard<UnitOf<P>>;
export function aiSdkGuard(limiter: unknown, options: AiSdkOptions<unknown> = {}): AiSdkGuard {
  checkOptionKeys(options, ["maxDenials", "maxWaitMs", "dimensions"]);
  const { dimensions = () => ({}), ...guardOptions } = options;
  if (typeof dimensions !== "function") throw invalidOption("dimensions", "a function", dimensions);
  const guard = new Guard(
    askedBy(limiter as Limiter, "ai-sdk"),
    guardOptions,
    "limiter.for({ … }) or the option dimensions",
  );
  const whose: Whose = (call) => mergeDimensions({}, (dimensions(call) ?? {}) as Dimensions, "dimensions");
  const isSpent = (run: AiSdkRun) => guard.isSpentBy(thrownIn(run));
  return {
    tools<Tools extends Readonly<Record<string, object>>>(tools: Tools): Tools {
      const wrapped = Object.entries(tools).map(([name, tool]) => [name, wrapTool(guard, whose, name, tool)]);
      return Object.fromEntries(wrapped) as Tools;
    },
    prepareStep(run) {
      guard.throwFaultIn(thrownIn(run));
      if (!isSpent(run)) return undefined;
      const denial = denialIn(run.steps.at(-1));
      const speaking = denial === null ? null : speakingModel(run.model, denial);
      return { activeTools: [], toolChoice: "none", ...(speaking === null ? {} : { model: speaking }) };
    },
    isSpent,
    model: (modelOptions = {}) => modelMiddleware(guard, whose, modelOptions),
  };
}

type Whose = (call: AiSdkCall) => Dimensions;

interface Definition {
  readonly execute?: unknown;
  readonly toModelOutput?: Parameters<typeof withNotices>[0];
}

/** A tool that is judged before it runs. One without `execute` runs elsewhere. */
function wrapTool(guard: Guard, whose: Whose, tool: string, definition: Definition): object {
  const { execute } = definition;
  if (!isFunction(execute)) return definition;
  const callOf = (args: unknown, options: ToolCallOptions) => (): Call => {
    const { toolCallId, experimental_context, context = experimental_context } = options;
    return { ...whose({ context }), tool, args, toolCallId };
  };
  if (execute.constructor.name === "AsyncGeneratorFunction") {
    // A plain function round a generator would hide that it is one.
    const generate = async function* (args: unknown, options: ToolCallOptions) {
      yield* guard.iterate(
        callOf(args, options),
        () => execute.call(definition, args, options) as AsyncIterable<unknown>,
        options.abortSignal,
      );
    };
    return changed(definition, { execute: generate });
  }
  return changed(definition, {
    async execute(args: unknown, options: ToolCallOptions) {
      const run = () => lastOf(execute.call(definition, args, options));
      const ran = await guard.run(callOf(args, options), run, { signal: options.abortSignal });
      if (!ran.allowed) throw guard.deniedError(ran);
      noteFor(tool, args, options.messages, ran);
      return ran.value;
    },
    toModelOutput: withNotices(definition.toModelOutput?.bind(definition)),
  });
}

/** A copy of a tool, which may be of a class. */
function changed(definition: Definition, changes: object): object {
  return Object.assign(Object.create(Object.getPrototypeOf(definition)), definition, changes);
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
