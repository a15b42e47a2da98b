// What adapters share that put a model under limits: what a call of it is judged as, and what an answer took.

import type { Call, Cost } from "../kernel/call.ts";
import { checkOptionKeys, invalidOption } from "../kernel/errors.ts";
import type { Report } from "../limiter.ts";

/** How calls of the model are guarded. */
export interface ModelOptions {
  /** What the policy knows a call of the model as. Default `model`. */
  readonly tool?: string | undefined;
  /** What to hold while the model answers, instead of what the policy's `tools` say. */
  readonly cost?: Cost | undefined;
  /**
   * What an answer took, in the policy's units. Default `{ tokens }`: those read and those written. Not asked where the
   * provider does not say: then it took what was held.
   */
  readonly costOf?: ((tokens: { readonly input: number; readonly output: number }) => Cost) | undefined;
}

/** Calls of a model, as its limits see them. */
export interface ModelCalls {
  readonly call: Call;
  /** Reports what an answer took, in tokens, if the provider says so. */
  book(report: Report, input: number | undefined, output: number | undefined): void;
}

/**
 * Calls of a model.
 *
 * @throws MisuseError `invalid-option`
 */
export function modelCalls(options: ModelOptions): ModelCalls {
  checkOptionKeys(options, ["tool", "cost", "costOf"], "model");
  const { tool = "model", cost, costOf = ({ input, output }) => ({ tokens: input + output }) } = options;
  if (typeof costOf !== "function") throw invalidOption("model.costOf", "a function", costOf);
  return {
    call: { tool, cost },
    book(report, input, output) {
      if (input === undefined && output === undefined) return;
      report(costOf({ input: input ?? 0, output: output ?? 0 }));
    },
  };
}
