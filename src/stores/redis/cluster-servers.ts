// Asks each master of a cluster how it is set up, by a script with a key in one of its slots: this leads to it through any
// client, and none of their own ways to one server is needed.

import type { Send } from "./client.ts";
import type { ClusterMaster, SlotRange } from "./cluster-nodes.ts";
import { redisError } from "./errors.ts";
import { hashSlot } from "./hash-slot.ts";
import type { Settings } from "./setup-reading.ts";

/** What a master says of itself, or why it does not answer. */
export interface MasterAnswer {
  readonly master: ClusterMaster;
  readonly info: string;
  readonly error?: undefined;
}

export interface MasterSilence {
  readonly master: ClusterMaster;
  readonly info?: undefined;
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

/** Those that are down are not asked. Throws when no master answers, or one refuses. */
export async function askMasters(
  masters: readonly ClusterMaster[],
  send: Send,
): Promise<(MasterAnswer | MasterSilence)[]> {
  const asked = masters.filter(({ isDown }) => !isDown);
  const keys = keysOf(asked);
  const answers = await Promise.all(asked.map((master, i) => ask(master, keys[i] ?? "", send)));
  const faults = answers.map(({ error }) => error).filter((error) => error !== undefined);
  const refusal = faults.find((error) => !redisError(error).transient);
  if (refusal !== undefined) throw refusal;
  if (faults.length > 0 && faults.length === answers.length) throw faults[0];
  return answers;
}

async function ask(master: ClusterMaster, key: string, send: Send): Promise<MasterAnswer | MasterSilence> {
  try {
    return { master, info: String(await send(key, "EVAL", SCRIPT, 1, key)) };
  } catch (error) {
    return { master, error };
  }
}

/** Of each master a key, which is never written. Every slot has one among the first of them. */
function keysOf(masters: readonly ClusterMaster[]): string[] {
  const keys: string[] = [];
  for (let n = 0, found = 0; found < masters.length; n++) {
    const key = `tollgate:1:{${n}}:$setup`;
    const slot = hashSlot(key);
    const i = masters.findIndex(({ slots }) => slots.some(([from, to]) => slot >= from && slot <= to));
    if (i === -1 || keys[i] !== undefined) continue;
    keys[i] = key;
    found++;
  }
  return keys;
}
