// The policies of a schedule, compiled once for all instances and judges of a run, and which of their buckets each call is for.

import { type Match, resolveMatches } from "../../src/kernel/charge.ts";
import type { CompiledPolicy } from "../../src/kernel/limit.ts";
import { algorithmOf, type LimitSpec } from "../../src/kernel/algorithms/registry.ts";
import { allotmentsOf, compiledPolicy } from "../../src/kernel/policy/parse.ts";
import type { Call, Schedule } from "./schedule.ts";

export class Policies {
  readonly compiled: readonly CompiledPolicy[];
  /** By policy. */
  readonly #matches: readonly Map<Call, readonly Match[]>[];

  constructor(schedule: Schedule) {
    this.compiled = schedule.policies.map((policy) => compiledPolicy(policy));
    this.#matches = this.compiled.map(() => new Map());
  }

  at(policy: number): CompiledPolicy {
    const compiled = this.compiled[policy];
    if (compiled === undefined) throw new Error(`there is no policy ${policy}`);
    return compiled;
  }

  /** Whether a limit keeps what it has counted whatever policy comes: it has one kind of state in all of them. */
  keepsCounts(name: string): boolean {
    return new Set(this.specsOf(name).map((spec) => algorithmOf(spec).kind)).size <= 1;
  }

  /** Whether units of a limit come back at the same time whatever policy and override they were counted under. */
  freesAlike(name: string): boolean {
    const rules = this.specsOf(name).map((spec) => {
      const { quota: _, ...rest } = spec as LimitSpec & { readonly quota?: number };
      return JSON.stringify(rest);
    });
    return new Set(rules).size <= 1;
  }

  /** Whether a limit lends units under any of the policies. */
  lends(name: string): boolean {
    return this.compiled.some(({ limits }) => limits.some((limit) => limit.name === name && limit.isBorrowing));
  }

  /** What a limit is in any of the policies. */
  specsOf(name: string): LimitSpec[] {
    const limits = this.compiled.flatMap((policy) => policy.limits.filter((limit) => limit.name === name));
    return limits.flatMap(allotmentsOf).map(({ spec }) => spec);
  }

  /** The limits of a policy that match a call, in its order. */
  matchesOf(call: Call, policy: number): readonly Match[] {
    const known = this.#matches[policy]?.get(call);
    if (known !== undefined) return known;
    const matches = resolveMatches(this.at(policy), "rate", call);
    this.#matches[policy]?.set(call, matches);
    return matches;
  }
}
