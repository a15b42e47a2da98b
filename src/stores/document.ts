// One JSON value for each partition, in a place that a program has already: a column of its own session table. All
// buckets of a session are in that value, so one row lock makes them atomic.

import { type Clock, checkClock, systemClock } from "../clock.ts";
import { checkOptionKeys, formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import { tagOf, valueOfPart } from "../kernel/key.ts";
import type { Policy } from "../kernel/policy.ts";
import {
  type Batching,
  decideBatch,
  decodeState,
  encodeState,
  type Known,
  keysOf,
  refuseTerms,
  type Store,
  StoreError,
  type StoreReply,
  type StoreRequest,
  type Terms,
} from "../store.ts";

import type { Change, DocumentPort } from "./document/port.ts";

export { type ColumnOptions, columnOf } from "./document/column.ts";
export type { Change, DocumentPort } from "./document/port.ts";

/** How a document store is made. */
export interface DocumentStoreOptions {
  /** For tests: what time it is for calls that no limit matches, of which the port is not asked. Default: the machine's. */
  readonly clock?: Clock;
}

const BATCHING: Batching = { size: 64, underWay: 4 };
/** Partitions of a batch that are changed at one time. */
const AT_ONCE = 8;
/** Most keys in one value. */
const MAX_KEYS = 10_000;

/** Each key's text, and when it ends. */
type Kept = readonly [text: string, expiresAtMs: number];

/** A value as it is written. */
interface Document {
  readonly tollgate: 1;
  readonly keys: Readonly<Record<string, Kept>>;
}

type Replies = readonly (StoreReply | StoreError)[];

/**
 * Keeps all buckets of a partition (a session, unless the policy's `partition` names another dimension) in one JSON
 * value. Limits that are not per that dimension are refused when the limiter is made.
 *
 * Fails with `StoreError` `unknown-partition` when the row is not there, `damaged-bucket` for a bucket, or all of a value,
 * that no version writes (a reset of a bucket empties it, or begins the value again), `capacity` when a value has 10,000 keys, and with whatever the port throws.
 *
 * @throws MisuseError `invalid-option`
 */
export function documentStore(port: DocumentPort, options: DocumentStoreOptions = {}): Store {
  checkOptionKeys(options, ["clock"]);
  const { clock = systemClock } = options;
  checkClock(clock);
  if (typeof port?.transact !== "function") throw invalidOption("port", "an object with transact", port);
  return new DocumentStore(port, clock);
}

class DocumentStore implements Store {
  readonly batching = BATCHING;
  readonly #port: DocumentPort;
  readonly clock?: Clock;
  readonly #clock: Clock;
  #closed = false;

  constructor(port: DocumentPort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
    if (clock !== systemClock) this.clock = clock;
  }

  checkPolicy({ partition, limits }: Policy): void {
    const wide = limits.filter(({ per }) => !per.includes(partition));
    if (wide.length === 0) return;
    throw new MisuseError(
      "unsupported-limit",
      wide.map(({ name, per }) => ({
        path: `limits.${name}.per`,
        expected: `a limit per ${partition}, because the store keeps one value for each`,
        got: formatGot(per),
      })),
    );
  }

  async apply(requests: readonly StoreRequest[], terms?: Terms): Promise<Replies> {
    refuseTerms(terms);
    if (this.#closed) throw new StoreError("closed", "the document store was closed", { transient: false });
    const groups = Map.groupBy(requests.keys(), (i) => partitionOf(requests[i] as StoreRequest));
    const replies: (StoreReply | StoreError)[] = [];
    const waiting = groups.entries();
    const lane = async () => {
      for (const [partition, places] of waiting) {
        const answers = await this.#decide(
          partition,
          places.map((i) => requests[i] as StoreRequest),
        );
        for (const [n, i] of places.entries()) replies[i] = answers[n] as StoreReply;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return replies;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** A partition that fails does not fail the others of its batch. */
  async #decide(partition: string | null, requests: readonly StoreRequest[]): Promise<Replies> {
    if (partition === null) return decideBatch(requests, () => undefined, this.#clock.nowMs()).replies;
    try {
      return await this.#port.transact(partition, (json, nowMs) => changed(json, requests, nowMs));
    } catch (error) {
      const failed = StoreError.isInstance(error) ? error : unavailable(error);
      return requests.map(() => failed);
    }
  }
}

/** Whose value a request is about; `null` where it names no bucket. */
function partitionOf(request: StoreRequest): string | null {
  const [key] = keysOf(request);
  if (key === undefined) return null;
  const partition = valueOfPart(tagOf(key));
  if (partition !== null) return partition;
  const message = "a partition's value is longer than 64 bytes, and is known by its hash alone";
  throw new StoreError("unknown-partition", message, { transient: false });
}

function changed(json: unknown, requests: readonly StoreRequest[], nowMs: number): Change<Replies> {
  const keys = keysIn(json);
  const { replies, changed } = decideBatch(requests, (key) => (keys === null ? null : stateIn(keys, key)), nowMs);
  if (keys === null && changed.size === 0) {
    // A port need not write what it was given: it is left as it was.
    const message = "a partition's value is not what any version writes: a reset begins it again";
    throw new StoreError("damaged-bucket", message, { transient: false });
  }
  if (changed.size === 0) return { json, result: replies };
  // What is damaged stays so until it is reset.
  const kept = Object.entries(keys ?? {}).filter(
    ([key, value]) => !changed.has(key) && (!isKept(value) || nowMs < value[1]),
  ) as [string, Kept][];
  const next = [...changed].flatMap(([key, state]) =>
    state === undefined ? [] : [[key, [encodeState(state), state.expiresAtMs]] as const],
  );
  if (kept.length + next.length > MAX_KEYS) {
    throw new StoreError("capacity", `a partition's value holds its ${MAX_KEYS} keys`, { transient: true });
  }
  return { json: { tollgate: 1, keys: Object.fromEntries([...kept, ...next]) } satisfies Document, result: replies };
}

/** What a value has for each key; `null` where it is damaged as a whole. */
function keysIn(json: unknown): Readonly<Record<string, unknown>> | null {
  if (json === null || json === undefined) return {};
  if (typeof json !== "object" || !("tollgate" in json) || json.tollgate !== 1 || !("keys" in json)) return null;
  const { keys } = json;
  return typeof keys === "object" && keys !== null ? (keys as Record<string, unknown>) : null;
}

function isKept(kept: unknown): kept is Kept {
  return Array.isArray(kept) && typeof kept[0] === "string" && Number.isSafeInteger(kept[1]);
}

function stateIn(keys: Readonly<Record<string, unknown>>, key: string): Known {
  if (!Object.hasOwn(keys, key)) return undefined;
  const kept = keys[key];
  return isKept(kept) ? decodeState(...kept) : null;
}

function unavailable(cause: unknown): StoreError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("unavailable", `the port failed: ${message}`, { transient: true, cause });
}
