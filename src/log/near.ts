// Buckets that are filled to 80 % or more, as they stood last. A bucket that was near its limit and was emptied is told of, too.

import type { BucketUsage, Verdict } from "../kernel/decision.ts";
import type { NearBucket } from "./storage.ts";
import { textOf } from "./text.ts";

/** From this share of the capacity on a bucket is near its limit. */
export const NEAR = 0.8;
const MAX_BUCKETS = 2_000;

/** Whether so many units left are few. */
export function isNear(remaining: number | null, capacity: number | null): boolean {
  return remaining !== null && capacity !== null && capacity > 0 && remaining <= capacity * (1 - NEAR) + 1e-9;
}

/** Most units that can be used at once, with those that were granted; `null`: unlimited. */
export function capacityOf({ capacity, granted = 0 }: Pick<Verdict, "capacity" | "granted">): number | null {
  return capacity === null ? null : Math.min(capacity + granted, Number.MAX_SAFE_INTEGER);
}

export class NearBuckets {
  #byName = new Map<string, NearBucket>();

  /**
   * A bucket as a call left it.
   *
   * @param dimensions whose bucket it is
   */
  add(verdict: Verdict, dimensions: Readonly<Record<string, string>>, tenant: string, atMs: number): void {
    const { limit, unit, resetAfterMs } = verdict;
    const capacity = capacityOf(verdict) ?? 0;
    const used = Math.max(0, capacity - (verdict.remaining ?? 0));
    this.#put({ limit, dimensions, tenant, unit, used, capacity, atMs, endsAtMs: atMs + resetAfterMs });
  }

  /** A bucket that was changed by hand, and the tenant that it is of, where that is known. */
  changed(
    { limit, dimensions, unit, used, granted, resetAfterMs, ...usage }: BucketUsage,
    atMs: number,
    of = "",
  ): void {
    if (usage.capacity === null) return;
    const capacity = usage.capacity + granted;
    const texts = Object.fromEntries(Object.entries(dimensions).map(([name, value]) => [name, textOf(value)]));
    const tenant = texts.tenant ?? textOf(of);
    this.#put({ limit, dimensions: texts, tenant, unit, used, capacity, atMs, endsAtMs: atMs + resetAfterMs });
  }

  take(): NearBucket[] {
    const buckets = [...this.#byName.values()];
    this.#byName = new Map();
    return buckets;
  }

  #put(bucket: NearBucket): void {
    const name = nearNameOf(bucket);
    if (this.#byName.size >= MAX_BUCKETS && !this.#byName.has(name)) return;
    this.#byName.set(name, withBucket(this.#byName.get(name), bucket));
  }
}

/** A bucket as it stands last. A change by hand does not say whose calls it has: the tenant stays. */
export function withBucket(known: NearBucket | undefined, last: NearBucket): NearBucket {
  return last.tenant === "" && known !== undefined ? { ...last, tenant: known.tenant } : last;
}

/** Names a bucket in a log. */
export function nearNameOf({ limit, dimensions }: Pick<NearBucket, "limit" | "dimensions">): string {
  return JSON.stringify([limit, ...Object.entries(dimensions).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
