// How counts are added up and shown, for storages that do it themselves.

import { isOfTenants, compareTexts } from "./matching.ts";
import type {
  MinuteCount,
  MinuteTop,
  NearBucket,
  NearQuery,
  SeriesPoint,
  SeriesQuery,
  TopQuery,
  TopRow,
} from "./storage.ts";

export const MINUTE_MS = 60_000;

/** The sum of a minute with more of it. */
export function withMinute(sum: MinuteCount | undefined, more: MinuteCount): MinuteCount {
  if (sum === undefined) return more;
  return {
    ...sum,
    calls: sum.calls + more.calls,
    denied: sum.denied + more.denied,
    exceeded: sum.exceeded + more.exceeded,
    units: sum.units + more.units,
    logged: sum.logged + more.logged,
    dropped: sum.dropped + more.dropped,
  };
}

export function withTop(sum: MinuteTop | undefined, more: MinuteTop): MinuteTop {
  if (sum === undefined) return more;
  return {
    ...sum,
    calls: sum.calls + more.calls,
    denied: sum.denied + more.denied,
    units: sum.units + more.units,
    error: sum.error + more.error,
  };
}

/** Whether a minute is in a span. It is so with all of itself. */
export function isInSpan(
  minute: number,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): boolean {
  return (minute + 1) * MINUTE_MS > fromMs && minute * MINUTE_MS < toMs;
}

/** Those with most calls first, or with most units. */
export function topOf(rows: Iterable<MinuteCount | MinuteTop>, query: TopQuery): TopRow[] {
  const byValue = new Map<string, { -readonly [Key in keyof TopRow]: TopRow[Key] }>();
  for (const row of rows) {
    const value = valueIn(row, query.by, query.unit);
    if (value === null || value === "" || !isInSpan(row.minute, query) || !isOfTenants(row.tenant, query.tenants))
      continue;
    const sum = byValue.get(value) ?? { value, calls: 0, denied: 0, units: 0, error: 0 };
    sum.calls += row.calls;
    sum.denied += row.denied;
    if (query.unit !== undefined) sum.units += row.units;
    sum.error += "error" in row ? row.error : 0;
    byValue.set(value, sum);
  }
  const most = query.unit === undefined ? "calls" : "units";
  return [...byValue.values()]
    .sort((a, b) => b[most] - a[most] || compareTexts(a.value, b.value))
    .slice(0, query.count);
}

/** What a row counts of; `null`: it counts something else. */
function valueIn(row: MinuteCount | MinuteTop, by: TopQuery["by"] | null, unit?: string): string | null {
  const isOfUnit = row.unit === (unit ?? "");
  if ("dimension" in row) return row.dimension === by && isOfUnit ? row.value : null;
  if (by === "limit") return unit === undefined || isOfUnit ? row.limit : null;
  if (row.limit !== "" || !isOfUnit || by === "session" || by === "user") return null;
  return by === null ? "" : row[by];
}

/** In the order of time. */
export function seriesOf(rows: Iterable<MinuteCount>, query: SeriesQuery): SeriesPoint[] {
  const points = new Map<string, { -readonly [Key in keyof SeriesPoint]: SeriesPoint[Key] }>();
  for (const row of rows) {
    const of = valueIn(row, query.by);
    if (of === null || (of === "" && query.by !== null)) continue;
    if (!isInSpan(row.minute, query) || !isOfTenants(row.tenant, query.tenants)) continue;
    const atMs = Math.floor(row.minute / query.stepMinutes) * query.stepMinutes * MINUTE_MS;
    const point = points.get(`${atMs}:${of}`) ?? { atMs, of, calls: 0, denied: 0, units: 0 };
    point.calls += row.calls;
    point.denied += row.denied;
    point.units += row.units;
    points.set(`${atMs}:${of}`, point);
  }
  return [...points.values()].sort((a, b) => a.atMs - b.atMs || compareTexts(a.of, b.of));
}

/** The fullest first. */
export function nearOf(buckets: Iterable<NearBucket>, { tenants, over, nowMs, count }: NearQuery): NearBucket[] {
  return [...buckets]
    .filter(({ tenant, endsAtMs }) => endsAtMs > nowMs && isOfTenants(tenant, tenants))
    .filter((bucket) => fillOf(bucket) >= over)
    .sort((a, b) => fillOf(b) - fillOf(a) || b.atMs - a.atMs)
    .slice(0, count);
}

export function fillOf({ used, capacity }: Pick<NearBucket, "used" | "capacity">): number {
  return used / capacity;
}
