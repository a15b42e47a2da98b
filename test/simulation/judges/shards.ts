// A shard of a cluster that is away moves its own calls to shares, and no others.

import type { Oracle } from "../oracle.ts";
import { shardsOf } from "../outages.ts";

export function* shards(oracle: Oracle): Generator<string> {
  const { log, policies, store } = oracle.run;
  if (!store.isCluster) return;
  for (const entry of log.of("decided")) {
    const { planned, decision, on, askedAtMs, atMs } = entry;
    if (decision.degraded === null || decision.replayed || oracle.isClient(on)) continue;
    // Borrowed units say for as long as they last that they were borrowed in an outage.
    if (decision.verdicts.some(({ limit }) => policies.lends(limit))) continue;
    const own = shardsOf(oracle, entry);
    const isAway = oracle.away.some(
      ({ shard, fromMs, untilMs, ...time }) =>
        time.on === on && shard !== null && own.has(shard) && fromMs <= atMs && askedAtMs <= (untilMs ?? atMs),
    );
    if (!isAway)
      yield `the call ${planned.id} on ${on} is decided without the store, and none of its shards (${[...own].join()}) was away`;
  }
}
