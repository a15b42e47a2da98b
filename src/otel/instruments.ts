// What is counted: the instruments, and what a decision, an event and a duration add to them. Attributes are the policy's
// names, Tollgate's own words and truth values, so that their number is bounded, and nothing of a call is told but its tool,
// where the policy names it.

import type { Attributes, Meter } from "@opentelemetry/api";
import type { Call } from "../kernel/call.ts";
import type { Decision, Verdict } from "../kernel/decision.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy.ts";
import type { LimiterEvent } from "../limiter.ts";
import { StoreError } from "../store.ts";

/** What a limiter is asked for. */
export type Operation = "consume" | "record" | "peek" | "reserve" | "run";

/** From 50 µs, a decision in memory, to 250 ms, after which an instance decides without its store; and beyond. */
const SECONDS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
/** As OpenTelemetry's conventions name what is not one of the known values. */
const OTHER = "_OTHER";

/** The instruments of one limiter. */
export class Instruments {
  readonly #decisions;
  readonly #denials;
  readonly #units;
  readonly #durations;
  readonly #available;
  readonly #maxOvershoot;
  readonly #bookings;
  readonly #events;
  #tools: ReadonlySet<string>;
  #lastOver: number | null = 0;

  constructor(meter: Meter, policy: Policy) {
    this.#tools = new Set(policy.tools);
    this.#decisions = meter.createCounter("tollgate.decisions", {
      unit: "{decision}",
      description: "Decisions on calls.",
    });
    this.#denials = meter.createCounter("tollgate.denials", {
      unit: "{denial}",
      description: "Calls that did not fit, by limit and its mode: only mode enforce denies them.",
    });
    this.#units = meter.createCounter("tollgate.units", {
      unit: "{unit}",
      description: "Units that calls were admitted with or booked, by limit: of a reservation, what it holds.",
    });
    this.#durations = meter.createHistogram("tollgate.decision.duration", {
      unit: "s",
      description: "How long a decision took; of calls that may wait for their turn none is taken.",
      advice: { explicitBucketBoundaries: SECONDS },
    });
    this.#available = meter.createGauge("tollgate.store.available", {
      unit: "1",
      description: "1 while the store decides, 0 while this instance decides without it.",
    });
    this.#maxOvershoot = meter.createGauge("tollgate.decision.max_overshoot", {
      unit: "{unit}",
      description:
        "Units that may pass on top of a quota at worst, over all instances; infinite where there is no bound.",
    });
    this.#bookings = meter.createCounter("tollgate.bookings", {
      unit: "{booking}",
      description: "What became of what was admitted while the store was away, and of what it had lost.",
    });
    this.#events = meter.createCounter("tollgate.events", {
      unit: "{event}",
      description: "What befell the store, holds and the policy.",
    });
    this.#available.record(1);
    this.#maxOvershoot.record(0);
  }

  /** From now on the tools of another policy are the known ones. */
  reload(policy: Policy): void {
    this.#tools = new Set(policy.tools);
  }

  /** A tool's name where the policy names it. */
  toolOf(tool: unknown): string {
    // What is neither is refused by the limiter, and must not fail here before.
    const name = typeof tool === "string" || typeof tool === "number" ? String(tool) : OTHER;
    return this.#tools.has(name) ? name : OTHER;
  }

  decided(decision: Decision, call: Call): void {
    const { allowed, degraded, replayed, verdicts } = decision;
    this.#decisions.add(1, {
      "tollgate.decision.allowed": allowed,
      "tollgate.decision.degraded": degraded !== null,
      "tollgate.decision.replayed": replayed,
      "tollgate.tool.name": this.toolOf(call.tool),
    });
    for (const { exceeded, limit, mode } of verdicts) {
      if (exceeded) this.#denials.add(1, { "tollgate.limit.name": limit, "tollgate.limit.mode": mode });
    }
    if (allowed && !replayed) this.booked(verdicts);
    if (degraded !== null) this.#over(degraded.maxOvershoot);
  }

  booked(verdicts: readonly Verdict[]): void {
    for (const { limit, unit, cost } of verdicts) {
      if (cost > 0) this.#units.add(cost, { "tollgate.limit.name": limit, "tollgate.unit": unit });
    }
  }

  took(operation: Operation, ms: number, error: unknown): void {
    const attributes: Attributes = { "tollgate.operation.name": operation };
    if (error !== null) attributes["error.type"] = errorType(error);
    this.#durations.record(ms / 1_000, attributes);
  }

  happened(event: LimiterEvent): void {
    this.#events.add(1, { "tollgate.event.type": event.type });
    if (event.type === "store.unreachable") this.#available.record(0);
    if (event.type === "failover.lost") this.#book("lost", event.bookings);
    if (event.type !== "store.recovered") return;
    this.#available.record(1);
    this.#over(0);
    this.#book("booked", event.booked);
    this.#book("dropped", event.dropped);
    this.#book("raised", event.raised);
  }

  #book(outcome: "booked" | "dropped" | "raised" | "lost", count: number): void {
    if (count > 0) this.#bookings.add(count, { "tollgate.booking.outcome": outcome });
  }

  #over(units: number | null): void {
    if (units === this.#lastOver) return;
    this.#lastOver = units;
    this.#maxOvershoot.record(units ?? Number.POSITIVE_INFINITY);
  }
}

/** What went wrong, by its code: messages may say what a call said. */
export function errorType(error: unknown): string {
  return MisuseError.isInstance(error) || StoreError.isInstance(error) ? error.code : OTHER;
}
