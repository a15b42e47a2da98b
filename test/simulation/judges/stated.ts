// A decision without the store states by how much a limit may be exceeded: at least by the shares of the other instances.

import { algorithmOf } from "../../../src/kernel/algorithms/registry.ts";
import type { Match } from "../../../src/kernel/charge.ts";
import type { Decided, Oracle } from "../oracle.ts";
import { outageOf, instancesKnown } from "./shares.ts";

export function* stated(oracle: Oracle): Generator<string> {
  for (const entry of oracle.run.log.of("decided")) {
    const { planned, decision, policies, on } = entry;
    const bound = decision.degraded?.maxOvershoot ?? null;
    if (bound === null || decision.replayed || !("call" in planned)) continue;
    const others = othersOf(oracle, entry);
    if (others === null) continue;
    const leastBy = policies.map((policy) =>
      Math.max(0, ...oracle.matchesOf(planned.call, policy).map((match) => overshootOf(match, others))),
    );
    const least = Math.min(...leastBy);
    if (bound < least)
      yield `the call ${planned.id} on ${on} states an overshoot of ${bound}: ${others} others may add ${least}`;
  }
}

/** How many other instances share the limits, as an instance knew that decides alone. */
function othersOf(oracle: Oracle, entry: Decided): number | null {
  const outage = outageOf(oracle, entry);
  const instances = outage === undefined ? null : instancesKnown(oracle, entry.on, outage, entry.atMs);
  return instances === null ? null : instances - 1;
}

function overshootOf({ limit, allotment, price }: Match, others: number): number {
  if (price === 0 || limit.mode !== "enforce" || allotment.quota === null || limit.isBorrowing) return 0;
  const { capacity, countsUnits } = algorithmOf(allotment.spec);
  if (!countsUnits || limit.distinct !== null) return 0;
  const units = capacity(allotment.spec);
  if (limit.onStoreError === "share") return others * Math.ceil(units / (others + 1));
  return limit.onStoreError === "local" ? others * units : 0;
}
