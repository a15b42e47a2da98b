// A store that wraps a store for which one big request is cheaper than many: what one tick asks, and what gathers
// while batches are under way, goes in one `apply`. It changes no answer.

import { type Batching, refuseTerms, type Store, StoreError, type StoreReply, type StoreRequest } from "../store.ts";
import { endsCall } from "../store-states.ts";

/** Most requests that wait; one more is refused with `StoreError` `overloaded`. Those that end calls may be twice as many. */
export const MAX_QUEUED = 10_000;

interface Asked {
  readonly request: StoreRequest;
  readonly resolve: (reply: StoreReply | StoreError) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gathers requests into batches.
 *
 * A batch that fails fails its own callers alone.
 */
export function batchLayer(store: Store, { size, underWay }: Batching): Store {
  let queue: Asked[] = [];
  const lanes = new Set<Promise<void>>();

  /** Sends one batch after the other until nothing waits; says so before anything else can be asked. */
  async function run(end: () => void): Promise<void> {
    for (;;) {
      await new Promise(setImmediate);
      if (queue.length === 0) return end();
      const batch = queue.slice(0, size);
      queue = queue.slice(size);
      await send(store, batch);
    }
  }

  function ask(request: StoreRequest): Promise<StoreReply | StoreError> {
    return new Promise((resolve, reject) => {
      queue.push({ request, resolve, reject });
      const isWanted = lanes.size === 0 || (lanes.size < underWay && queue.length >= size);
      if (!isWanted) return;
      const lane: Promise<void> = run(() => lanes.delete(lane));
      lanes.add(lane);
    });
  }

  function checkRoom(requests: readonly StoreRequest[]): void {
    if (queue.length + requests.length <= (requests.every(endsCall) ? 2 * MAX_QUEUED : MAX_QUEUED)) return;
    throw new StoreError("overloaded", `${queue.length} requests wait for the store`, { transient: true });
  }

  return {
    async apply(requests, terms) {
      // Who sets terms sends batches of its own, between this layer and the store.
      refuseTerms(terms);
      checkRoom(requests);
      return Promise.all(requests.map(ask));
    },
    answer(request) {
      checkRoom([request]);
      return ask(request);
    },
    checkPolicy: (policy) => store.checkPolicy?.(policy),
    async close() {
      await Promise.all(lanes);
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
