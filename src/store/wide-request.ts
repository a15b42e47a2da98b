// A store of several shards decides atomically only within one of them: a slot of a Redis Cluster, a Durable Object. A request
// over several shards holds its units in each of them, one after the other, and spends what it holds when all have allowed it.
// So it never passes a quota. When its process dies on the way, its holds are charged when they end.

import { keysOf } from "../kernel/decide.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { asStoreError } from "./error.ts";
import type { StoreAnswer } from "./store.ts";
import { WideRequest } from "./wide-request/request.ts";
import type { Shards } from "./wide-request/shards.ts";

export type { AskShard } from "./wide-request/shards.ts";

/**
 * Decides requests of any shards. Those of one shard go together and act in their order; a request over several goes by
 * itself, beside the others. A request without keys goes to the shard of the empty text.
 */
export async function decideInShards(
  requests: readonly StoreRequest[],
  shards: Shards,
): Promise<readonly StoreAnswer[]> {
  const [only] = requests;
  const onlyShard = only === undefined || requests.length > 1 ? null : onlyShardOf(only, shards);
  // Nearly every call: one request in one shard.
  if (onlyShard !== null) return decideTogether(onlyShard, requests, shards);
  const answers: StoreAnswer[] = [];
  const byShard = Map.groupBy(requests.keys(), (i) => onlyShardOf(requests[i] as StoreRequest, shards));
  const decideAt = async (shard: string, indexes: readonly number[]) => {
    const own = indexes.map((i) => requests[i] as StoreRequest);
    const replies = await decideTogether(shard, own, shards);
    for (const [n, i] of indexes.entries()) answers[i] = replies[n] as StoreAnswer;
  };
  const decideWide = async (i: number) => {
    const deciding = new WideRequest(requests[i] as StoreRequest, shards).decide();
    answers[i] = await deciding.catch((error) => asStoreError(error));
  };
  const work = [...byShard].map(([shard, indexes]) =>
    shard === null ? Promise.all(indexes.map(decideWide)) : decideAt(shard, indexes),
  );
  await Promise.all(work);
  return answers;
}

/** Decides requests that are all of one shard. One that is away fails its own calls alone. */
async function decideTogether(
  shard: string,
  requests: readonly StoreRequest[],
  shards: Shards,
): Promise<readonly StoreAnswer[]> {
  try {
    return await shards.decide(shard, requests);
  } catch (error) {
    const failed = asStoreError(error);
    return requests.map(() => failed);
  }
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
