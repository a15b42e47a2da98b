// Buckets near their limits as they stand now: the log knows which they were, and the limiter how they stand.

import { systemClock } from "../clock.ts";
import type { LogReader, NearBucket, NearQuery } from "../log/storage.ts";
import { fillOf } from "../log/sums.ts";
import { MAX_TEXT } from "../log/text.ts";
import type { ServiceContext } from "../service/context.ts";

type HostedLimiter = ServiceContext["limiter"];

/** A reader of a log, whose buckets near their limits are read again from the store. */
export function withUsage(reader: LogReader, limiter: HostedLimiter): LogReader {
  return {
    entries: (query) => reader.entries(query),
    entry: (id, tenants) => reader.entry(id, tenants),
    top: (query) => reader.top(query),
    near: async (query) => nearNow(await reader.near(query), query, limiter),
    sessions: (query) => reader.sessions(query),
    series: (query) => reader.series(query),
    policy: (version) => reader.policy(version),
  };
}

async function nearNow(logged: readonly NearBucket[], query: NearQuery, limiter: HostedLimiter): Promise<NearBucket[]> {
  const named = logged.map(({ limit, dimensions }) => ({ ...dimensions, limit }));
  const nowMs = systemClock.nowMs();
  // While the store is away, `atMs` says from when they are.
  const usages = await limiter.bucketUsages(named).catch(() => []);
  return logged
    .map((bucket, i): NearBucket => {
      const usage = usages[i] ?? null;
      // A text that was cut names another bucket.
      const isCut = Object.values(bucket.dimensions).some((text) => text.length >= MAX_TEXT);
      if (usage === null || usage.capacity === null || isCut) return bucket;
      const { used, capacity, granted, resetAfterMs } = usage;
      return { ...bucket, used, capacity: capacity + granted, atMs: nowMs, endsAtMs: nowMs + resetAfterMs };
    })
    .filter((bucket) => fillOf(bucket) >= query.over)
    .sort((a, b) => fillOf(b) - fillOf(a) || b.atMs - a.atMs);
}
