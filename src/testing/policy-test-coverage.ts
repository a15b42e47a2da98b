// Which parts of a policy its tests reach: limits, their `quotas` and their `overrides`.

import type { Call } from "../kernel/call.ts";
import { resolveMatches } from "../kernel/charge.ts";
import { takesClaims } from "../kernel/claims.ts";
import type { Decision } from "../kernel/decision.ts";
import type { Allotment, CompiledPolicy, Limit } from "../kernel/limit.ts";
import { allotmentsOf } from "../kernel/policy/parse.ts";

/** What tests reached of a limit. */
export interface LimitCoverage {
  readonly limit: string;
  /** Whether a call was judged by it. */
  readonly reached: boolean;
  /** Whether a call did not fit into it; `null` where all of its quotas are unlimited, so that each call fits. */
  readonly exceeded: boolean | null;
  /** Its `quotas` and `overrides` that no call had, such as `quotas.tool.send_email`. */
  readonly unreached: readonly string[];
}

/** Notes what calls reach. */
export class Coverage {
  readonly #policy: CompiledPolicy;
  readonly #reached = new Set<string>();
  readonly #exceeded = new Set<string>();
  readonly #allotments = new Set<Allotment>();
  readonly #hasParts: boolean;

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
    this.#hasParts = policy.limits.some((limit) => partsOf(limit).length > 0);
  }

  reached(call: Call, { verdicts }: Decision): void {
    for (const verdict of verdicts) {
      this.#reached.add(verdict.limit);
      if (verdict.exceeded) this.#exceeded.add(verdict.limit);
    }
    if (!this.#hasParts) return;
    for (const { allotment } of resolveMatches(this.#policy, "test", call)) this.#allotments.add(allotment);
  }

  limits(): LimitCoverage[] {
    return this.#policy.limits.map((limit) => ({
      limit: limit.name,
      reached: this.#reached.has(limit.name),
      exceeded: isUnlimited(limit) ? null : this.#exceeded.has(limit.name),
      unreached: partsOf(limit).flatMap(([part, allotment]) => (this.#allotments.has(allotment) ? [] : [part])),
    }));
  }
}

function isUnlimited(limit: Limit): boolean {
  return !takesClaims(limit) && allotmentsOf(limit).every(({ quota }) => quota === null);
}

/** The parts of a limit that are for some calls alone. */
function partsOf({ quotas, overrides }: Limit): (readonly [part: string, allotment: Allotment])[] {
  return [
    ...quotas.flatMap(({ dimension, allotments }) =>
      [...allotments].map(([value, allotment]) => [`quotas.${dimension}.${value}`, allotment] as const),
    ),
    ...overrides.map((allotment, n) => [`overrides[${n}]`, allotment] as const),
  ];
}
