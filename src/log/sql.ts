// What the queries for counts have in common in SQLite and Postgres.

import type { TopQuery } from "./storage.ts";

export const OF_LIMITS = `"limit" <> ''`;
export const OF_CALLS = `"limit" = '' AND unit = ''`;

/** The parts of a statement that finds those with most calls, or with most of a unit, whose rows have it as `unit`. */
export function topParts(by: TopQuery["by"], unit: string | undefined) {
  const isTop = by === "session" || by === "user";
  const none = unit === undefined ? "AND unit = ''" : "";
  const which = isTop ? `dimension = '${by}' ${none}` : by === "limit" ? OF_LIMITS : `"limit" = '' ${none}`;
  return {
    value: isTop ? "value" : `"${by}"`,
    table: isTop ? "tops" : "minutes",
    where: which,
    units: unit === undefined ? "0" : "sum(units)",
    excess: isTop ? "sum(error)" : "0",
    most: unit === undefined ? "calls" : "units",
  } as const;
}
