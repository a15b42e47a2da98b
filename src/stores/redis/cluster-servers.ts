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
/** So many keys are tried: every slot has one of them. */
const MOST_KEYS = 110_000;

/** Those that are down are not asked. Throws when no master answers, or one refuses. */
export async function askMasters(
  masters: readonly ClusterMaster[],
  send: Send,
): Promise<(MasterAnswer | MasterSilence)[]> {
  const asked = masters.filter(({ isDown }) => !isDown);
  const keys = keysOf(asked);
  const answers = await Promise.all(asked.map((master, i) => ask(master, keys[i], send)));
  const faults = answers.map(({ error }) => error).filter((error) => error !== undefined);
  const refusal = faults.find((error) => !redisError(error).transient);
  if (refusal !== undefined) throw refusal;
  if (faults.length > 0 && faults.length === answers.length) throw faults[0];
  return answers;
}

async function ask(master: ClusterMaster, key: string | undefined, send: Send): Promise<MasterAnswer | MasterSilence> {
  if (key === undefined) return { master, error: new Error("no slot is known that it alone has") };
  try {
    return { master, info: String(await send(key, "EVAL", SCRIPT, 1, key)) };
  } catch (error) {
    return { master, error };
  }
}

/** Of each master a key, which is never written; none of one whose slots another one has, or that cannot be read. */
function keysOf(masters: readonly ClusterMaster[]): (string | undefined)[] {
  const keys: (string | undefined)[] = [];
  for (let n = 0, found = 0; found < masters.length && n < MOST_KEYS; n++) {
    const key = `tollgate:1:{${n}}:$setup`;
    const slot = hashSlot(key);
    const i = masters.findIndex(({ slots }) => slots.some(([from, to]) => slot >= from && slot <= to));
    if (i === -1 || keys[i] !== undefined) continue;
    keys[i] = key;
    found++;
  }
  return keys;
}
