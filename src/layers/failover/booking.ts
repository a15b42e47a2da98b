// One thing that has still to be booked: a request, or a sum of plain charges; and how it is booked or settled later. What is kept of
// them, and where, is in backlog.ts.

import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import type { Step, StoreRequest } from "../../kernel/request.ts";
import { onlyCharges } from "../layer.ts";

/**
 * A request without an answer, as the batch that settles it has it: booked if its caller may go on since `atMs` (the store's time), else
 * undone.
 */
export function asSettled(
  request: StoreRequest,
  isAdmitted: boolean,
  atMs: number,
  flows: readonly LocalFlow[] = [],
): StoreRequest {
  const { wait, ...asked } = request;
  if (request.mode === "peek") return asked;
  if (isAdmitted || request.mode === "force") return inTurn(asked, atMs, flows);
  // An undo finds a place in a queue by the id in `wait`. A later booking waits for nothing.
  return { ...asked, mode: "undo", ...(wait === undefined ? {} : { wait }) };
}

/** A request without an answer that failed for its caller: nothing of it stays booked. The end of a hold does, because it has happened. */
export function asUndone(request: StoreRequest, atMs: number): StoreRequest {
  const isCharge = request.mode === "force" && onlyCharges(request.steps);
  return isCharge ? { ...request, mode: "undo" } : asSettled(request, false, atMs);
}

/** Plain charges of one bucket in one window of one limit. */
export interface Sum {
  /** The sum that was changed last is booked last: a state of another algorithm replaces the one that is there. */
  readonly order: number;
  readonly step: Pick<Step, "bucket" | "limit"> & { readonly seen?: string };
  readonly units: number;
  readonly atMs: number;
  /** Of a token bucket: what has not flowed back, after all else that is in the bucket, at the rate of this instance's share. */
  readonly level?: { readonly limit: LimitSpec; readonly state: SpentState };
}

/** How units of a step flow back in this instance's own bucket. */
export interface LocalFlow {
  readonly limit: LimitSpec;
  /** When all of the bucket has flowed back. */
  readonly endsAtMs: number;
}

/**
 * A request that is booked by itself, with the instants from which its charges of buckets with a rate flow back: so that they are gone
 * when this instance's own bucket is, as they would be if the store had never been away.
 */
export function inTurn(request: StoreRequest, atMs: number, flows: readonly LocalFlow[]): StoreRequest {
  const steps = request.steps.map((step, i): Step => {
    const { limit, event } = step;
    const { outage, book } = algorithmOf(limit);
    const flow = flows[i];
    if (!outage.hasRate || event.type !== "charge" || flow === undefined) return step;
    const alone = book(limit, undefined, event.cost, atMs);
    return { ...step, atMs: outage.flowsFromMs(outage.flowingLast(limit, alone, flow.endsAtMs)) };
  });
  return { ...request, mode: "force", atMs, steps };
}

/** A request whose instants were guessed, and are known now. */
export function corrected(request: StoreRequest, byMs: number): StoreRequest {
  const { atMs = 0, steps } = request;
  const moved = steps.map((step) => (step.atMs === undefined ? step : { ...step, atMs: step.atMs + byMs }));
  return { ...request, atMs: atMs + byMs, steps: moved };
}

/**
 * The state of a sum whose units flow back at the rate of this instance's share: after what the store has counted itself, because
 * that flows back there.
 */
export function levelOf(
  before: Sum | undefined,
  cost: number,
  atMs: number,
  { limit, endsAtMs }: LocalFlow,
): Pick<Sum, "level"> {
  const { outage, book } = algorithmOf(limit);
  if (!outage.hasRate) return {};
  const state = outage.flowingLast(limit, book(limit, before?.level?.state, cost, atMs), endsAtMs);
  return { level: { limit, state } };
}

/** How a sum is booked; nothing where all of it has flowed back. */
export function leftOf(sum: Sum, nowMs: number): StoreRequest[] {
  const { units, atMs, level } = sum;
  if (level === undefined) return [bookingOf(sum, units, atMs)];
  const { used, outage } = algorithmOf(level.limit);
  const left = used(level.limit, level.state, nowMs);
  // By the time that it is booked, the store may have forgotten what these units flow back after.
  return left === 0 ? [] : [bookingOf(sum, left, Math.max(nowMs, outage.flowsFromMs(level.state)))];
}

export function bookingOf({ step: { bucket, limit, seen } }: Sum, cost: number, atMs: number): StoreRequest {
  const event = { type: "charge", cost, ...(seen === undefined ? {} : { seen }) } as const;
  return { mode: "force", atMs, steps: [{ bucket, limit, event }] };
}

/** A hold lives for what is left of its lease. */
export function remaining(request: StoreRequest, nowMs: number): StoreRequest {
  const goneMs = nowMs - (request.atMs ?? nowMs);
  const steps = request.steps.map((step): Step => {
    const { event } = step;
    if (event.type !== "hold" && event.type !== "extend") return step;
    return { ...step, event: { ...event, leaseMs: Math.max(1, event.leaseMs - goneMs) } };
  });
  return { ...request, steps };
}
