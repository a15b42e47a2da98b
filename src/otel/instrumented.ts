// A limiter around a limiter: each decision is timed, and has a span where they are wanted. What is counted is in
// instruments.ts.

import { type Attributes, type Span, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import type { BucketDimensions, Call, Dimensions } from "../kernel/call.ts";
import type { BucketUsage, Decision, Denied } from "../kernel/decision.ts";
import { type CompiledPolicy, compiledPolicy, type Policy } from "../kernel/policy.ts";
import type { PolicyInput } from "../kernel/policy-input.ts";
import {
  type CallOptions,
  type ChangeOptions,
  type CloseOptions,
  type Grant,
  type Hold,
  type Limiter,
  type Outcome,
  policyOf,
  type Ran,
  type Reserved,
  type ReserveOptions,
  type Reset,
  type Revoked,
  type RunFunction,
  type RunOptions,
  type WaitOptions,
} from "../limiter.ts";
import { errorType, type Instruments, type Operation } from "./instruments.ts";

type Bucket = BucketDimensions & { readonly limit: string };

/** Ends a measurement. */
type End = (error: unknown) => void;

/** A limiter that is measured. */
export class InstrumentedLimiter implements Limiter {
  readonly #limiter: Limiter;
  readonly #instruments: Instruments;
  readonly #tracer: Tracer | null;
  /** The tool that was bound, if one was. */
  readonly #tool: unknown;

  constructor(limiter: Limiter, instruments: Instruments, tracer: Tracer | null, tool?: unknown) {
    this.#limiter = limiter;
    this.#instruments = instruments;
    this.#tracer = tracer;
    this.#tool = tool;
  }

  get policy(): CompiledPolicy | null {
    return policyOf(this.#limiter);
  }

  consume(call: Call, options: WaitOptions = {}): Promise<Decision> {
    return this.#measured("consume", call, () => this.#limiter.consume(call, options), mayWait(options));
  }

  async record(call: Call, options?: CallOptions): Promise<Decision> {
    const decision = await this.#measured("record", call, () => this.#limiter.record(call, options));
    // Allowed ones were counted as decisions are; these were booked all the same.
    if (!decision.allowed && !decision.replayed) this.#instruments.booked(decision.verdicts);
    return decision;
  }

  peek(call: Call, options?: CallOptions): Promise<Decision> {
    return this.#measured("peek", call, () => this.#limiter.peek(call, options));
  }

  reserve(call: Call, options: ReserveOptions = {}): Promise<Reserved | Denied> {
    return this.#measured("reserve", call, () => this.#limiter.reserve(call, options), mayWait(options));
  }

  getHold(id: string, call: Call): Hold {
    return this.#limiter.getHold(id, call);
  }

  /** The span is around the run, and active in it; the duration is that of the decision. */
  run<Value>(call: Call, run: RunFunction<Value>, options?: RunOptions): Promise<Ran<Value> | Denied> {
    return this.#inSpan("run", call, async (span) => {
      const end = mayWait(options) ? () => {} : this.#timed("run");
      // What is no function is the limiter's to refuse.
      const began: RunFunction<Value> =
        typeof run !== "function"
          ? run
          : (context) => {
              end(null);
              return run(context);
            };
      try {
        const ran = await this.#limiter.run(call, began, options);
        end(null);
        span?.setAttributes(attributesOf(ran));
        return ran;
      } catch (error) {
        end(error);
        throw error;
      }
    });
  }

  usage(dimensions?: BucketDimensions, options?: CallOptions): Promise<readonly BucketUsage[]> {
    return this.#limiter.usage(dimensions, options);
  }

  reset(bucket: Bucket, options?: ChangeOptions): Promise<Reset> {
    return this.#limiter.reset(bucket, options);
  }

  grant(bucket: Bucket, grant: Grant, options?: CallOptions): Promise<BucketUsage> {
    return this.#limiter.grant(bucket, grant, options);
  }

  revoke(bucket: Bucket, id: string, options?: ChangeOptions): Promise<Revoked> {
    return this.#limiter.revoke(bucket, id, options);
  }

  reportOutcome(call: Call, outcome: Outcome, options?: CallOptions): Promise<void> {
    return this.#limiter.reportOutcome(call, outcome, options);
  }

  reload(policy: Policy | PolicyInput): void {
    const next = compiledPolicy(policy);
    this.#limiter.reload(next);
    this.#instruments.reload(next);
  }

  for(dimensions: Dimensions): InstrumentedLimiter {
    const bound = this.#limiter.for(dimensions) as Limiter;
    return new InstrumentedLimiter(bound, this.#instruments, this.#tracer, dimensions.tool ?? this.#tool);
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#limiter.close(options);
  }

  #measured<Answer extends Decision>(
    operation: Operation,
    call: Call,
    decide: () => Promise<Answer>,
    isWaiting = false,
  ): Promise<Answer> {
    return this.#inSpan(operation, call, async (span) => {
      const end = isWaiting ? () => {} : this.#timed(operation);
      try {
        const decision = await decide();
        end(null);
        span?.setAttributes(attributesOf(decision));
        return decision;
      } catch (error) {
        end(error);
        throw error;
      }
    });
  }

  /** Takes the time from now on to the first end. */
  #timed(operation: Operation): End {
    const startedMs = performance.now();
    let isOver = false;
    return (error) => {
      if (isOver) return;
      isOver = true;
      this.#instruments.took(operation, performance.now() - startedMs, error);
    };
  }

  #inSpan<Result>(operation: Operation, call: Call, work: (span: Span | null) => Promise<Result>): Promise<Result> {
    if (this.#tracer === null) return work(null);
    const attributes: Attributes = {
      "tollgate.operation.name": operation,
      "tollgate.tool.name": this.#instruments.toolOf(call?.tool ?? this.#tool),
    };
    return this.#tracer.startActiveSpan(`tollgate.${operation}`, { attributes }, async (span) => {
      try {
        return await work(span);
      } catch (error) {
        // Neither message nor stack: they may say what a call said.
        span.setAttribute("error.type", errorType(error));
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    });
  }
}

/** A call that waited took as long as its limits said: that is no duration of a decision. */
function mayWait(options: WaitOptions | undefined): boolean {
  return (options?.maxWaitMs ?? 0) > 0;
}

function attributesOf({ allowed, deniedBy, degraded, replayed, retryAfterMs }: Decision): Attributes {
  return {
    "tollgate.decision.allowed": allowed,
    "tollgate.decision.degraded": degraded !== null,
    "tollgate.decision.replayed": replayed,
    ...(retryAfterMs === null ? {} : { "tollgate.decision.retry_after_ms": retryAfterMs }),
    ...(deniedBy === null ? {} : { "tollgate.decision.denied_by": deniedBy }),
  };
}
