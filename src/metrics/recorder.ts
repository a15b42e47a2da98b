// What decisions, events and durations add to the metrics of one limiter. Labels are words of Tollgate and names that the
// policy has, each of a bounded number, and of a call only its tool, where the policy names it.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { MisuseError } from "../kernel/errors.ts";
import { EVENTS } from "../events.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import type { LimiterEvent, Operation, TelemetryHooks } from "../limiter.ts";
import { StoreError } from "../store/error.ts";
import { OTHER } from "./attributes.ts";
import { type Exporter, Family, Names } from "./series.ts";
import { LIMITER_METRICS } from "./table.ts";

/** Most tools that have a series of their own: eight of each is less than the 2,000 that OpenTelemetry's SDK keeps. */
const MAX_TOOLS = 200;
/** A policy has at most 256 limits; with each reload there may be others. */
const MAX_LIMITS = 500;
const MAX_UNITS = 100;
/** Codes of errors are Tollgate's own, unless a store has made one up. */
const MAX_CODES = 100;

const TRUTH = [false, true] as const;

/** Puts what happens to one limiter into metrics. */
export class Recorder implements TelemetryHooks {
  readonly #decisions: Family;
  readonly #denials: Family;
  readonly #usage: Family;
  readonly #durations: Family;
  readonly #available;
  readonly #maxOvershoot;
  readonly #bookings: Family;
  readonly #events: Family;
  readonly #tools = new Names(MAX_TOOLS);
  readonly #limits = new Names(MAX_LIMITS);
  readonly #units = new Names(MAX_UNITS);
  readonly #codes = new Names(MAX_CODES);
  #policyTools: ReadonlySet<string> = new Set();
  #lastOver: number | null = 0;

  constructor(exporter: Exporter, policy: Policy | null) {
    const family = (name: keyof typeof LIMITER_METRICS) => new Family(exporter, LIMITER_METRICS[name]);
    this.#decisions = family("decisions");
    this.#denials = family("denials");
    this.#usage = family("usage");
    this.#durations = family("duration");
    this.#available = family("available").of();
    this.#maxOvershoot = family("maxOvershoot").of();
    this.#bookings = family("bookings");
    this.#events = family("events");
    this.#available.put(1);
    this.#maxOvershoot.put(0);
    for (const allowed of TRUTH) {
      for (const degraded of TRUTH)
        for (const replayed of TRUTH) this.#decisions.of(allowed, degraded, replayed, OTHER);
    }
    for (const outcome of ["booked", "dropped", "raised", "lost", "refused"]) this.#bookings.of(outcome);
    for (const type of Object.keys(EVENTS)) this.#events.of(type);
    if (policy !== null) this.reloaded(policy);
  }

  /** A tool's name where the policy names it, else `_OTHER`. */
  toolOf(tool: unknown): string {
    if (typeof tool !== "string" && typeof tool !== "number") return OTHER;
    const name = String(tool);
    return this.#policyTools.has(name) ? this.#tools.of(name) : OTHER;
  }

  /** Begins the series of a policy's limits, so that an increase is seen from the first one on. */
  reloaded(policy: Policy): void {
    const { limits, tools } = compiledPolicy(policy);
    this.#policyTools = new Set(tools);
    for (const { name, mode, unit } of limits) {
      const limit = this.#limits.of(name);
      this.#denials.of(limit, mode);
      this.#usage.of(limit, this.#units.of(unit));
    }
  }

  decided(decision: Decision, call: Call, isRecorded: boolean): void {
    const { allowed, degraded, replayed, verdicts } = decision;
    this.#decisions.of(allowed, degraded !== null, replayed, this.toolOf(call.tool)).put(1);
    if (degraded !== null) this.#over(degraded.maxOvershoot);
    // The verdicts were counted with the first answer.
    if (replayed) return;
    for (const { exceeded, limit, mode } of verdicts) {
      if (exceeded) this.#denials.of(this.#limits.of(limit), mode).put(1);
    }
    if (!allowed && !isRecorded) return;
    for (const { limit, unit, cost } of verdicts) {
      if (cost > 0) this.#usage.of(this.#limits.of(limit), this.#units.of(unit)).put(cost);
    }
  }

  took(operation: Operation, seconds: number, error: unknown): void {
    this.#durations.of(operation, error === null ? null : this.#codes.of(errorType(error))).put(seconds);
  }

  happened(event: LimiterEvent): void {
    this.#events.of(event.type).put(1);
    if (event.type === "store.unreachable") this.#available.put(0);
    if (event.type === "failover.lost") this.#bookings.of("lost").put(event.bookings);
    if (event.type === "failover.refused") this.#bookings.of("refused").put(event.bookings);
    if (event.type !== "store.recovered") return;
    this.#available.put(1);
    this.#over(0);
    for (const outcome of ["booked", "dropped", "raised"] as const) this.#bookings.of(outcome).put(event[outcome]);
  }

  #over(units: number | null): void {
    if (units === this.#lastOver) return;
    this.#lastOver = units;
    this.#maxOvershoot.put(units ?? Number.POSITIVE_INFINITY);
  }
}

/** The code of an error: its message may contain words of a call. */
export function errorType(error: unknown): string {
  return MisuseError.isInstance(error) || StoreError.isInstance(error) ? error.code : OTHER;
}
