// A store of several shards decides atomically only within one of them: a slot of a Redis Cluster, a Durable Object. A request
// over several shards is charged in all of them at once. When one denies it, the others get their units back, and no call waits for
// that. So it never passes a quota. When its process dies on the way, what was charged stays charged.

import { keysOf } from "../kernel/decide.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { StoreAnswer } from "./store.ts";
import { decideTogether } from "./wide-request/ask.ts";
import { Conversations } from "./wide-request/conversations.ts";
import type { Shards } from "./wide-request/shards.ts";

export { LaterWork } from "./wide-request/later-work.ts";
export { ShardMemory } from "./wide-request/memory.ts";
export type { AskShard, Shards } from "./wide-request/shards.ts";

/**
 * Decides requests of any shards. All that they ask one shard at a time goes there together, and acts in the order of the
 * requests. A request without keys goes to the shard of the empty text.
 */
export function decideInShards(requests: readonly StoreRequest[], shards: Shards): Promise<readonly StoreAnswer[]> {
  const [only] = requests;
  const onlyShard = only === undefined || requests.length > 1 ? null : onlyShardOf(only, shards);
  // Nearly every call: one request in one shard.
  if (onlyShard !== null) return decideTogether(onlyShard, requests, shards.decide);
  return new Conversations(shards).decide(requests, (request) => onlyShardOf(request, shards));
}

/** Decides requests over several shards together, and tells of each as soon as it is decided. */
export function decideWide(
  requests: readonly StoreRequest[],
  shards: Shards,
  ended: (at: number, answer: StoreAnswer) => void,
): Promise<unknown> {
  return new Conversations(shards, ended).decide(requests, () => null);
}

/** The shard of all keys of a request; `null` where they are in several. */
function onlyShardOf(request: StoreRequest, shards: Shards): string | null {
  let only: string | undefined;
  for (const key of keysOf(request)) {
    const shard = shards.of(key);
    only ??= shard;
    if (shard !== only) return null;
  }
  return only ?? "";
}
