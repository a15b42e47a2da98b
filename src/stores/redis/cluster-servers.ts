// Asks each master of a cluster how it is set up, by a script with a key of one of its units: this leads to it through any
// client, and none of their own ways to one server is needed.

import { monotonicClock } from "../../clock.ts";
import type { Send } from "./client.ts";
import type { ClusterMaster, SlotRange } from "./cluster-nodes.ts";
import { redisError } from "./errors.ts";
import type { Settings } from "./setup-reading.ts";
import { type ShardPlace, shardPlaces } from "./shards.ts";

/** What a master says of itself, or why it does not answer. */
export interface MasterAnswer {
  readonly master: ClusterMaster;
  readonly info: string;
  /** How long a read takes there; `null`: not known. */
  readonly readMs: number | null;
  readonly error?: undefined;
}

export interface MasterSilence {
  readonly master: ClusterMaster;
  readonly info?: undefined;
  readonly readMs?: undefined;
  readonly error: unknown;
}

export interface ClusterSetup {
  readonly masters: readonly ClusterMaster[];
  /** The slots without a master that is up. */
  readonly missing: readonly SlotRange[];
  readonly settings: Settings;
  /** Of the masters that were asked. */
  readonly answers: readonly (MasterAnswer | MasterSilence)[];
}

const SCRIPT = `return redis.call("INFO")`;
/** A key that is never written. */
const KEY = "tollgate:1:$setup";
const READS = 3;

export function shardsOn({ slots }: ClusterMaster): readonly ShardPlace[] {
  return shardPlaces().filter(({ slot }) => slots.some(([from, to]) => slot >= from && slot <= to));
}

/** Those that are down, or have no shard, are not asked. Throws when no master answers, or one refuses. */
export async function askMasters(
  masters: readonly ClusterMaster[],
  send: Send,
): Promise<(MasterAnswer | MasterSilence)[]> {
  const asked = masters
    .filter(({ isDown }) => !isDown)
    .flatMap((master) =>
      shardsOn(master)
        .slice(0, 1)
        .map(({ prefix }) => ask(master, prefix + KEY, send)),
    );
  const answers = await Promise.all(asked);
  const faults = answers.map(({ error }) => error).filter((error) => error !== undefined);
  const refusal = faults.find((error) => !redisError(error).transient);
  if (refusal !== undefined) throw refusal;
  if (faults.length > 0 && faults.length === answers.length) throw faults[0];
  return answers;
}

async function ask(master: ClusterMaster, key: string, send: Send): Promise<MasterAnswer | MasterSilence> {
  try {
    const info = String(await send(key, "EVAL", SCRIPT, 1, key));
    return { master, info, readMs: await timeReads(key, send) };
  } catch (error) {
    return { master, error };
  }
}

/** The median of some reads, ms; `null` when one fails. */
async function timeReads(key: string, send: Send): Promise<number | null> {
  const timesMs: number[] = [];
  try {
    while (timesMs.length < READS) {
      const startedMs = monotonicClock.nowMs();
      await send(key, "EXISTS", key);
      timesMs.push(monotonicClock.nowMs() - startedMs);
    }
  } catch {
    return null;
  }
  return timesMs.toSorted((a, b) => a - b)[Math.floor(READS / 2)] ?? null;
}
