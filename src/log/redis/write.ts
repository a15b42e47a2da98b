// What the script that writes is given: a batch in parts, each so small that Redis is not busy with it for long. script/write.lua says
// what the arguments are.

import { nearNameOf } from "../near.ts";
import type { LogBatch, MinuteCount, MinuteTop, NearBucket, SessionSum } from "../storage.ts";
import { fillOf } from "../sums.ts";
import type { LogKeys } from "./keys.ts";

export const VERSION = 2;

/** Most things of a batch that are written at once: entries, rows of minutes, buckets, sessions and policies. */
const MOST_IN_PART = 250;

/** Arguments of a script: how many keys there are, the keys, and the others. */
export type ScriptArguments = readonly (string | number)[];

export interface WrittenBy {
  readonly keys: LogKeys;
  readonly keep: { readonly maxEntries: number; readonly maxAgeMs: number };
  readonly salt: string;
  readonly nowMs: number;
}

/** What a part has of each kind, in the order in which the script reads it. */
interface Part {
  readonly entries: LogBatch["entries"];
  readonly rows: readonly (MinuteCount | MinuteTop)[];
  readonly near: LogBatch["near"];
  readonly sessions: LogBatch["sessions"];
  readonly policies: LogBatch["policies"];
}

const KINDS = ["entries", "rows", "near", "sessions", "policies"] as const;

/** The calls of the script that write a batch, one after the other. */
export function writesOf(batch: LogBatch, by: WrittenBy): ScriptArguments[] {
  return partsOf(batch).map((part, i) => writeOf(batch, part, i + 1, by));
}

/** The same batch has the same parts when it is sent again. */
function partsOf({ entries, minutes, tops, near, sessions, policies }: LogBatch): Part[] {
  const whole: Part = { entries, rows: [...minutes, ...tops], near, sessions, policies };
  const parts: Part[] = [];
  let from = 0;
  do {
    let skipped = from;
    let room = MOST_IN_PART;
    const part = KINDS.map((kind) => {
      const some = whole[kind].slice(skipped, skipped + room);
      skipped = Math.max(0, skipped - whole[kind].length);
      room -= some.length;
      return [kind, some];
    });
    parts.push(Object.fromEntries(part) as unknown as Part);
    from += MOST_IN_PART;
  } while (from < KINDS.reduce((count, kind) => count + whole[kind].length, 0));
  return parts;
}

function writeOf(
  { instance, number }: LogBatch,
  part: Part,
  nth: number,
  { keys, keep, salt, nowMs }: WrittenBy,
): ScriptArguments {
  const minutes = [...new Set(part.rows.map(({ minute }) => minute))];
  const { meta, entries, ids, sessions, sessionTimes, near, nearFills, nearTimes, policies, policyTimes, rows } = keys;
  const ofLog = [entries, ids, sessions, sessionTimes, near, nearFills, nearTimes, policies, policyTimes, rows];
  const named = [meta, keys.writer(instance), ...ofLog];
  for (const minute of minutes) named.push(keys.counts(minute), keys.tops(minute));
  const counts = KINDS.map((kind) => part[kind].length);
  const head = [number, nth, nowMs, keep.maxEntries, keep.maxAgeMs, salt, VERSION, minutes, counts];
  return [
    named.length,
    ...named,
    JSON.stringify(head),
    ...part.entries.flatMap((entry) => [entry.id, JSON.stringify(entry)]),
    ...part.rows.flatMap((row) => [placeOf(row, minutes), nameOf(row), countsOf(row)]),
    ...part.near.flatMap(bucketArguments),
    ...part.sessions.flatMap(sessionArguments),
    ...part.policies.flatMap(({ version, atMs, source }) => [version, atMs, source]),
  ];
}

/** Which of the keys of minutes a row is in, from 1. */
function placeOf(row: MinuteCount | MinuteTop, minutes: readonly number[]): number {
  return 2 * minutes.indexOf(row.minute) + ("dimension" in row ? 2 : 1);
}

function nameOf(row: MinuteCount | MinuteTop): string {
  if ("dimension" in row) return JSON.stringify([row.dimension, row.unit, row.value, row.tenant]);
  return JSON.stringify([row.limit, row.unit, row.tool, row.tenant]);
}

function countsOf(row: MinuteCount | MinuteTop): string {
  if ("dimension" in row) return `${row.calls} ${row.denied} ${row.units} ${row.error}`;
  const { calls, denied, exceeded, units, logged, dropped } = row;
  return `${calls} ${denied} ${exceeded} ${units} ${logged} ${dropped}`;
}

function bucketArguments(bucket: NearBucket): (string | number)[] {
  const { tenant, ...rest } = bucket;
  return [nearNameOf(bucket), tenant, fillOf(bucket), rest.atMs, JSON.stringify(rest)];
}

function sessionArguments(sum: SessionSum): (string | number)[] {
  const { session, tenant, user, firstMs, lastMs, calls, denied, deniedBy } = sum;
  return [`${session}\0${tenant}`, firstMs, lastMs, calls, denied, user, deniedBy ?? ""];
}
