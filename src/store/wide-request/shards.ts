// What a store of several shards says of them.

import type { StoreRequest } from "../../kernel/request.ts";
import type { StoreAnswer } from "../store.ts";
import type { ShardMemory } from "./memory.ts";

/** Decides requests of one shard. */
export type AskShard = (shard: string, requests: readonly StoreRequest[]) => Promise<readonly StoreAnswer[]>;

/** The shards of a store, and how they are asked. */
export interface Shards {
  /** The shard that a key is in. */
  of(key: string): string;
  /** Decides requests that are all of one shard, within the time of the calls. */
  readonly decide: AskShard;
  /** The same for what follows from a decision, which has time of its own. */
  readonly settle: AskShard;
  /** Takes work that goes on after the decision, and does not fail. */
  runLater(settled: Promise<unknown>): void;
  /** Whether a shard does not answer now, and is decided for by this process: it is asked after the others. Absent: none. */
  isAway?(shard: string): boolean;
  /** Of the store: the same object each time. */
  readonly memory: ShardMemory;
}
