// Gives back the units of calls that one shard denied and others had charged. No call waits for it, and none fails with it. What is
// not given back stays used until it flows back by itself.

import type { StoreRequest } from "../../kernel/request.ts";
import type { Shards } from "./shards.ts";

/** Most requests that give units back at the same time. The units of further ones stay used. */
export const MAX_GIVING_BACK = 10_000;

export function giveBack(shard: string, requests: readonly StoreRequest[], { memory, settle, runLater }: Shards): void {
  if (memory.givingBack + requests.length > MAX_GIVING_BACK) return;
  memory.givingBack += requests.length;
  const end = () => {
    memory.givingBack -= requests.length;
  };
  runLater(settle(shard, requests).then(end, end));
}
