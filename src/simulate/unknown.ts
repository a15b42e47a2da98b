// What a trace does not say, and limits that a simulation of it says nothing about.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { isHeldOnly } from "../limiter/charge-plan.ts";
import type { Timeline } from "./simulate.ts";

/** What a limit needs to know, and calls do not say. */
export type Missing = "times" | "durations" | "outcomes" | "costs" | "arguments";

/** The limits of a policy that lack something, by what they lack. */
export function unknownTo({ limits, toolNamed }: CompiledPolicy, { calls, isTimed }: Timeline) {
  const units = new Set(calls.flatMap(({ call }) => Object.keys(call.cost ?? {})));
  const tools = [...new Set(calls.map(({ call }) => String(call.tool)))];
  for (const tool of tools) for (const unit of Object.keys(toolNamed(tool)?.cost ?? {})) units.add(unit);
  const lacks: Record<Missing, (limit: Limit) => boolean> = {
    times: (limit) => !isTimed && needsTime(limit),
    durations: (limit) => isHeldOnly(limit) && !calls.some(({ durationMs }) => durationMs > 0),
    outcomes: (limit) => limit.reports !== null && !calls.some(({ hasFailed }) => hasFailed !== null),
    costs: (limit) => limit.isPriced && limit.unit !== "calls" && !units.has(limit.unit),
    arguments: (limit) => limit.dimensions.has("args") && !calls.some(({ call }) => call.args !== undefined),
  };
  return Object.entries(lacks).flatMap(([missing, isLacking]) => {
    const names = limits.filter((limit) => tools.some(limit.matches) && isLacking(limit)).map(({ name }) => name);
    return names.length === 0 ? [] : [{ missing: missing as Missing, limits: names }];
  });
}

/** Units in which calls have a cost, and that none of the policies counts. */
export function uncountedUnits(policies: readonly CompiledPolicy[], { calls }: Timeline): readonly string[] {
  const units = new Set(calls.flatMap(({ call }) => Object.keys(call.cost ?? {})));
  return [...units].filter((unit) => !policies.some((policy) => policy.units.has(unit)));
}

/** Whether a limit gives units back, or ends, as time passes. */
function needsTime(limit: Limit): boolean {
  const { countsUnits } = algorithmOf(limit.allotment.spec);
  return limit.calendar !== null || limit.allotment.windowMs !== null || (!countsUnits && limit.reports === null);
}
