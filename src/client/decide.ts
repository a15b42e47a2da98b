// A call's decision: from the service, or from this process while the service is unreachable.

import type { Decision } from "../kernel/decision.ts";
import type { WaitOptions } from "../limiter.ts";
import { askOr } from "./ask.ts";
import type { Away } from "./away.ts";
import type { ClientContext } from "./context.ts";
import { callItem, type KeyedCall } from "./keyed-call.ts";

type Verb = "consume" | "record" | "peek";

/** @param options of a call that may wait */
export async function decideRemotely(
  context: ClientContext,
  verb: Verb,
  keyed: KeyedCall,
  options: WaitOptions,
): Promise<Decision> {
  const local = async (away: Away, isInDoubt: boolean) => ({
    local: await decideLocally(away, verb, keyed, isInDoubt),
  });
  const flight = { call: keyed.call, isForced: verb === "record" };
  const asking = verb === "peek" ? options : { ...options, flight };
  const answer = await askOr(context, callItem(verb, keyed), local, asking);
  return "local" in answer ? answer.local : answer;
}

/** Decides a call in this process, and books it for the service when it was admitted. */
async function decideLocally(away: Away, verb: Verb, keyed: KeyedCall, isInDoubt: boolean): Promise<Decision> {
  const { call, isRepeatable, quotas } = keyed;
  if (verb !== "peek") away.checkRoom();
  const decision = await away.limiter[verb](call, quotas);
  if (verb === "peek" || decision.replayed || !(decision.allowed || verb === "record")) return decision;
  // The service may have charged it, and would charge it again.
  if (isInDoubt && !isRepeatable) return decision;
  // The service may have decided it before: then the key makes it give that answer again.
  const item = callItem(verb, keyed, verb === "consume" ? { force: true } : {});
  // What was booked is a part of how the buckets stand when the service is unreachable again.
  const answered = (answer: unknown, sentMs: number) => {
    away.learn(call, answer as Decision, sentMs, verb === "record");
    return null;
  };
  away.book({ item: () => item, answered }, isInDoubt);
  return decision;
}
