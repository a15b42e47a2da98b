// Each decision follows the policy that was in force: a stop is obeyed at once, also without the store, and the verdicts agree with
// the decision.

import type { Decided, Oracle } from "../oracle.ts";
import { outageOf } from "../outages.ts";

export function* decisions(oracle: Oracle): Generator<string> {
  for (const entry of oracle.run.log.of("decided")) {
    for (const problem of problemsOf(oracle, entry)) {
      yield `the call ${entry.planned.id} (${entry.planned.verb}) on ${entry.on} ${problem}`;
    }
  }
}

function* problemsOf(oracle: Oracle, entry: Decided): Generator<string> {
  const { planned, decision, policies, on } = entry;
  const { allowed, verdicts, deniedBy, retryAfterMs } = decision;
  if (allowed !== verdicts.every((verdict) => verdict.allowed)) yield "is decided otherwise than its verdicts say";
  if (allowed !== (deniedBy === null)) yield "names a limit that denies it, and is allowed, or the other way round";
  if (retryAfterMs !== null && retryAfterMs < 1) yield `is to be tried again after ${retryAfterMs} ms`;
  const [began, ended] = policies;
  // The policy of a client's service is not known here.
  if (oracle.isClient(on)) return;
  if (!allowed || decision.replayed || began !== ended || !("call" in planned)) return;
  for (const { key, limit, allotment, price } of oracle.matchesOf(planned.call, ended)) {
    if (limit.mode !== "enforce" || price === 0) continue;
    if (allotment.quota === 0) yield `is allowed by ${limit.name}, whose quota is 0`;
    if (outageOf(oracle, entry, key) !== undefined && !limit.isBorrowing && limit.onStoreError === "deny")
      yield `is allowed by ${limit.name} without the store: it has onStoreError deny`;
  }
}

/** A call that comes again under its key gets the first answer. */
export function* once({ run }: Oracle): Generator<string> {
  const isLossy = run.schedule.faults.some(({ type }) => type === "restart" || type === "damage");
  const firsts = new Map<string, Decided>();
  for (const entry of run.log.of("decided")) {
    const key = "call" in entry.planned ? entry.planned.call.idempotencyKey : undefined;
    if (key === undefined || isLossy || entry.decision.degraded !== null) continue;
    const first = firsts.get(key);
    // What is denied is not kept.
    if (first === undefined || first.atMs > entry.askedAtMs) {
      if (entry.decision.allowed && first === undefined) firsts.set(key, entry);
      continue;
    }
    if (entry.decision.replayed && entry.decision.allowed) continue;
    yield `the call ${entry.planned.id} on ${entry.on} comes again under ${key}, and is decided again`;
  }
}
