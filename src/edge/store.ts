// Limits in Durable Objects: one object for each partition, asked by RPC from a Worker. An object decides a batch of its own
// calls in one step; what a call over several objects does is in store/wide-request.ts.

import { waitUntil } from "cloudflare:workers";
import { type Clock, clockOption, monotonicClock, systemClock } from "../clock.ts";
import { LateError, within } from "../deadlines.ts";
import {
  checked,
  having,
  nonEmpty,
  readOptions,
  required,
  type SettledOptions,
  type TableOf,
  whole,
} from "../kernel/options.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { decideBatch } from "../store/batch.ts";
import { validTime } from "../store/check.ts";
import { asStoreError, closedError } from "../store/error.ts";
import type { Store, StoreAnswer } from "../store/store.ts";
import { type AskShard, decideInShards, ShardMemory } from "../store/wide-request.ts";
import { AwayObjects } from "./away.ts";
import { callError } from "./errors.ts";
import { objectLayers } from "./layers.ts";
import { answersIn, type BatchMessage, PROTOCOL } from "./message.ts";
import { checkPolicy } from "./policy.ts";
import type { ObjectNamespace } from "./runtime.ts";

/** How a store of Durable Objects is made. */
export interface DurableObjectStoreOptions {
  /** The binding to the class `TollgateObject`, such as `env.TOLLGATE`; `env.TOLLGATE.jurisdiction("eu")` keeps all objects there. */
  readonly namespace: ObjectNamespace;
  /**
   * How long a call may take before it fails with `unavailable`, 1 to 60,000 ms. Default 2,000. It is counted from the call. What
   * was sent may have been booked.
   */
  readonly deadlineMs?: number;
  /** Where new objects are made, such as `weur`: a hint for Cloudflare. Default: near the Worker that asks first. */
  readonly locationHint?: string;
  /**
   * What happens while an object does not answer. `false`, the default: its calls fail. With `isolates`, how many isolates of
   * Workers may ask the same objects at most (1 to 10,000): each decides by its share of each limit, as `onStoreError` of the
   * limit says. docs/cloudflare.md has the bounds.
   */
  readonly failover?: { readonly isolates: number } | false;
  /** For tests: the time to decide by. Default: each object's own. */
  readonly clock?: Clock;
}

const OPTIONS = {
  namespace: required(having<ObjectNamespace>("idFromName", "a binding to Durable Objects, such as env.TOLLGATE")),
  deadlineMs: whole(1, 60_000, 2_000),
  locationHint: nonEmpty<undefined>("a location of Cloudflare, such as weur"),
  failover: checked<{ readonly isolates: number } | false, false>(
    "{ isolates } with a whole number from 1 to 10000, or false",
    (value) => {
      if (value === false) return true;
      const { isolates, ...others } = (value ?? {}) as { readonly isolates?: unknown };
      const isWhole = Number.isSafeInteger(isolates) && Number(isolates) >= 1 && Number(isolates) <= 10_000;
      return isWhole && Object.keys(others).length === 0;
    },
    false,
  ),
  clock: clockOption,
} satisfies TableOf<DurableObjectStoreOptions>;

/** Most requests in one message to an object. */
const MAX_REQUESTS = 256;

/** A stub of `TollgateObject`. */
interface ObjectStub {
  decide(batch: string): Promise<string>;
}

/**
 * Keeps buckets in Durable Objects: all buckets of one value of the policy's `partition` are in one object, where a call is one
 * atomic decision. A call whose limits are in several objects is charged in all of them, and gets its units back when one denies it.
 *
 * It can be made in the global scope of a Worker. Each call has to be made and awaited within one request of the Worker.
 *
 * Requests fail with `StoreError` `unavailable` or `overloaded` (transient), `unsupported-request` (another class is bound),
 * `schema-version`, `closed`; a request of a damaged bucket, of a bucket with too many holds or of a full object fails alone, with
 * `damaged-bucket`, `too-many-holds` or `capacity`.
 *
 * @throws MisuseError `invalid-option`
 */
export function durableObjectStore(options: DurableObjectStoreOptions): Store {
  const settled = readOptions(OPTIONS, options);
  const { deadlineMs, clock, failover } = settled;
  const objects = new Objects(settled);
  const memory = new ShardMemory();
  const away = failover === false ? null : new AwayObjects(failover.isolates);
  let isClosed = false;
  return {
    layers: objectLayers,
    deadlineMs,
    clock,
    checkPolicy,
    async apply(requests, leftMs = deadlineMs) {
      if (isClosed) throw closedError("Durable Object");
      const endsAtMs = monotonicClock.nowMs() + leftMs;
      const ask: AskShard = (name, each) => objects.ask(name, each, endsAtMs - monotonicClock.nowMs());
      const settle: AskShard = (name, each) => objects.ask(name, each, deadlineMs);
      // Without it the runtime ends what a request has left when its response is sent.
      const runLater = (work: Promise<unknown>) => waitUntil(work.catch(() => {}));
      return decideInShards(requests, {
        of: objectOf,
        decide: away === null ? ask : (name, each) => away.decide(name, each, { ask, settle, runLater }),
        settle: away === null ? settle : (name, each) => away.decide(name, each, { ask: settle, settle, runLater }),
        runLater,
        isAway: (name) => away?.has(name) === true,
        memory,
      });
    },
    async close() {
      isClosed = true;
    },
  };
}

class Objects {
  readonly #options: SettledOptions<typeof OPTIONS>;
  readonly #placement: { readonly locationHint: string } | undefined;

  constructor(options: SettledOptions<typeof OPTIONS>) {
    this.#options = options;
    const { locationHint } = options;
    this.#placement = locationHint === undefined ? undefined : { locationHint };
  }

  /**
   * Asks an object. More requests than one message takes go in several, which arrive in the order in which they were sent; one
   * that fails does not fail the others.
   *
   * @param name empty: the requests name no bucket, and no object is asked
   */
  async ask(name: string, requests: readonly StoreRequest[], leftMs: number): Promise<readonly StoreAnswer[]> {
    const { clock } = this.#options;
    if (name === "") return decideBatch(requests, () => undefined, (clock ?? systemClock).nowMs()).replies;
    if (requests.length <= MAX_REQUESTS) return this.#send(name, requests, leftMs);
    const sent: Promise<readonly StoreAnswer[]>[] = [];
    for (let first = 0; first < requests.length; first += MAX_REQUESTS) {
      const part = requests.slice(first, first + MAX_REQUESTS);
      const failed = (error: unknown) => part.map(() => asStoreError(error));
      sent.push(this.#send(name, part, leftMs).catch(failed));
    }
    return (await Promise.all(sent)).flat();
  }

  async #send(name: string, requests: readonly StoreRequest[], leftMs: number): Promise<readonly StoreAnswer[]> {
    const { namespace, deadlineMs, clock } = this.#options;
    if (leftMs <= 0) failCall(new LateError(deadlineMs));
    const nowMs = clock === undefined ? undefined : validTime(clock.nowMs());
    const message = JSON.stringify({ protocol: PROTOCOL, requests, nowMs } satisfies BatchMessage);
    try {
      // A new stub each time: one that has failed stays broken, and one of another request may not be used.
      const stub = namespace.get(namespace.idFromName(name), this.#placement) as ObjectStub;
      return answersIn(await within(leftMs, stub.decide(message), { deadlineMs }));
    } catch (error) {
      return failCall(error);
    }
  }
}

function failCall(error: unknown): never {
  throw callError(error);
}

/** The name of a key's object: prefix and tag, so that limiters with other prefixes have objects of their own. */
function objectOf(key: string): string {
  const tagEnd = key.indexOf("}");
  return tagEnd === -1 ? key : key.slice(0, tagEnd + 1);
}
