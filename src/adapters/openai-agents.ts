// The OpenAI Agents SDK: function tools that are wrapped, a model that is under limits, and a polite end of the run.
// Everything is structural: nothing of the SDK is imported.

import { randomId } from "../ids.ts";
import type { Cost, Dimensions } from "../kernel/call.ts";
import { checkOptionKeys, invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { AnyOf, Lacking, OnlyDimensions, OnlyUnits, Served, Serving, UnitOf } from "../kernel/policy/typed.ts";
import { askedBy, type Limiter } from "../limiter.ts";
import { Guard, type GuardOptions } from "./guard.ts";
import type { ModelOptions } from "./model-calls.ts";
import { type AnyModel, guardModel } from "./openai-agents/model.ts";
import { type FunctionTool, invokeGuarded } from "./openai-agents/tool.ts";

export type { GuardOptions } from "./guard.ts";
export type { ModelOptions, ModelUsage } from "./model-calls.ts";
export { watchErrors } from "./openai-agents/tool.ts";

/** How runs of agents are guarded. */
export interface OpenaiAgentsOptions<Context = unknown, Given = Dimensions> extends GuardOptions {
  /**
   * Whose run it is, such as `{ session, user, tenant }`, from the `context` that the program gave to `run`. Asked once
   * for each run. Its `turn` is the run, unless this says another. Default: what the limiter is bound to, alone.
   */
  readonly dimensions?: ((context: Context) => Given) | undefined;
}

/** The SDK makes one for each run. */
interface RunContext {
  readonly context: unknown;
}

/** Agents under limits. One for all runs. */
export interface OpenaiAgentsGuard<Unit extends string = string> {
  /**
   * The same tools, each call of which is judged first: a denied one returns the denial as its result. After `maxDenials`
   * denied calls of a run its model is not shown them any more. Tools that are not functions are left alone.
   */
  tools<Tool extends { readonly type: string }>(tools: readonly Tool[]): Tool[];
  /** Whether so many calls of a run were denied. For `toolUseBehavior`, to end it without a last answer. */
  isSpent(runContext: object): boolean;
  /** The same model, each call of which is judged, and booked with its tokens. It sees only what the limiter is bound to. */
  model<Model extends AnyModel, const Used extends Cost<Unit>>(
    model: Model,
    options?: ModelOptions<Unit, Used & OnlyUnits<Unit, Used>>,
  ): Model;
}

/**
 * Guards runs of agents. A call that cannot be judged (a dimension is missing, the store is away) rejects the run.
 *
 * @throws MisuseError `invalid-option`
 */
export function openaiAgentsGuard<P extends Policy, Bound extends string, Context = unknown>(
  limiter: Limiter<P, Bound> & Served<P, Bound | "turn">,
  options?: OpenaiAgentsOptions<Context, AnyOf<P>>,
): OpenaiAgentsGuard<UnitOf<P>>;
export function openaiAgentsGuard<
  P extends Policy,
  Bound extends string,
  const Given extends Lacking<P, Bound | "turn">,
  Context = unknown,
>(
  limiter: Limiter<P, Bound>,
  options: OpenaiAgentsOptions<Context, Given & OnlyDimensions<P, Given>> & Serving<P, Bound | "turn">,
): OpenaiAgentsGuard<UnitOf<P>>;
export function openaiAgentsGuard(
  limiter: unknown,
  options: OpenaiAgentsOptions<never, unknown> = {},
): OpenaiAgentsGuard {
  checkOptionKeys(options, ["dimensions", "maxDenials", "maxWaitMs"]);
  const { dimensions = () => ({}), ...guardOptions } = options;
  if (typeof dimensions !== "function")
    throw invalidOption("dimensions", "a function of the run's context", dimensions);
  const asked = askedBy(limiter as Limiter, "openai-agents");
  const outsideOfRuns = new Guard(asked, guardOptions);
  const runs = new WeakMap<object, Guard>();
  const begin = (runContext: RunContext): Guard => {
    const turn = asked.for({ turn: randomId() });
    const whose = turn.for(dimensions(runContext.context as never) as Dimensions);
    const guard = new Guard(whose, guardOptions, "the option dimensions, or in limiter.for({ … })");
    runs.set(runContext, guard);
    return guard;
  };
  const isSpent = (runContext: object) => runs.get(runContext)?.isSpent ?? false;
  const wrap = (tool: FunctionTool): FunctionTool => ({
    ...tool,
    isEnabled: async (runContext, agent) => !isSpent(runContext) && (await tool.isEnabled(runContext, agent)),
    invoke: async (runContext, input, details) =>
      invokeGuarded(runs.get(runContext) ?? begin(runContext), tool, runContext, input, details),
  });
  return {
    isSpent,
    tools: <Tool extends { readonly type: string }>(tools: readonly Tool[]) =>
      tools.map((tool) =>
        tool.type === "function" ? (wrap(tool as unknown as FunctionTool) as unknown as Tool) : tool,
      ),
    model: (model, modelOptions = {}) => guardModel(outsideOfRuns, model, modelOptions),
  };
}
