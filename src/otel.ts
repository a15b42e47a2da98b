// OpenTelemetry for a limiter: metrics, and spans as an option. It uses the API alone: the program decides what is exported,
// and where to.

import { metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Attributes, Meter, Span, Tracer } from "@opentelemetry/api";
import type { Call } from "./kernel/call.ts";
import type { Decision } from "./kernel/decision.ts";
import { flag, having, readOptions, type TableOf } from "./kernel/options.ts";
import type { Operation, Telemetry, TelemetryHooks } from "./limiter.ts";
import { ATTRIBUTES, EXECUTE_TOOL, SCHEMA_URL, SPAN_ATTRIBUTES } from "./metrics/attributes.ts";
import { errorType, Recorder } from "./metrics/recorder.ts";
import { OtelExporter } from "./otel/exporter.ts";
import { VERSION } from "./version.ts";

/** What is reported to OpenTelemetry. */
export interface OtelOptions {
  /** Makes the metrics. Default: the global provider's meter at the time when the limiter is made. */
  readonly meter?: Meter | undefined;
  /** Makes the spans. Default: the global provider's tracer. */
  readonly tracer?: Tracer | undefined;
  /** Whether each `consume`, `record`, `peek`, `reserve` and `run` has a span. Default `false`. */
  readonly spans?: boolean | undefined;
}

const OPTIONS = {
  meter: having<Meter>("createHistogram", "a meter of OpenTelemetry's"),
  tracer: having<Tracer>("startActiveSpan", "a tracer of OpenTelemetry's"),
  spans: flag(false),
} satisfies TableOf<OtelOptions>;

/** The tool that a call of a model is, unless a guard's option says otherwise. */
const MODEL = "model";
/** Longest id of a tool call that a span has. */
const MAX_ID_LENGTH = 256;

/**
 * Reports decisions and events of limiters to OpenTelemetry, as their option `telemetry`.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { otel } from "tollgate/otel";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 50 }] },
 *   store: memoryStore(),
 *   telemetry: otel({ spans: true }),
 * });
 * const { allowed } = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(allowed); // true
 * await limiter.close();
 * ```
 */
export function otel(options: OtelOptions = {}): Telemetry {
  const { meter: ownMeter, tracer: ownTracer, spans } = readOptions(OPTIONS, options);
  const scope = ["tollgate", VERSION] as const;
  return {
    observe(policy) {
      const meter = ownMeter ?? metrics.getMeter(...scope, { schemaUrl: SCHEMA_URL });
      const recorder = new Recorder(new OtelExporter(meter), policy);
      if (!spans) return recorder;
      const tracer = ownTracer ?? trace.getTracerProvider().getTracer(...scope, { schemaUrl: SCHEMA_URL });
      const decided = recorder.decided.bind(recorder);
      const { around, describeSpan } = tracing(tracer, (tool) => recorder.toolOf(tool));
      return Object.assign(recorder, {
        around,
        decided(...args: Parameters<TelemetryHooks["decided"]>) {
          decided(...args);
          describeSpan(args[0]);
        },
      });
    },
  };
}

/** Runs each operation in an active span of its own. */
function tracing(tracer: Tracer, toolOf: (tool: unknown) => string) {
  const made = new WeakSet<Span>();
  return {
    /** Adds a decision to the span of its operation: the function of `run` may throw after it. */
    describeSpan(decision: Decision): void {
      const span = trace.getActiveSpan();
      if (span !== undefined && made.has(span)) span.setAttributes(decisionAttributes(decision));
    },
    around<Answer extends Decision>(operation: Operation, call: Call, work: () => Promise<Answer>): Promise<Answer> {
      const attributes = startAttributes(operation, call, toolOf);
      return tracer.startActiveSpan(`tollgate.${operation}`, { attributes }, async (span) => {
        made.add(span);
        try {
          const decision = await work();
          span.setAttributes(decisionAttributes(decision));
          return decision;
        } catch (error) {
          // Neither message nor stack: they may contain words of a call.
          span.setAttribute(ATTRIBUTES.error_type, errorType(error));
          span.setStatus({ code: SpanStatusCode.ERROR });
          throw error;
        } finally {
          span.end();
        }
      });
    },
  };
}

function startAttributes(operation: Operation, call: Call, toolOf: (tool: unknown) => string): Attributes {
  const { tool, model, toolCallId } = call;
  const isId = typeof toolCallId === "string" && toolCallId.length <= MAX_ID_LENGTH;
  return {
    [ATTRIBUTES.operation]: operation,
    [ATTRIBUTES.tool]: toolOf(tool),
    // The call of a model is no execution of a tool.
    ...(operation === "run" && model === undefined && tool !== MODEL
      ? { [SPAN_ATTRIBUTES.genAiOperation]: EXECUTE_TOOL }
      : {}),
    ...(isId ? { [SPAN_ATTRIBUTES.toolCallId]: toolCallId } : {}),
  };
}

function decisionAttributes({ allowed, deniedBy, degraded, replayed, retryAfterMs }: Decision): Attributes {
  return {
    [ATTRIBUTES.allowed]: allowed,
    [ATTRIBUTES.degraded]: degraded !== null,
    [ATTRIBUTES.replayed]: replayed,
    ...(retryAfterMs === null ? {} : { [SPAN_ATTRIBUTES.retryAfterMs]: retryAfterMs }),
    ...(deniedBy === null ? {} : { [SPAN_ATTRIBUTES.deniedBy]: deniedBy }),
  };
}
