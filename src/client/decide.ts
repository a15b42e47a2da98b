// A call's decision: from the service, or from this process while the service is unreachable.

import type { Decision } from "../kernel/decision.ts";
import type { WaitOptions } from "../limiter.ts";
import { askInTime, askOr, type DecideLocally } from "./ask.ts";
import type { Away } from "./away.ts";
import type { Booking } from "./bookings.ts";
import type { ClientContext } from "./context.ts";
import { callItem, type KeyedCall, recordItem } from "./keyed-call.ts";

type Verb = "consume" | "record" | "peek";

export function decideRemotely(context: ClientContext, verb: Verb, keyed: KeyedCall): Promise<Decision> {
  return decide(context, verb, keyed, (local) => askOr(context, callItem(verb, keyed), local));
}

/** Decides a call that may wait. */
export function decideInTime(context: ClientContext, keyed: KeyedCall, options: WaitOptions): Promise<Decision> {
  return decide(context, "consume", keyed, (local) => askInTime(context, callItem("consume", keyed), options, local));
}

/** Decides a call. The client remembers how the service saw its buckets, for a time without the service. */
async function decide(
  { away }: ClientContext,
  verb: Verb,
  keyed: KeyedCall,
  ask: (local: DecideLocally<Decision>) => Promise<Decision>,
): Promise<Decision> {
  const sentMs = performance.now();
  let isByService = true;
  const decision = await ask(async (away, isInDoubt) => {
    isByService = false;
    return decideLocally(away, verb, keyed, isInDoubt);
  });
  if (isByService && verb === "consume") away?.learn(keyed.call, decision, sentMs);
  return decision;
}

/** Decides a call in this process, and books it for the service when it was admitted. */
async function decideLocally(away: Away, verb: Verb, keyed: KeyedCall, isInDoubt: boolean): Promise<Decision> {
  const { call, sent, isRepeatable, quotas } = keyed;
  const decision = await away.limiter[verb](call, quotas);
  if (verb === "peek" || decision.replayed || !(decision.allowed || verb === "record")) return decision;
  // The service may have charged it, and would charge it again.
  if (isInDoubt && !isRepeatable) return decision;
  const record: Booking = { item: () => recordItem(sent, quotas) };
  const item = callItem(verb, keyed);
  const answered = (answer: unknown) => (verb === "record" || (answer as Decision).allowed ? null : record);
  away.book({ item: () => item, answered }, isInDoubt);
  return decision;
}
