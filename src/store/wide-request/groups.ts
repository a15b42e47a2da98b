// The steps of a request by their shards, in the order in which these are asked.

import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import type { Once, Step, StoreRequest } from "../../kernel/request.ts";
import type { Shards } from "./shards.ts";
import { widthOf } from "./memory.ts";

/** The steps of a request that are in one shard. */
export interface Group {
  readonly shard: string;
  /** Their indexes in the request. */
  readonly indexes: readonly number[];
  readonly request: StoreRequest;
}

/** When a shard is asked: those of one stage at once, and only when the stages before have allowed the call. */
const FIRST = 0;
/** After it those of nearly full buckets, by their widths, which are 1 and 2. */
const AWAY = 3;
const CANNOT_GIVE_BACK = 4;
const KEEPS_THE_ANSWER = 5;

/**
 * All shards at once, except where that could take from other calls what cannot, or should not, be given back. Nearly full buckets
 * that many share come later. Then those that this process decides for. Then the shards that count values, or begin a time, one after
 * the other: they must not be asked before another one may deny. Last the one where the answer is kept.
 */
export function stagesOf({ mode, steps, once, atMs }: StoreRequest, shards: Shards): Group[][] {
  const keptIn = once === undefined || mode === "peek" ? null : shards.of(once.key);
  const byShard = indexesByShard(steps, shards);
  if (keptIn !== null && !byShard.has(keptIn)) byShard.set(keptIn, []);
  const ranked = [...byShard].map(([shard, indexes]) => {
    const own = indexes.map((i) => steps[i] as Step);
    const request = { mode, steps: own, ...(atMs === undefined ? {} : { atMs }) };
    if (shard !== keptIn || once === undefined) return { rank: rankOf(shard, own, shards), shard, indexes, request };
    const kept = { ...request, steps: [...own, ...namedHold(own, steps, once)], once };
    return { rank: KEEPS_THE_ANSWER, shard, indexes, request: kept };
  });
  const stages: Group[][] = [];
  let last: number | undefined;
  for (const { rank, ...group } of ranked.sort((one, other) => one.rank - other.rank)) {
    if (rank === last && rank !== CANNOT_GIVE_BACK) stages.at(-1)?.push(group);
    else stages.push([group]);
    last = rank;
  }
  return stages;
}

function indexesByShard(steps: readonly Step[], shards: Shards): Map<string, number[]> {
  const byShard = new Map<string, number[]>();
  for (const [i, { bucket }] of steps.entries()) {
    const shard = shards.of(bucket);
    const known = byShard.get(shard);
    if (known === undefined) byShard.set(shard, [i]);
    else known.push(i);
  }
  return byShard;
}

function rankOf(shard: string, steps: readonly Step[], { memory, isAway }: Shards): number {
  if (steps.some(countsForGood)) return CANNOT_GIVE_BACK;
  if (isAway?.(shard) === true) return AWAY;
  const isTight = steps.some(({ bucket }) => memory.isTight(bucket));
  return isTight ? widthOf((steps[0] as Step).bucket) : FIRST;
}

/** A charge for a value, or one that begins a time. A call that is only judged by earlier outcomes books nothing. */
function countsForGood({ event, limit }: Step): boolean {
  if (event.type !== "charge") return false;
  const { countsUnits, report } = algorithmOf(limit);
  return event.seen !== undefined || (!countsUnits && report === undefined);
}

/** Whether what a step books can be given back. */
export function isGivenBack({ event, limit }: Step): boolean {
  const { countsUnits, takeBack } = algorithmOf(limit);
  if (event.type === "hold") return countsUnits;
  return event.type === "charge" && event.seen === undefined && takeBack !== undefined;
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
