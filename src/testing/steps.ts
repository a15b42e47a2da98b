// The steps that the cases of the store contract are written with.

import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { NewHold, Step, StepEvent } from "../kernel/request.ts";

/** How long a hold lives unless a case says otherwise. */
export const LEASE_MS = 100;

export const step = (bucket: string, limit: LimitSpec, event: StepEvent): Step => ({ bucket, limit, event });

export const charge = (bucket: string, limit: LimitSpec, cost = 1) => step(bucket, limit, { type: "charge", cost });
export const read = (bucket: string, limit: LimitSpec) => step(bucket, limit, { type: "read" });
export const reset = (bucket: string, limit: LimitSpec) => step(bucket, limit, { type: "reset" });
export const report = (bucket: string, limit: LimitSpec, outcome: string | null) =>
  step(bucket, limit, { type: "report", outcome });
export const hold = (
  bucket: string,
  limit: LimitSpec,
  id: string,
  units: number,
  { leaseMs = LEASE_MS, onExpiry = "charge" }: Partial<NewHold> = {},
) => step(bucket, limit, { type: "hold", id, units, leaseMs, onExpiry });
export const settle = (bucket: string, limit: LimitSpec, id: string, units: number) =>
  step(bucket, limit, { type: "settle", id, units });
export const extend = (bucket: string, limit: LimitSpec, id: string, leaseMs: number) =>
  step(bucket, limit, { type: "extend", id, leaseMs });
export const grant = (bucket: string, limit: LimitSpec, id: string, units: number, leaseMs = LEASE_MS) =>
  step(bucket, limit, { type: "grant", id, units, leaseMs });
