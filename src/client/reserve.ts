// A call's decision and hold: from the service, or from this process while the service is unreachable.

import type { BegunAnswer, RunFacts } from "../http/answers.ts";
import type { Call } from "../kernel/call.ts";
import type { Allowed, Decision, Denied } from "../kernel/decision.ts";
import { emitDecision } from "../limiter/listener.ts";
import type { ReserveOptions } from "../limiter.ts";
import { askOr } from "./ask.ts";
import type { Away } from "./away.ts";
import type { Booking } from "./bookings.ts";
import type { ClientContext } from "./context.ts";
import { type EndableHold, publicHold, serviceHold } from "./hold.ts";
import { callItem, type KeyedCall, type SentQuotas } from "./keyed-call.ts";
import { LocalHold } from "./local-hold.ts";
import type { BatchItem } from "./wire.ts";

/** A decision and the hold of a call that was allowed. `facts` says how to run a call that `begin` asked for. */
export type RemoteHold =
  | { readonly decision: Allowed; readonly hold: EndableHold; readonly facts: RunFacts | null }
  | { readonly decision: Denied; readonly hold: null; readonly facts: null };

/**
 * Asks for a decision and a hold.
 *
 * @param holdLocally decides and holds instead of the service
 */
export async function holdRemotely(
  context: ClientContext,
  op: "reserve" | "begin",
  keyed: KeyedCall,
  { leaseMs, ...options }: ReserveOptions,
  holdLocally: (away: Away) => Promise<RemoteHold>,
): Promise<RemoteHold> {
  const { call, quotas } = keyed;
  const item = callItem(op, keyed, { leaseMs });
  const local = async (away: Away, isInDoubt: boolean): Promise<RemoteHold> => {
    away.checkRoom();
    const held = await holdLocally(away);
    if (held.hold === null) {
      if (isInDoubt) away.book(undoBooking(item, call, quotas), true);
      return held;
    }
    const hold = new LocalHold(context, held.hold, keyed, callItem(op, keyed, { leaseMs, force: true }));
    away.holds.add(call, publicHold(hold));
    away.book(hold.booking(), isInDoubt);
    return { ...held, hold };
  };
  const found = await askOr(context, item, local, { ...options, flight: { call, isForced: false } });
  const held = "decision" in found ? found : heldIn(context, found, keyed);
  emitDecision(context, op === "begin" ? "run" : "reserve", call, held.decision);
  return held;
}

/** The decision and the hold in a reply of the service. */
function heldIn(
  context: ClientContext,
  reply: Decision & Pick<BegunAnswer, "holdId">,
  { call, quotas }: KeyedCall,
): RemoteHold {
  const { holdId, heldUnits, units, leaseMs, maxHoldMs, wantsOutcome, ...decision } = reply as Decision & BegunAnswer;
  if (!decision.allowed) return { decision, hold: null, facts: null };
  // A reply to `reserve` has no facts.
  const facts = units === undefined ? null : { heldUnits, units, leaseMs, maxHoldMs, wantsOutcome };
  const first = decision.replayed ? atFirstPrice(call, decision, facts?.heldUnits ?? []) : call;
  // The reply was checked: an allowed call has a hold.
  return { decision, hold: serviceHold(context, holdId as string, first, quotas), facts };
}

/** A call at the price of its first attempt. A hold is known only with its own call and cost, and a retry may name another cost. */
function atFirstPrice(call: Call, { verdicts }: Decision, heldUnits: readonly string[]): Call {
  const costs = new Map(verdicts.map(({ unit, cost }) => [unit, cost]));
  const units = [...Object.keys(call.cost ?? {}), ...heldUnits];
  return { ...call, cost: Object.fromEntries(units.map((unit) => [unit, costs.get(unit) ?? 0])) };
}

/** Frees what the service may hold for a call that this process denied. */
function undoBooking(item: BatchItem, call: Call, quotas: SentQuotas): Booking {
  return {
    item: () => item,
    answered: (answer) => {
      const { holdId } = answer as BegunAnswer;
      if (holdId === null) return null;
      return { item: () => ({ op: "release", body: { holdId, call, ...quotas }, isRepeatable: true }) };
    },
  };
}
