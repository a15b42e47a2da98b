// A call that runs in this process and is decided by the service.

import { monotonicClock } from "../clock.ts";
import { type RunFacts, runFactsOf } from "../http/answers.ts";
import type { Cost } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { newHoldId } from "../limiter/hold-id.ts";
import type { Begun } from "../limiter/hosted.ts";
import { emitEvent } from "../limiter/listener.ts";
import type { RunningCall } from "../limiter/running-call.ts";
import type { ReserveOptions } from "../limiter.ts";
import type { ClientContext } from "./context.ts";
import { type EndableHold, serviceHold } from "./hold.ts";
import type { KeyedCall } from "./keyed-call.ts";
import { reportRemotely, sentOutcome } from "./outcome.ts";
import { holdRemotely, type RemoteHold } from "./reserve.ts";

/** Decides a call that is to run. Returns the call when it was allowed. */
export async function beginRemotely(context: ClientContext, keyed: KeyedCall, options: ReserveOptions): Promise<Begun> {
  const held = await holdRemotely(context, "begin", keyed, options, async (away): Promise<RemoteHold> => {
    const { decision, running } = await away.limiter.begin(keyed.call, { leaseMs: options.leaseMs, ...keyed.quotas });
    if (running === null) return { decision, hold: null, facts: null };
    return { decision, hold: endableHold(running), facts: runFactsOf(running) };
  });
  if (held.hold === null) return { decision: held.decision, running: null };
  const { decision, hold, facts } = held;
  // A checked reply to `begin` has the facts, and so has a local call.
  return { decision, running: runningRemotely(context, keyed, decision, hold, facts as RunFacts) };
}

function runningRemotely(
  context: ClientContext,
  { call, quotas }: KeyedCall,
  decision: Decision,
  hold: EndableHold,
  facts: RunFacts,
): RunningCall {
  const { heldUnits, leaseMs, maxHoldMs, wantsOutcome } = facts;
  const units = new Set(facts.units);
  // The service charges what was held for units that are not named.
  const nothing = zeroOf(heldUnits);
  return {
    call,
    hold,
    prices: pricesIn(decision, units),
    heldUnits,
    units,
    leaseMs,
    maxHoldMs,
    clock: monotonicClock,
    wantsOutcome,
    replayed: decision.replayed,
    settle: (usage, unnamed) =>
      unnamed === "onError" ? hold.fail(usage) : hold.settle(unnamed === "nothing" ? { ...nothing, ...usage } : usage),
    settleWith: (outcome, usage) => hold.end(usage, outcome, sentOutcome(context, call, outcome)),
    // Under another id and without a price nothing is held: settling books all of the excess.
    book: (excess) => serviceHold(context, newHoldId(true), { ...call, cost: zeroOf(units) }, quotas).settle(excess),
    reportOutcome: (outcome) => reportRemotely(context, call, outcome),
    emit: (event) => emitEvent(context, event),
  };
}

/** The hold of a call that this process started. */
function endableHold({ hold, settle, settleWith }: RunningCall): EndableHold {
  return {
    ...hold,
    fail: (usage) => settle(usage, "onError"),
    end: (usage, outcome) => settleWith(outcome, usage, "error" in outcome ? "onError" : "held"),
  };
}

function zeroOf(units: Iterable<string>): Cost {
  return Object.fromEntries([...units].map((unit) => [unit, 0]));
}

/** The prices of a call, in units that some limit counts. */
function pricesIn({ verdicts }: Decision, units: ReadonlySet<string>): Cost {
  const prices: Record<string, number> = {};
  for (const { unit, cost } of verdicts) {
    if (units.has(unit) && cost > 0) prices[unit] = Math.max(prices[unit] ?? 0, cost);
  }
  return prices;
}
