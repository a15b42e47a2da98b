// LangChain.js 1: a middleware for `createAgent`. Calls of tools are judged, if wanted calls of the model too, and a run
// that is denied too often ends politely.

import { createMiddleware, ToolMessage } from "langchain";
import type { AgentMiddleware, AIMessage, Runtime, ToolCallRequest } from "langchain";
import { z } from "zod";
import { randomId } from "../ids.ts";
import { type Cost, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import { checkOptionKeys, invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { AnyOf, Lacking, OnlyDimensions, OnlyUnits, Served, Serving, UnitOf } from "../kernel/policy/typed.ts";
import { type AddUsage, askedBy, type Limiter } from "../limiter.ts";
import { Guard, type GuardOptions } from "./guard.ts";
import { deniedAnswer, deniedResult, hasCalls, lastAnswer, modelNameOf, readMessages } from "./langchain/messages.ts";
import { reportedOf, shownError, withNotice } from "./langchain/messages.ts";
import { type Run, Runs } from "./langchain/runs.ts";
import { type ModelCalls, type ModelOptions, modelCalls } from "./model-calls.ts";

export type { GuardOptions } from "./guard.ts";
export type { ModelOptions, ModelUsage } from "./model-calls.ts";

/** How agents are guarded. */
export interface LangchainOptions<
  Context = unknown,
  Given = Dimensions,
  Unit extends string = string,
  Used = Cost<Unit>,
> extends GuardOptions {
  /**
   * Whose calls they are. Adds to `session`, the `thread_id` of `configurable`, and `turn`, its `run_id` or else an id that
   * each run gets, or overrides them. Asked before each call.
   */
  readonly dimensions?: (runtime: Runtime<Context>) => Given;
  /** Judges calls of the model too. */
  readonly model?: ModelOptions<Unit, Used>;
}

type Middleware = AgentMiddleware<undefined, undefined, unknown>;

/**
 * A middleware that judges calls before they are made. One serves any number of agents and runs.
 *
 * @throws MisuseError `invalid-option`
 */
export function langchainGuard<
  P extends Policy,
  Bound extends string,
  const Used extends Cost<UnitOf<P>>,
  Context = unknown,
>(
  limiter: Limiter<P, Bound> & Served<P, Bound | "session" | "turn">,
  options?: LangchainOptions<Context, AnyOf<P>, UnitOf<P>, Used & OnlyUnits<UnitOf<P>, Used>>,
): Middleware;
export function langchainGuard<
  P extends Policy,
  Bound extends string,
  const Given extends Lacking<P, Bound | "session" | "turn">,
  const Used extends Cost<UnitOf<P>>,
  Context = unknown,
>(
  limiter: Limiter<P, Bound>,
  options: LangchainOptions<Context, Given & OnlyDimensions<P, Given>, UnitOf<P>, Used & OnlyUnits<UnitOf<P>, Used>> &
    Serving<P, Bound | "session" | "turn">,
): Middleware;
export function langchainGuard(limiter: unknown, options: Written = {}): Middleware {
  checkOptionKeys(options, ["maxDenials", "maxWaitMs", "dimensions", "model"]);
  if (options.dimensions !== undefined && typeof options.dimensions !== "function") {
    throw invalidOption("dimensions", "a function", options.dimensions);
  }
  const { model, dimensions: _, ...guardOptions } = options;
  const dimensions = options.dimensions as LangchainOptions["dimensions"];
  const calls = modelCalls(model ?? {});
  const asked = askedBy(limiter as Limiter, "langchain");
  const runs = new Runs(() => new Guard(asked, guardOptions, PLACES));
  const whose = ({ state, runtime }: Asked): Dimensions => {
    const { thread_id: session, run_id: turn = state[RUN] } = runtime.configurable ?? {};
    const given = (dimensions?.(runtime) ?? {}) as Dimensions;
    return mergeDimensions({ session, turn: turn as string }, given, "dimensions");
  };
  const middleware = createMiddleware({
    name: "tollgate",
    stateSchema: z.object({ [RUN]: z.string().optional() }),
    beforeAgent: () => ({ [RUN]: randomId() }),
    afterAgent: (state) => runs.forget(state[RUN]),
    wrapToolCall: async (request, handler) =>
      callTool(runs.of(request.state[RUN]), whose(request), request, () => handler(request)),
    async wrapModelCall(request, handler) {
      const run = runs.of(request.state[RUN]);
      // A middleware outside of this one may have turned the fault into a result.
      run.guard.throwFault();
      const isLast = run.guard.isSpent;
      const read = { ...request, messages: readMessages(request.messages) };
      const ask = async () => handler(isLast ? withoutTools(read) : read);
      const answer = model === undefined ? await ask() : await callModel(run, whose(request), request, calls, ask);
      if (isLast || (run.denial !== "" && !hasCalls(answer))) return lastAnswer(answer, run.denial);
      // The model goes on: what it says later is no answer to this denial.
      run.denial = "";
      return answer;
    },
  });
  return middleware as unknown as Middleware;
}

async function callTool<Result>(
  run: Run,
  whose: Dimensions,
  { toolCall, runtime }: ToolCallRequest,
  handler: () => Result | PromiseLike<Result>,
): Promise<Result | ToolMessage> {
  const { name, args, id } = toolCall;
  let result: Result | undefined;
  const call = async () => {
    try {
      result = await handler();
    } catch (error) {
      throw shownError(error, { toolCall, runtime });
    }
    if (!ToolMessage.isInstance(result)) return result;
    // Another middleware turned the tool's error into text: the call still failed.
    if (result.status === "error") throw new Error(result.text);
    return result.content;
  };
  try {
    const { signal } = runtime;
    const ran = await run.guard.run({ ...whose, tool: name, args, toolCallId: id }, call, { signal });
    if (ran.allowed) return withNotice(result as Result, ran);
    run.denial = ran.message;
    return deniedResult(toolCall, ran);
  } catch (error) {
    if (result !== undefined) return result;
    throw error;
  }
}

async function callModel(
  { guard }: Run,
  whose: Dimensions,
  { model, runtime }: Asked & { readonly model: unknown },
  { callOf, maxWaitMs, book }: ModelCalls,
  ask: () => Promise<AIMessage>,
): Promise<AIMessage> {
  const call = async (addUsage: AddUsage) => {
    const answer = await ask();
    book(addUsage, () => reportedOf(answer, model));
    return answer;
  };
  const ran = await guard.run(callOf(whose, modelNameOf(model)), call, { signal: runtime.signal, maxWaitMs });
  return ran.allowed ? ran.value : deniedAnswer(ran);
}

/** Options whose `dimensions` the compiler knows where the guard is made. */
type Written = Omit<LangchainOptions, "dimensions"> & { readonly dimensions?: unknown };

/** Where a run's id stands in the state. What begins with `_` is private there. */
const RUN = "_tollgateRun";

/** Where a program says whose calls they are. */
const PLACES = "`thread_id` of `configurable` (session) or the option `dimensions`";

/** The part of a hook's request that names its run. */
interface Asked {
  readonly state: { readonly [RUN]?: string | undefined };
  readonly runtime: Runtime;
}

function withoutTools<Request extends { toolChoice?: unknown }>({ toolChoice: _, ...request }: Request) {
  return { ...request, tools: [] };
}
