// What a node's shards lost when another process came to answer for them, by bucket.

import { BEGIN_MS } from "../machine.ts";
import type { Account, Oracle } from "../oracle.ts";
import { isLasting, usedIn } from "../used.ts";

/** Units that a bucket had, and that were missing then; and those that it had again, because they were given back since. */
export interface Change {
  readonly lost: number;
  readonly back: number;
}

/**
 * @param isHealed whether what living instances saw is restored, so that only what none of them noticed is lost: another process that
 *   knew the scripts, or was given them before it was known
 */
export function changeOf(oracle: Oracle, account: Account, isHealed: boolean): Change {
  const { store } = oracle.run;
  const shard = store.shardOf(account.key);
  let lost = 0;
  let back = 0;
  for (const loss of store.losses) {
    if (loss.shard !== shard) continue;
    const { before, after, atMs } = loss;
    const at = (states: typeof before) => usedIn(oracle, account, (key) => states.get(key), BEGIN_MS + atMs) ?? 0;
    const change = at(before) - at(after);
    const most = isLasting(account) ? change : account.capacity;
    if (!isHealed || loss.isUnnoticed) lost += Math.max(0, most);
    back += Math.max(0, -change);
  }
  return { lost, back };
}
