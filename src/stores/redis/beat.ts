// Sends a beat to the script, and reads its answer. beat.lua documents both.

import { randomId } from "../../ids.ts";
import { decodeMark } from "../../kernel/encoding/mark.ts";
import { MARK_KEY } from "../../kernel/receipts.ts";
import { StoreError } from "../../store/error.ts";
import type { Beat, Member } from "../../store/shared-store.ts";
import type { ScriptCall } from "./arguments.ts";
import { textIn, wholeIn } from "./replies.ts";

const SERVER_KEY = "tollgate:1:$server";

/** The shard of a cluster that is asked. */
export interface ShardOfBeat {
  readonly slot: number;
  /** Whether it counts the instances. */
  readonly counts: boolean;
}

/**
 * Asks without the instance's buckets, because naming them costs time. Asks again with them when the script answers only the time:
 * it has to make a mark, and needs them.
 */
export async function beatThrough(
  member: Member,
  shard: ShardOfBeat | null,
  run: (call: ScriptCall) => Promise<readonly unknown[]>,
): Promise<Beat> {
  const answer = await run(beatCall(member, shard, []));
  const [now, instances, rank, text] = answer.length === 1 ? await run(beatCall(member, shard, member.seen)) : answer;
  const mark = decodeMark(textIn(text), 0);
  if (mark === null) {
    // An outage: else the failover layer would take the store for one that is there, without knowing its incarnation.
    throw new StoreError("invalid-reply", "the script's answer holds no mark", { transient: true });
  }
  const { incarnation, lost } = mark;
  return { incarnation, lost, instances: wholeIn(instances), rank: wholeIn(rank), nowMs: wholeIn(now) };
}

/**
 * Renews the mark of a shard if there is one, and its server is another one than when it was made. Where there is none, none is made,
 * because only a beat knows which buckets its instance has seen.
 */
export function renewalCall(shard: ShardOfBeat | null): ScriptCall {
  return callOf({ group: "", instance: "", livesMs: 0 }, shard, [], true);
}

function beatCall({ seen, ...member }: Member, shard: ShardOfBeat | null, named: readonly string[]): ScriptCall {
  const instance = shard === null || shard.counts ? member.instance : "";
  return callOf({ ...member, instance }, shard, named, seen.length > 0);
}

function callOf(
  { group, instance, livesMs }: Omit<Member, "seen">,
  shard: ShardOfBeat | null,
  named: readonly string[],
  hasSeen: boolean,
): ScriptCall {
  return {
    keys: [MARK_KEY, SERVER_KEY, `tollgate:1:$names:${group}`, `tollgate:1:$ends:${group}`, ...named],
    args: [JSON.stringify([instance, livesMs, randomId(), hasSeen ? 1 : 0, shard?.slot ?? -1])],
  };
}
