// Instances that are cut off before they know of each other. Each takes its share of the number that it knows, and together these shares
// may be more than each of them states.

import { algorithmOf } from "../../../src/kernel/algorithms/registry.ts";
import type { Decided, Oracle } from "../oracle.ts";
import { type Outage, outageOf } from "../outages.ts";
import { instancesKnown } from "./shares.ts";

/** The share of one instance that decides alone. */
interface Alone {
  readonly instances: number;
  readonly units: number;
}

/** What all shares of a bucket come to, where some instance knows too few others; else 0. */
export function sharesOfTooFew(oracle: Oracle, { decisions }: Outage): (key: string) => number {
  const byKey = new Map<string, Map<string, Alone>>();
  for (const entry of decisions) {
    for (const [key, alone] of sharesIn(oracle, entry)) {
      const lives = byKey.get(key) ?? new Map<string, Alone>();
      byKey.set(key, lives);
      // In an outage it may come back for a moment, and learn of more.
      if (alone.units > (lives.get(entry.on)?.units ?? 0)) lives.set(entry.on, alone);
    }
  }
  return (key) => {
    const shares = [...(byKey.get(key)?.values() ?? [])];
    const most = Math.max(shares.length, ...shares.map(({ instances }) => instances));
    if (shares.every(({ instances }) => instances === most)) return 0;
    return shares.reduce((sum, { units }) => sum + units, 0);
  };
}

function sharesIn(oracle: Oracle, entry: Decided): [key: string, Alone][] {
  const { planned, on, atMs, policies } = entry;
  const away = oracle.isClient(on) ? undefined : outageOf(oracle, entry);
  const instances = away === undefined ? null : instancesKnown(oracle, on, away, atMs);
  if (instances === null || !("call" in planned)) return [];
  const matches = oracle
    .matchesOf(planned.call, policies[1])
    .filter(({ key, limit }) => limit.onStoreError === "share" && outageOf(oracle, entry, key) !== undefined);
  return matches.map(({ key, allotment: { spec } }) => [
    key,
    { instances, units: Math.ceil(algorithmOf(spec).capacity(spec) / instances) },
  ]);
}
