// A store that wraps a store for which one big request is cheaper than many: what one tick asks, and what gathers
// while batches are under way, goes in one `apply`. It changes no answer.

import { type Clock, monotonicClock, setTimer, type Timer } from "../clock.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import type { Batching } from "../store/store.ts";
import { endsCall } from "../store/states.ts";
import type { Layer } from "./layer.ts";

/** Most requests that wait; one more is refused with `StoreError` `overloaded`. Those that end calls may be twice as many. */
export const MAX_QUEUED = 10_000;

/** After this part of its deadline a request does not wait any more for others to fill its batch. */
const PATIENCE = 0.25;

interface Asked {
  readonly request: StoreRequest;
  /** Of the deadline when it was asked; absent: all of it. */
  readonly leftMs: number | undefined;
  readonly resolve: (reply: StoreReply | StoreError) => void;
  readonly reject: (error: unknown) => void;
  /** When it has to be answered, by the layer's clock. */
  dueMs: number;
}

/**
 * Gathers requests into batches.
 *
 * A batch that fails fails its own callers alone. While batches are under way the next one waits until it is full. Where the
 * store has a deadline, requests that have waited for a quarter of it go in a batch that is not full, if one more may be
 * under way; those that have waited for all of it are given to the store with nothing left of it, so that it can answer them
 * without sending them.
 *
 * @param clock by which requests wait
 */
export function batchLayer(store: Layer, { size, underWay }: Batching, clock: Clock = monotonicClock): Layer {
  const { deadlineMs } = store;
  let queue: Asked[] = [];
  let fresh: Asked[] = [];
  let timer: { readonly atMs: number; readonly set: Timer } | null = null;
  const sending = new Set<Promise<void>>();

  /**
   * The deadline of what was asked in one tick begins with the next one: a process that stands still in between must not
   * take that for a silent store.
   */
  function begin(): void {
    if (deadlineMs === undefined || fresh.length === 0) return;
    const nowMs = clock.nowMs();
    for (const asked of fresh) asked.dueMs = nowMs + (asked.leftMs ?? deadlineMs);
    watch(dueOf(fresh) - deadlineMs * (1 - PATIENCE));
    fresh = [];
  }

  /** Looks after the queue at an instant, unless it will do so before. */
  function watch(atMs: number): void {
    if (timer !== null && timer.atMs <= atMs) return;
    timer?.set.cancel();
    const set = setTimer(clock, atMs - clock.nowMs(), () => {
      // Where this process itself stood still, an answer may be here, and unread.
      setImmediate(() => {
        timer = null;
        expire();
        if (queue.length === 0) return;
        if (lanes.size < underWay) open();
        watch(dueOf(queue));
      });
    });
    set.unref?.();
    timer = { atMs, set };
  }

  /** Gives those to the store that must not be sent any more. */
  function expire(): void {
    if (deadlineMs === undefined) return;
    const nowMs = clock.nowMs();
    const late = queue.filter(({ dueMs }) => dueMs <= nowMs);
    if (late.length === 0) return;
    queue = queue.filter(({ dueMs }) => dueMs > nowMs);
    for (let first = 0; first < late.length; first += size) {
      const sent: Promise<void> = send(store, late.slice(first, first + size), 0).finally(() => sending.delete(sent));
      sending.add(sent);
    }
  }

  const lanes = new Set<Promise<void>>();

  /** Sends one batch after the other until nothing waits; says so before anything else can be asked. */
  async function run(end: () => void): Promise<void> {
    for (;;) {
      await new Promise(setImmediate);
      begin();
      expire();
      if (queue.length === 0) return end();
      const batch = queue.slice(0, size);
      queue = queue.slice(size);
      await send(store, batch, deadlineMs === undefined ? undefined : Math.max(0, dueOf(batch) - clock.nowMs()));
    }
  }

  function ask(request: StoreRequest, leftMs: number | undefined): Promise<StoreReply | StoreError> {
    return new Promise((resolve, reject) => {
      const asked = { request, leftMs, resolve, reject, dueMs: Number.POSITIVE_INFINITY };
      queue.push(asked);
      if (deadlineMs !== undefined && fresh.push(asked) === 1) setImmediate(begin);
      const isWanted = lanes.size === 0 || (lanes.size < underWay && queue.length >= size);
      if (isWanted) open();
    });
  }

  function open(): void {
    const lane: Promise<void> = run(() => lanes.delete(lane));
    lanes.add(lane);
  }

  function checkRoom(requests: readonly StoreRequest[]): void {
    if (queue.length + requests.length <= (requests.every(endsCall) ? 2 * MAX_QUEUED : MAX_QUEUED)) return;
    throw new StoreError("overloaded", `${queue.length} requests wait for the store`, { transient: true });
  }

  return {
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    async apply(requests, leftMs) {
      checkRoom(requests);
      return Promise.all(requests.map((request) => ask(request, leftMs)));
    },
    answer(request, leftMs) {
      checkRoom([request]);
      return ask(request, leftMs);
    },
    async close(withinMs) {
      await Promise.all(lanes);
      await Promise.all(sending);
      await store.close(withinMs);
    },
  };
}

/** The first instant at which one of them has to be answered. */
function dueOf(asked: readonly Asked[]): number {
  return asked.reduce((first, { dueMs }) => Math.min(first, dueMs), Number.POSITIVE_INFINITY);
}

async function send(store: Layer, batch: readonly Asked[], leftMs: number | undefined): Promise<void> {
  try {
    const requests = batch.map(({ request }) => request);
    const replies = await store.apply(requests, leftMs);
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
