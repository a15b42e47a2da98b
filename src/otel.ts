// OpenTelemetry for a limiter: metrics, and spans where they are wanted. It speaks to the API alone: where things are
// exported to is the program's affair.

import { type Meter, metrics, type Tracer, trace } from "@opentelemetry/api";
import { checkOptionKeys, invalidOption } from "./kernel/errors.ts";
import { compiledPolicy, type Policy } from "./kernel/policy.ts";
import type { PolicyInput } from "./kernel/policy-input.ts";
import type { PolicyFor } from "./kernel/typed.ts";
import type { Checked, WrittenPolicy } from "./kernel/typed-keys.ts";
import { createLimiter, type Limiter, type LimiterOptions } from "./limiter.ts";
import { InstrumentedLimiter } from "./otel/instrumented.ts";
import { Instruments } from "./otel/instruments.ts";

/** What a limiter tells of itself. */
export interface OtelOptions {
  /** What makes the instruments. Default: the global provider's, as it is when the limiter is made. */
  readonly meter?: Meter | undefined;
  /** What makes spans. Default: the global provider's. */
  readonly tracer?: Tracer | undefined;
  /** Whether each `consume`, `record`, `peek`, `reserve` and `run` has a span. Default `false`. */
  readonly spans?: boolean | undefined;
}

/**
 * Makes a limiter as `createLimiter` does, which tells OpenTelemetry of its decisions and of its store. Listeners among the
 * options are called as ever. Nothing of a call is told but its tool, where the policy names it.
 *
 * @throws MisuseError as `createLimiter`
 *
 * @example
 * ```ts
 * import { createInstrumentedLimiter } from "tollgate/otel";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createInstrumentedLimiter(
 *   {
 *     policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 50 }] },
 *     store: memoryStore(),
 *   },
 *   { spans: true },
 * );
 * const { allowed } = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(allowed); // true
 * await limiter.close();
 * ```
 */
export function createInstrumentedLimiter<const Source extends Policy | WrittenPolicy>(
  options: LimiterOptions<Source, Source & Checked<Source>>,
  telemetry: OtelOptions = {},
): Limiter<PolicyFor<Source>> {
  checkTelemetry(telemetry);
  checkOptionKeys(options, ["policy", "store", "prefix", "failover", "denyCacheMs", "onDecision", "onEvent", "quotas"]);
  const { meter = metrics.getMeter("tollgate"), tracer = trace.getTracer("tollgate"), spans = false } = telemetry;
  const { onDecision, onEvent } = options;
  for (const [name, listener] of Object.entries({ onDecision, onEvent })) {
    if (listener !== undefined && typeof listener !== "function") throw invalidOption(name, "a function", listener);
  }
  const policy = compiledPolicy(options.policy as Policy | PolicyInput);
  const instruments = new Instruments(meter, policy);
  const limiter = createLimiter({
    ...(options as unknown as LimiterOptions),
    policy,
    onDecision(decision, call) {
      instruments.decided(decision, call);
      return onDecision?.(decision, call);
    },
    onEvent(event) {
      instruments.happened(event);
      return onEvent?.(event);
    },
  });
  // What the compiler knows of the policy is checked by the limiter at run time, for everybody.
  return new InstrumentedLimiter(limiter, instruments, spans ? tracer : null) as Limiter as Limiter<PolicyFor<Source>>;
}

function checkTelemetry(telemetry: OtelOptions): void {
  checkOptionKeys(telemetry, ["meter", "tracer", "spans"], "telemetry");
  const { meter, tracer, spans = false } = telemetry;
  if (typeof spans !== "boolean") throw invalidOption("spans", "true or false", spans);
  if (meter !== undefined && typeof meter?.createHistogram !== "function") {
    throw invalidOption("meter", "a meter of OpenTelemetry's", meter);
  }
  if (tracer !== undefined && typeof tracer?.startActiveSpan !== "function") {
    throw invalidOption("tracer", "a tracer of OpenTelemetry's", tracer);
  }
}
