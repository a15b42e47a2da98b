// One journal for all shards of a store: an entry's key begins with its shard. It knows nothing of what an entry says.

import { StoreError } from "../../store/error.ts";
import type { Journal } from "../failover/options.ts";

/** How the key of an entry begins. */
const OF_SHARD = /^shard (\d+) /;

export class ShardJournals {
  readonly #journal: Journal;
  /** What an earlier process has left, by shard, with the keys of one shard's journal. */
  readonly #left = new Map<number, [key: string, text: string][]>();

  /**
   * @param count how many shards there are
   * @throws StoreError `invalid-reply` for an entry of no shard
   */
  constructor(journal: Journal, count: number) {
    this.#journal = journal;
    for (const [key, text] of journal.entries()) {
      const [start, shard] = OF_SHARD.exec(key) ?? [];
      if (start === undefined || Number(shard) >= count) throw ofNoShard();
      const own = this.#left.get(Number(shard)) ?? [];
      own.push([key.slice(start.length), text]);
      this.#left.set(Number(shard), own);
    }
  }

  /** The shards for which an earlier process has left something. */
  get shards(): readonly number[] {
    return [...this.#left.keys()];
  }

  of(shard: number): Journal {
    return {
      entries: () => {
        const left = this.#left.get(shard) ?? [];
        this.#left.delete(shard);
        return left;
      },
      write: (changes) =>
        this.#journal.write(new Map([...changes].map(([key, text]) => [`shard ${shard} ${key}`, text] as const))),
      // It is closed once, after all shards.
      close: () => {},
    };
  }

  close(): void {
    this.#journal.close();
  }
}

function ofNoShard(): StoreError {
  const message =
    "the journal has entries of a store without shards: it was used with one server, or is damaged. " +
    "Give this instance another journal; the bookings of this one are lost";
  return new StoreError("invalid-reply", message, { transient: false });
}
