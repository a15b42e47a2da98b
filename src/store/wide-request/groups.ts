// The steps of a request by their shards, in the order in which these are asked.

import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import { tagOf } from "../../kernel/key.ts";
import type { Once, Step, StoreRequest } from "../../kernel/request.ts";

/** The steps of a request that are in one shard. */
export interface Group {
  readonly shard: string;
  /** Their indexes in the request. */
  readonly indexes: readonly number[];
  readonly request: StoreRequest;
}

type Charge = Step & { readonly event: Extract<Step["event"], { type: "charge" }> };

/** Whether a step is a charge that can be held. What counts values, or begins a time, cannot: it is asked as it is. */
export function isHoldable(step: Step): step is Charge {
  const { event, limit } = step;
  return event.type === "charge" && event.seen === undefined && algorithmOf(limit).countsUnits;
}

/**
 * The narrow shards first, so that what many callers share is held for the shortest time. Then the one whose steps cannot be
 * held: it books at once, and so it must not be asked before another may deny. Last the shard where the answer is kept.
 */
export function groupsOf({ mode, steps, once, atMs }: StoreRequest, of: (key: string) => string): Group[] {
  const keptIn = once === undefined || mode === "peek" ? null : of(once.key);
  const byShard = Map.groupBy(steps.keys(), (i) => of((steps[i] as Step).bucket));
  if (keptIn !== null && !byShard.has(keptIn)) byShard.set(keptIn, []);
  const rank = (shard: string, indexes: readonly number[]) => {
    if (shard === keptIn) return 4;
    if (indexes.some((i) => booksAtOnce(steps[i] as Step))) return 3;
    return widthOf((steps[indexes[0] as number] as Step).bucket);
  };
  return [...byShard]
    .sort(([one, a], [other, b]) => rank(one, a) - rank(other, b) || (one < other ? -1 : 1))
    .map(([shard, indexes]) => {
      const own = indexes.map((i) => steps[i] as Step);
      const request = { mode, steps: own, ...(atMs === undefined ? {} : { atMs }) };
      if (shard !== keptIn || once === undefined) return { shard, indexes, request };
      return { shard, indexes, request: { ...request, steps: [...own, ...namedHold(own, steps, once)], once } };
    });
}

/** A call is judged by earlier outcomes, and books nothing there. */
function booksAtOnce(step: Step): boolean {
  return step.event.type === "charge" && !isHoldable(step) && algorithmOf(step.limit).report === undefined;
}

/**
 * How many calls share the shard of a bucket: 0, those of one value of the partition; 1, those of one value of another
 * dimension; 2, all. A value that looks like another kind changes only the order.
 */
function widthOf(bucket: string): number {
  const tag = tagOf(bucket);
  if (bucket.endsWith(`}:${tag}`)) return 2;
  return tag.includes("=") ? 1 : 0;
}

/** A kept answer names the hold of its request. Where no step beside it holds, a step of no units does so. */
function namedHold(own: readonly Step[], steps: readonly Step[], once: Once): Step[] {
  const held = own.some(isHold) ? undefined : steps.find(isHold);
  if (held === undefined) return [];
  return [{ ...held, bucket: `${once.key}:hold`, event: { ...held.event, units: 0 }, shadow: true }];
}

function isHold(step: Step): step is Step & { readonly event: Extract<Step["event"], { type: "hold" }> } {
  return step.event.type === "hold";
}
