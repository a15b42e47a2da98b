// The plan of one call: which limits match it and what each is asked, as the steps of one store request.

import { type Call, dimensionsOf, dimensionValue } from "../kernel/call.ts";
import { argsOf, type Bucket, type Match, resolveMatches, valueIn } from "../kernel/charge.ts";
import { digest, keyPart, onceKey, tagOf } from "../kernel/key.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";
import type { Once, Step, Wait } from "../kernel/request.ts";
import { eventOf, type PlannedCharge, VERBS, type Verb } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import type { HoldNames } from "./hold-id.ts";

/** What a call asks of the store. */
export interface CallPlan {
  /** A call that is sent again must have the same verb. */
  readonly verb: Verb;
  readonly call: Call;
  readonly policy: CompiledPolicy;
  readonly matches: readonly Match[];
  readonly charges: readonly PlannedCharge[];
  /** Quotas that came with the call. */
  readonly quotas: ClaimedQuotas | undefined;
  /** The lease of its holds; absent: the limits' own. */
  readonly leaseMs?: number | undefined;
  /** Whether it is allowed in any case. */
  readonly isForced?: boolean | undefined;
  /** Present when the store may give the call a place in a queue. */
  readonly wait?: Wait | undefined;
}

/** Plans a call with its bound dimensions, by the policy in force. Returns a promise when a quota has to be looked up. */
export function planCall(
  { policy, prefix, quotaLookup }: LimiterContext,
  verb: Verb,
  call: Call,
  quotas: ClaimedQuotas | undefined,
): CallPlan | Promise<CallPlan> {
  const planFor = (matches: readonly Match[]): CallPlan => {
    return { verb, call, policy, matches, charges: VERBS[verb].charges(matches, policy, call), quotas };
  };
  const matches = quotaLookup.of(resolveMatches(policy, prefix, call), quotas);
  return matches instanceof Promise ? matches.then(planFor) : planFor(matches);
}

export function stepsOf(
  { calendar }: LimiterContext,
  charges: readonly PlannedCharge[],
  hold: HoldNames | null,
  leaseMs?: number,
): Step[] {
  return charges.map((charge) => calendar.stepOf(charge, eventOf(charge, hold?.name ?? "", leaseMs)));
}

/**
 * How a retry is recognised: by the verb, every dimension of the call, its arguments, and its buckets. Its cost does not count,
 * because a retry may estimate otherwise, nor does its `toolCallId`, which is a label.
 */
export function onceOf({ prefix }: LimiterContext, { verb, call, policy, charges }: CallPlan): Once | null {
  if (call.idempotencyKey === undefined || verb === "peek") return null;
  const tag = tagOfCall(policy, call, charges);
  if (tag === null) return null;
  const buckets = charges.map(({ key }) => key);
  const request = digest([verb, dimensionsOf(call), argsOf(policy, call), buckets]);
  return { key: onceKey(prefix, tag, "once", call.idempotencyKey), request };
}

/** The tag of the partition that a call is in, else of its first bucket; `null` when it has neither. */
export function tagOfCall(policy: CompiledPolicy, call: Call, buckets: readonly Bucket[]): string | null {
  const value = valueIn(call, policy.partition) ?? null;
  if (value !== null) return keyPart(dimensionValue(policy.partition, value));
  const [first] = buckets;
  return first === undefined ? null : tagOf(first.key);
}
