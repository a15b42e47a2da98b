// How one policy differs from the next after a reload.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { LimiterEvent } from "./events.ts";

export function reloadEvent(before: CompiledPolicy, after: CompiledPolicy): LimiterEvent {
  const restarted = after.limits.filter((limit) => isRestarted(before, limit)).map(({ name }) => name);
  return { type: "policy.reloaded", version: after.version, restarted, ...changedLimits(before, after) };
}

/** Whether a limit has a bucket in common with another policy, but keeps another kind of state there. */
export function isRestarted({ limits }: CompiledPolicy, limit: Limit): boolean {
  const other = limits.find(({ name, per }) => name === limit.name && per.join() === limit.per.join());
  return other !== undefined && kindOf(limit) !== kindOf(other);
}

export function changedLimits(before: CompiledPolicy, after: CompiledPolicy) {
  const missingIn = (policy: CompiledPolicy, other: CompiledPolicy) =>
    policy.limits.map(({ name }) => name).filter((name) => !other.limits.some((limit) => limit.name === name));
  return { added: missingIn(after, before), removed: missingIn(before, after) };
}

function kindOf({ allotment }: Limit): string {
  return algorithmOf(allotment.spec).kind;
}
