// One request of a call to the store, and the decision from the reply.

import { decisionOf } from "../kernel/answer.ts";
import type { Decision } from "../kernel/decision.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
import { ask } from "./ask.ts";
import type { CallOptions } from "./call-options.ts";
import { type CallPlan, onceOf, stepsOf } from "./call-plan.ts";
import { chargesHeldBy, heldCallsIn, isOnlyRead, type PlannedCharge } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import { holdIdOf, holdNameOf, isPerArgs, newHoldId } from "./hold-id.ts";

/** A call that was decided. */
export interface DecidedCall {
  readonly plan: CallPlan;
  readonly decision: Decision;
  /** As they were decided: a call that was sent again has the units of the first one. */
  readonly charges: readonly PlannedCharge[];
  /** The id of the holds, and their name in the store; `null` when there are none. */
  readonly holdId: string | null;
  readonly holdName: string | null;
  /** Milliseconds until it is the call's turn. */
  readonly waitMs: number;
  /** The store's reply for each charge. */
  readonly steps: readonly StepReply[];
}

const MODES = { consume: "judge", record: "force", peek: "peek", reserve: "judge", run: "judge" } as const;

/** Asks the store for a call. The decision is not passed to `onDecision` yet. */
export async function decideCall(context: LimiterContext, plan: CallPlan, options?: CallOptions): Promise<DecidedCall> {
  const { verb, call, policy, charges, wait } = plan;
  const isHeld = charges.some(({ event }) => event === "hold");
  const holdId = isHeld ? newHoldId(verb === "run", isPerArgs(policy, call), heldCallsIn(charges)) : null;
  const holdName = holdId === null ? null : holdNameOf(policy, holdId, call);
  const once = onceOf(context, plan);
  const makeRequest = (): StoreRequest => ({
    mode: MODES[verb],
    steps: stepsOf(context, charges, holdName, plan.leaseMs),
    ...(once === null ? {} : { once }),
    ...(wait === undefined ? {} : { wait }),
  });
  const reply = await ask(context, makeRequest, options);
  const first = firstCall(plan, reply, once?.request) ?? { charges, holdId, holdName };
  const decision = decisionOf(first.charges, reply);
  return { ...first, plan, decision, waitMs: reply.waitMs ?? 0, steps: reply.steps };
}

/** The request that takes back what a call booked, with the answer that is kept for it. */
export function undoRequest(context: LimiterContext, { plan, decision, holdName }: DecidedCall): StoreRequest {
  const once = onceOf(context, plan);
  return {
    mode: "undo",
    atMs: decision.decidedAtMs,
    steps: stepsOf(context, plan.charges, holdName),
    ...(once === null ? {} : { once }),
    ...(plan.wait === undefined ? {} : { wait: plan.wait }),
  };
}

/**
 * The charges and the hold of the first call, when this one was sent again; else `null`.
 *
 * @throws MisuseError `idempotency-conflict`
 */
function firstCall({ verb, call, charges }: CallPlan, { replay }: StoreReply, request: string | undefined) {
  if (replay === undefined || request === undefined) return null;
  if (replay.request !== request) {
    const expected =
      "a key that was not used within the last ten minutes for another call: with another verb, tool, dimension or arguments";
    throw new MisuseError("idempotency-conflict", {
      path: "idempotencyKey",
      expected,
      got: formatGot(call.idempotencyKey),
    });
  }
  const holdId = replay.hold === null ? null : holdIdOf(replay.hold);
  const first = charges.map((charge, i) => (isOnlyRead(charge) ? charge : { ...charge, cost: replay.units[i] ?? 0 }));
  return { charges: verb === "run" ? chargesHeldBy(holdId, first) : first, holdId, holdName: replay.hold };
}
