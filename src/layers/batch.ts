// A store that wraps a store for which one big request is cheaper than many: what one tick asks, and what gathers
// while a batch is under way, goes in one `apply`. It changes no answer.

import { type Store, StoreError, type StoreReply, type StoreRequest } from "../store.ts";

/** Most requests that wait; one more is refused with `StoreError` `overloaded`. */
export const MAX_QUEUED = 10_000;

interface Asked {
  readonly request: StoreRequest;
  readonly resolve: (reply: StoreReply | StoreError) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gathers requests into batches of at most `batchSize`, one batch under way at a time.
 *
 * A batch that fails fails its own callers alone.
 */
export function batchLayer(store: Store, batchSize: number): Store {
  let queue: Asked[] = [];
  let running: Promise<void> | null = null;

  async function run(): Promise<void> {
    while (queue.length > 0) {
      await new Promise(setImmediate);
      const batch = queue.slice(0, batchSize);
      queue = queue.slice(batchSize);
      await send(store, batch);
    }
    running = null;
  }

  function ask(request: StoreRequest): Promise<StoreReply | StoreError> {
    return new Promise((resolve, reject) => {
      queue.push({ request, resolve, reject });
      running ??= run();
    });
  }

  return {
    async apply(requests) {
      if (queue.length + requests.length > MAX_QUEUED) {
        throw new StoreError("overloaded", `${queue.length} requests wait for the store`, { transient: true });
      }
      return Promise.all(requests.map(ask));
    },
    async close() {
      await running;
      await store.close();
    },
  };
}

async function send(store: Store, batch: readonly Asked[]): Promise<void> {
  try {
    const replies = await store.apply(batch.map(({ request }) => request));
    for (const [i, { resolve, reject }] of batch.entries()) {
      const reply = replies[i];
      if (reply === undefined) reject(tooFew());
      else resolve(reply);
    }
  } catch (error) {
    for (const { reject } of batch) reject(error);
  }
}

function tooFew(): StoreError {
  return new StoreError("invalid-reply", "the store gave fewer replies than it was asked for", { transient: false });
}
