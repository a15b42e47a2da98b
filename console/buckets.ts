// Which buckets a session or a user has: its last calls say it, because no store can list them.

import type { DecisionEntry } from "./answers.ts";

/** Most sets of dimensions that are asked about: each is a request. */
const MOST = 6;

type Dimensions = Readonly<Record<string, string>>;

/** The dimensions to ask `/v1/usage` about: those of the last calls that differ, the latest first. */
export function bucketsAsked(name: string, value: string, calls: readonly DecisionEntry[]): readonly Dimensions[] {
  const known = new Map<string, Dimensions>();
  for (const { tool, dimensions } of calls) {
    const asked = { ...dimensions, ...(tool === "" ? {} : { tool }) };
    const key = JSON.stringify(Object.entries(asked).toSorted());
    if (!known.has(key)) known.set(key, asked);
    if (known.size === MOST) break;
  }
  return known.size === 0 ? [{ [name]: value }] : [...known.values()];
}
