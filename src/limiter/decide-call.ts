// One request of a call to the store, and the decision from the reply.

import { decisionOf } from "../kernel/answer.ts";
import type { Decision } from "../kernel/decision.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { Once, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
import { ask } from "./ask.ts";
import type { CallOptions } from "./call-options.ts";
import { type CallPlan, onceOf, stepsOf } from "./call-plan.ts";
import { chargesHoldingCalls, type PlannedCharge, takesNothingYet, VERBS, withKindsOf } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import { type HoldNames, holdIdOf, newHold } from "./hold-id.ts";

export interface DecidedCall {
  readonly plan: CallPlan;
  readonly decision: Decision;
  /** As they were decided: a call that was sent again has the units of the first one. */
  readonly charges: readonly PlannedCharge[];
  /** `null` when nothing is held. */
  readonly hold: HoldNames | null;
  /** Milliseconds until it is the call's turn. */
  readonly waitMs: number;
  readonly steps: readonly StepReply[];
}

/** Asks the store for a call. The decision is not passed to `onDecision` yet. */
export async function decideCall(context: LimiterContext, plan: CallPlan, options?: CallOptions): Promise<DecidedCall> {
  const { verb, call, policy, charges, wait } = plan;
  const isHeld = charges.some(({ kind }) => kind === "hold");
  const hold = isHeld ? newHold(policy, call, verb === "run", chargesHoldingCalls(charges)) : null;
  const once = onceOf(context, plan);
  const makeRequest = (): StoreRequest => ({
    mode: plan.isForced === true ? "force" : VERBS[verb].mode,
    steps: stepsOf(context, charges, hold, plan.leaseMs),
    ...(once === null ? {} : { once }),
    ...(wait === undefined ? {} : { wait }),
  });
  const reply = await ask(context, makeRequest, options);
  const booked = replayedCall(plan, reply, once) ?? { charges, hold };
  // Of a call that is sent again, only an answer that allowed it is kept; one by force may say that it did not fit.
  const isAdmitted = plan.isForced === true || (reply.replay !== undefined && VERBS[verb].mode === "judge");
  const decision = decisionOf(booked.charges, isAdmitted ? { ...reply, allowed: true } : reply);
  return { ...booked, plan, decision, waitMs: reply.waitMs ?? 0, steps: reply.steps };
}

/** The request that takes back what a call booked, and the answer that is kept for it. Not for a call that was sent again. */
export function undoRequest(context: LimiterContext, { plan, decision, hold }: DecidedCall): StoreRequest {
  const once = onceOf(context, plan);
  return {
    mode: "undo",
    atMs: decision.decidedAtMs,
    steps: stepsOf(context, plan.charges, hold),
    ...(once === null ? {} : { once }),
    ...(plan.wait === undefined ? {} : { wait: plan.wait }),
  };
}

/** The charges and the hold of the first call, when this one was sent again; else `null`. Throws `idempotency-conflict`. */
function replayedCall({ verb, call, charges }: CallPlan, { replay }: StoreReply, once: Once | null) {
  if (replay === undefined || once === null) return null;
  if (replay.request !== once.request) {
    const expected =
      "a key that was not used within the last ten minutes for another call: with another verb, tool, dimension or arguments";
    const got = formatGot(call.idempotencyKey);
    throw new MisuseError("idempotency-conflict", { path: "idempotencyKey", expected, got });
  }
  const hold = replay.hold === null ? null : { id: holdIdOf(replay.hold), name: replay.hold };
  // A charge that takes nothing yet keeps this call's cost: the first request asked for 0 units there, which says nothing of it.
  const first = charges.map((charge, i) =>
    takesNothingYet(charge) ? charge : { ...charge, cost: replay.units[i] ?? 0 },
  );
  return { charges: verb === "run" ? withKindsOf(hold?.id ?? null, first) : first, hold };
}
