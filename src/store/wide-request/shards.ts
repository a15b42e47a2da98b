// What a store of several shards says of them.

import type { StoreRequest } from "../../kernel/request.ts";
import type { StoreAnswer } from "../store.ts";

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
  /** Takes work that goes on after the decision. */
  runLater(settled: Promise<unknown>): void;
  /** The result of the work, or a `StoreError` when the time of the calls is over before. */
  inTime<Value>(work: Promise<Value>): Promise<Value>;
}
