// A decision without the store states by how much a limit may be exceeded: at least by the shares of the other instances.

import { algorithmOf } from "../../../src/kernel/algorithms/registry.ts";
import type { Match } from "../../../src/kernel/charge.ts";
import type { Decided, Oracle } from "../oracle.ts";
import { outageOf } from "../outages.ts";
import { instancesKnown } from "./shares.ts";

export function* stated(oracle: Oracle): Generator<string> {
  for (const entry of oracle.run.log.of("decided")) {
    const { planned, decision, policies, on } = entry;
    const bound = decision.degraded?.maxOvershoot ?? null;
    if (bound === null || decision.replayed || !("call" in planned)) continue;
    const { call } = planned;
    const leastBy = policies.map((policy) =>
      Math.max(0, ...oracle.matchesOf(call, policy).map((match) => leastOvershoot(oracle, entry, match))),
    );
    const least = Math.min(...leastBy);
    if (bound < least) yield `the call ${planned.id} on ${on} states an overshoot of ${bound}: others may add ${least}`;
  }
}

/** By how much other instances may exceed a limit, if an instance decides alone about it. */
function leastOvershoot(oracle: Oracle, entry: Decided, match: Match): number {
  const counts = othersOf(oracle, entry, match.key);
  return counts.length === 0 ? 0 : Math.min(...counts.map((others) => overshootOf(match, others)));
}

/** How many other instances share the limits, as an instance knew that decides alone: in an outage it may learn of more. */
function othersOf(oracle: Oracle, entry: Decided, key: string): number[] {
  const { on, atMs } = entry;
  const outage = outageOf(oracle, entry, key);
  const first = outage === undefined ? null : instancesKnown(oracle, on, outage, atMs);
  if (outage === undefined || first === null) return [];
  const { census, schedule } = oracle.run;
  const isGiven = schedule.settings.knowsInstances || oracle.isClient(on);
  const later = isGiven ? [] : census.learnedBy(on, outage.fromMs, atMs);
  return [first, ...later].map((instances) => instances - 1);
}

/** By how much other instances may exceed a limit that they share out, or that each of them has to itself. */
export function overshootOf({ limit, allotment, price }: Match, others: number): number {
  if (price === 0 || limit.mode !== "enforce" || allotment.quota === null || limit.isBorrowing) return 0;
  const { capacity, countsUnits } = algorithmOf(allotment.spec);
  if (!countsUnits || limit.distinct !== null) return 0;
  const units = capacity(allotment.spec);
  if (limit.onStoreError === "share") return others * Math.ceil(units / (others + 1));
  return limit.onStoreError === "local" ? others * units : 0;
}
