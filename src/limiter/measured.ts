// A limiter whose operations are measured. Its deciding methods are replaced when it is made, so that a limiter without telemetry
// pays nothing.

import { monotonicClock } from "../clock.ts";
import { type Call, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import type { RunOptions } from "./hold.ts";
import { notify } from "./listener.ts";
import type { RunFunction } from "./run.ts";
import type { Operation, TelemetryHooks } from "./telemetry.ts";
import type { WaitOptions } from "./call-options.ts";

type Decide = (call: Call, options?: WaitOptions) => Promise<Decision>;
type Begin = (call: Call, options: WaitOptions) => Promise<{ readonly decision: Decision }>;

/** The methods that decide. Some limiters lack the optional ones. */
interface Methods extends Readonly<Record<"consume" | "record" | "peek" | "reserve", Decide>> {
  readonly run: (call: Call, work: RunFunction<unknown>, options?: RunOptions) => Promise<Decision>;
  readonly for: (dimensions: Dimensions) => Methods;
  readonly consumeForRemote?: (call: Call, options: WaitOptions) => Promise<Decision>;
  readonly reserveForRemote?: (call: Call, options: WaitOptions) => Promise<Decision>;
  readonly begin?: Begin;
  readonly via?: (name: string) => Methods;
}

/**
 * Measures a limiter, and the limiters that are bound from it.
 *
 * @param bound the dimensions that are bound already
 * @returns the same limiter
 */
export function measured<Limiter extends Methods>(
  limiter: Limiter,
  hooks: TelemetryHooks,
  bound: Dimensions = {},
): Limiter {
  const { consume, record, peek, reserve, run, consumeForRemote, reserveForRemote, begin, via } = limiter;
  const bind = limiter.for;
  const around = <Answer extends Decision>(operation: Operation, call: Call, work: () => Promise<Answer>) =>
    hooks.around === undefined ? work() : hooks.around(operation, wholeOf(bound, call), work);
  const deciding =
    (operation: Operation, decide: Decide): Decide =>
    (call, options) =>
      around(operation, call, () => timed(hooks, operation, options, () => decide.call(limiter, call, options)));
  const beginning = async (call: Call, options: WaitOptions) => {
    let begun: Awaited<ReturnType<Begin>> | undefined;
    const decide: Decide = async () => {
      begun = await (begin as Begin).call(limiter, call, options);
      return begun.decision;
    };
    await deciding("begin", decide)(call, options);
    return begun as NonNullable<typeof begun>;
  };
  const methods: Partial<Methods> = {
    consume: deciding("consume", consume),
    record: deciding("record", record),
    peek: deciding("peek", peek),
    reserve: deciding("reserve", reserve),
    run: (call, work, options) =>
      around("run", call, () =>
        timed(hooks, "run", options, (decided) => {
          const begun: typeof work = (context) => {
            decided();
            return work(context);
          };
          // The limiter refuses a value that is no function.
          return run.call(limiter, call, typeof work === "function" ? begun : work, options);
        }),
      ),
    for: (dimensions) => {
      const made = bind.call(limiter, dimensions);
      return measured(made, hooks, mergeDimensions(bound, dimensions, "dimensions"));
    },
    ...(consumeForRemote === undefined ? {} : { consumeForRemote: deciding("consume", consumeForRemote as Decide) }),
    ...(reserveForRemote === undefined ? {} : { reserveForRemote: deciding("reserve", reserveForRemote as Decide) }),
    ...(begin === undefined ? {} : { begin: beginning }),
    ...(via === undefined ? {} : { via: (name: string) => measured(via.call(limiter, name), hooks, bound) }),
  };
  return Object.assign(limiter, methods);
}

/** Measures the time of some work until it calls `decided`, at the latest until it ends. */
async function timed<Answer>(
  hooks: TelemetryHooks,
  operation: Operation,
  options: WaitOptions | undefined,
  work: (decided: () => void) => Promise<Answer>,
): Promise<Answer> {
  // The limits decide how long a wait takes: it is no time of a decision.
  let isOver = (options?.maxWaitMs ?? 0) > 0;
  const startedMs = monotonicClock.nowMs();
  const end = (error: unknown) => {
    if (isOver) return;
    isOver = true;
    notify("telemetry", () => hooks.took(operation, (monotonicClock.nowMs() - startedMs) / 1_000, error));
  };
  try {
    const answer = await work(() => end(null));
    end(null);
    return answer;
  } catch (error) {
    end(error);
    throw error;
  }
}

/** A call with its bound dimensions. The limiter refuses a call that cannot be read. */
function wholeOf(bound: Dimensions, call: Call): Call {
  try {
    return mergeDimensions(bound, call, "call");
  } catch {
    return bound as Call;
  }
}
