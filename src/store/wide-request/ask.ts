// Asks a shard, in a way that never throws.

import type { StoreRequest } from "../../kernel/request.ts";
import { asStoreError } from "../error.ts";
import type { StoreAnswer } from "../store.ts";
import type { AskShard } from "./shards.ts";

/** Decides requests that are all of one shard. One that is away fails its own calls alone. */
export async function decideTogether(
  shard: string,
  requests: readonly StoreRequest[],
  ask: AskShard,
): Promise<readonly StoreAnswer[]> {
  try {
    return await ask(shard, requests);
  } catch (error) {
    const failed = asStoreError(error);
    return requests.map(() => failed);
  }
}
