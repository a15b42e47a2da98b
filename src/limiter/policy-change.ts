// How a limiter gets another policy, and how that differs from the one before it.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import { CallCache } from "./call-cache.ts";
import type { LimiterContext } from "./context.ts";
import type { LimiterEvent } from "./events.ts";
import { type ChangeNote, checkReloadOptions, type ReloadOptions } from "./grant.ts";
import { emitEvent } from "./listener.ts";
import { notifyPolicy } from "./telemetry.ts";

/** Throws as `reload`; then the old policy stays in force. */
export function replacePolicy(context: LimiterContext, policy: Policy | PolicyInput, options: ReloadOptions): void {
  const before = context.policy;
  const note = checkReloadOptions(options);
  try {
    const next = compiledPolicy(policy);
    context.checkPolicy(next);
    context.policy = next;
  } catch (error) {
    emitEvent(context, { type: "policy.refused", error });
    throw error;
  }
  context.callCache = new CallCache(context.policy, context.prefix);
  context.calendar.load(context.policy);
  notifyPolicy(context.hooks, context.policy);
  context.log?.reloaded(context.policy);
  emitEvent(context, reloadEvent(before, context.policy, note));
}

function reloadEvent(before: CompiledPolicy, after: CompiledPolicy, note: ChangeNote): LimiterEvent {
  const restarted = after.limits.filter((limit) => isRestarted(before, limit)).map(({ name }) => name);
  return { type: "policy.reloaded", version: after.version, restarted, ...changedLimits(before, after), ...note };
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
