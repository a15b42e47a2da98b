// What adapters share that put a model under limits: what a call of it is judged as, and what an answer took.

import { type Call, type Cost, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import { unitCountFault } from "../kernel/charge.ts";
import { checkOptionKeys, type Fault, formatGot, invalidOption } from "../kernel/errors.ts";
import { type AddUsage, checkMaxWait } from "../limiter.ts";

/** What an answer of a model used, as its provider reports it. */
export interface ModelUsage {
  /** Tokens read, with those that were read from a cache or written to one. 0 where it is not reported. */
  readonly input: number;
  /** Tokens written, with those of reasoning. 0 where it is not reported. */
  readonly output: number;
  /** Of `input`: tokens read from the provider's cache. `undefined` where it is not reported. */
  readonly cacheRead: number | undefined;
  /** Of `input`: tokens written to the provider's cache. */
  readonly cacheWrite: number | undefined;
  /** Of `output`: tokens of reasoning. */
  readonly reasoning: number | undefined;
  /** The model's id: of the answer where the provider reports it, else of the model that was asked. */
  readonly model: string | undefined;
  /** The provider's name, as the framework knows it. */
  readonly provider: string | undefined;
}

/** How calls of the model are guarded. */
export interface ModelOptions<Unit extends string = string, Used = Cost<Unit>> {
  /** What the policy knows a call of the model as. Default `model`. */
  readonly tool?: string | undefined;
  /**
   * The dimension `model`, for limits per model. Default: what `dimensions` say, else the model's id as the framework knows it.
   */
  readonly model?: string | undefined;
  /** What to hold while the model answers, instead of what the policy's `tools` say. */
  readonly estimate?: Cost<Unit> | undefined;
  /**
   * How long a call of the model may wait until its limits allow it, 0 to 3,600,000 ms, instead of being denied at once.
   * Default 0.
   */
  readonly maxWaitMs?: number | undefined;
  /**
   * What an answer took, in the policy's units. Default `{ tokens }`: those read and those written, where a limit counts
   * `tokens`. Not called where the provider reports neither: then the answer took what was held. Where it reports one of
   * them, the other is 0 and the answer takes at least what was held; the same holds where this throws or returns something that is not a cost.
   */
  readonly costOf?: ((usage: ModelUsage) => Used) | undefined;
}

/** What a provider reports, before it is known to be of use. Each count may be missing, `null`, or anything else. */
export interface Reported {
  readonly input: unknown;
  readonly output: unknown;
  /** Both together, for where one of them is missing. */
  readonly total?: unknown;
  readonly cacheRead: unknown;
  readonly cacheWrite: unknown;
  readonly reasoning: unknown;
  readonly model: unknown;
  readonly provider: unknown;
  /** Whether the model has written anything: then 0 tokens means that the tokens were not counted. */
  readonly hasAnswer: boolean;
}

/** Calls of a model, as its limits see them. */
export type ModelCalls = ReturnType<typeof modelCalls>;

/** @throws MisuseError `invalid-option` */
export function modelCalls(options: ModelOptions) {
  checkOptionKeys(options, ["tool", "model", "estimate", "maxWaitMs", "costOf"], "model");
  const { tool = "model", model, estimate, maxWaitMs = 0, costOf } = options;
  checkMaxWait(maxWaitMs, "model.maxWaitMs");
  if (costOf !== undefined && typeof costOf !== "function") throw invalidOption("model.costOf", "a function", costOf);
  return {
    /** @param asked the id of the model that is asked, as the framework knows it */
    callOf: (whose: Dimensions, asked: unknown): Call => ({
      ...mergeDimensions({ model: nameIn(asked) }, { ...whose, model: model ?? whose.model }, "dimensions"),
      tool,
      cost: estimate,
    }),
    maxWaitMs,
    /** Reports what an answer took, as far as the provider does. Never throws. */
    book(addUsage: AddUsage, read: () => Reported): void {
      try {
        reportUsage(addUsage, read(), costOf);
      } catch (error) {
        unusable(addUsage, "usage that can be read", error);
      }
    },
  };
}

/** The same model with other methods. Its own methods and getters run on the model itself. */
export function withMethods<Model extends object>(model: Model, methods: object): Model {
  return new Proxy(model, {
    get(target, key) {
      if (Object.hasOwn(methods, key)) return methods[key as keyof object];
      const own = Reflect.get(target, key, target);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

/** A model's id, where there is one that a dimension can have. */
function nameIn(asked: unknown): string | undefined {
  return typeof asked === "string" && asked !== "" ? asked : undefined;
}

function reportUsage(addUsage: AddUsage, reported: Reported, costOf: ModelOptions["costOf"]): void {
  const { input, output, total, usage, fault } = countsOf(reported);
  if (input === undefined && output === undefined && (total === undefined || costOf !== undefined)) {
    if (fault !== undefined) addUsage({}, { atLeast: true, fault });
    return;
  }
  if (costOf === undefined) {
    const tokens = Math.max(total ?? 0, (input ?? 0) + (output ?? 0));
    const isWhole = total !== undefined || (input !== undefined && output !== undefined);
    addUsage({ tokens }, { atLeast: !isWhole || fault !== undefined, fault, skipUnknown: true });
    return;
  }
  let cost: Cost;
  try {
    cost = costOf(usage);
  } catch (error) {
    unusable(addUsage, "a costOf that returns units", error);
    return;
  }
  addUsage(cost, { atLeast: input === undefined || output === undefined || fault !== undefined, fault });
}

function unusable(addUsage: AddUsage, expected: string, error: unknown): void {
  addUsage({}, { atLeast: true, fault: { expected, got: formatGot(error) } });
}

/** The counts that can be used, and the fault of the first one that cannot. */
function countsOf(reported: Reported) {
  let fault: Pick<Fault, "expected" | "got"> | undefined;
  const count = (name: "input" | "output" | "total" | "cacheRead" | "cacheWrite" | "reasoning") => {
    const value = reported[name];
    if (value === undefined || value === null) return undefined;
    const found = unitCountFault(name, value);
    if (found === null) return value as number;
    fault ??= { expected: `${found.expected} as usage.${name}`, got: found.got };
    return undefined;
  };
  // No model reads nothing, and none writes something in no tokens.
  const read = count("input") || undefined;
  const written = reported.hasAnswer ? count("output") || undefined : count("output");
  const all = count("total") || undefined;
  const input = read ?? restOf(all, written);
  const output = written ?? restOf(all, read);
  // A total of one part alone leaves out the other.
  const total = (input === undefined) === (output === undefined) ? all : undefined;
  const { model, provider } = reported;
  const usage: ModelUsage = {
    input: input ?? 0,
    output: output ?? 0,
    cacheRead: count("cacheRead"),
    cacheWrite: count("cacheWrite"),
    reasoning: count("reasoning"),
    model: typeof model === "string" ? model : undefined,
    provider: typeof provider === "string" ? provider : undefined,
  };
  return { input, output, total, usage, fault };
}

function restOf(total: number | undefined, part: number | undefined): number | undefined {
  return total !== undefined && part !== undefined && total > part ? total - part : undefined;
}
