// One JSON value for each partition, in a place that a program has already: a column of its own session table. All
// buckets of a session are in that value, so one row lock makes them atomic.

import { type Clock, checkClock, LateError, systemClock, within } from "../clock.ts";
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

/** A value as it is written: each key's text, and when it ends. */
interface Document {
  readonly tollgate: 1;
  readonly keys: Readonly<Record<string, readonly [text: string, expiresAtMs: number]>>;
}

type Replies = readonly (StoreReply | StoreError)[];

/**
 * Keeps all buckets of a partition (a session, unless the policy's `partition` names another dimension) in one JSON
 * value. Limits that are not per that dimension are refused when the limiter is made.
 *
 * Fails with `StoreError` `unknown-partition` when the row is not there, `damaged-bucket` when the value is not what any
 * version writes, `capacity` when a value has 10,000 keys, and with whatever the port throws.
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
  readonly deadlineMs?: number;
  readonly clock?: Clock;
  readonly #clock: Clock;
  #closed = false;

  constructor(port: DocumentPort, clock: Clock) {
    this.#port = port;
    if (port.deadlineMs !== undefined) this.deadlineMs = port.deadlineMs;
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

  async apply(
    requests: readonly StoreRequest[],
    terms?: Terms,
    leftMs: number = this.deadlineMs ?? Number.POSITIVE_INFINITY,
  ): Promise<Replies> {
    refuseTerms(terms);
    const endsAtMs = performance.now() + leftMs;
    if (this.#closed) throw new StoreError("closed", "the document store was closed", { transient: false });
    const groups = Map.groupBy(requests.keys(), (i) => partitionOf(requests[i] as StoreRequest));
    const replies: (StoreReply | StoreError)[] = [];
    const waiting = groups.entries();
    const lane = async () => {
      for (const [partition, places] of waiting) {
        const answers = await this.#decide(
          partition,
          places.map((i) => requests[i] as StoreRequest),
          endsAtMs,
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
  async #decide(partition: string | null, requests: readonly StoreRequest[], endsAtMs: number): Promise<Replies> {
    if (partition === null) return decideBatch(requests, () => undefined, this.#clock.nowMs()).replies;
    const { deadlineMs } = this;
    const leftMs = endsAtMs - performance.now();
    try {
      if (leftMs <= 0) throw new LateError(`no answer within ${deadlineMs} ms`);
      const transacted = this.#port.transact(partition, (json, nowMs) => changed(json, requests, nowMs));
      return await (deadlineMs === undefined ? transacted : within(leftMs, transacted, { deadlineMs }));
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
  const document = documentIn(json);
  const { replies, changed } = decideBatch(requests, (key) => stateIn(document, key), nowMs);
  if (changed.size === 0) return { json, result: replies };
  const kept = Object.entries(document.keys).filter(
    ([key, [, expiresAtMs]]) => nowMs < expiresAtMs && !changed.has(key),
  );
  const next = [...changed].flatMap(([key, state]) =>
    state === undefined ? [] : [[key, [encodeState(state), state.expiresAtMs]] as const],
  );
  if (kept.length + next.length > MAX_KEYS) {
    throw new StoreError("capacity", `a partition's value holds its ${MAX_KEYS} keys`, { transient: true });
  }
  return { json: { tollgate: 1, keys: Object.fromEntries([...kept, ...next]) } satisfies Document, result: replies };
}

function documentIn(json: unknown): Document {
  if (json === null || json === undefined) return { tollgate: 1, keys: {} };
  if (typeof json === "object" && "tollgate" in json && json.tollgate === 1 && "keys" in json) {
    const { keys } = json;
    if (typeof keys === "object" && keys !== null && Object.values(keys).every(isKept)) return json as Document;
  }
  throw new StoreError("damaged-bucket", "a partition's value is not what any version writes", { transient: false });
}

function isKept(kept: unknown): boolean {
  return Array.isArray(kept) && typeof kept[0] === "string" && Number.isSafeInteger(kept[1]);
}

function stateIn({ keys }: Document, key: string): Known {
  if (!Object.hasOwn(keys, key)) return undefined;
  const [text, expiresAtMs] = keys[key] as [string, number];
  return decodeState(text, expiresAtMs);
}

function unavailable(cause: unknown): StoreError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("unavailable", `the port failed: ${message}`, { transient: true, cause });
}
