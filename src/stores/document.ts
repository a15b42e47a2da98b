// One JSON value for each partition, in a place that a program has already: a column of its own session table. All
// buckets of a session are in that value, so one row lock makes them atomic.

import { type Clock, LateError, systemClock, systemClockOption, within } from "../clock.ts";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import { isSettledKey, tagOf, valueOfPart, withTag } from "../kernel/key.ts";
import { readOptions, type TableOf } from "../kernel/options.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import { reasonOf } from "../kernel/reason.ts";
import { keysOf } from "../kernel/decide.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { StoredState } from "../kernel/state.ts";
import { encodeState } from "../kernel/encoding/state.ts";
import { decideBatch, type Known } from "../store/batch.ts";
import { decodeState } from "../store/check.ts";
import { StoreError } from "../store/error.ts";
import type { Batching, SetupCheck, Store } from "../store/store.ts";

import { KEPT_ENDS, newIn, roomFor } from "../store/states.ts";
import type { Change, DocumentPort } from "./document/port.ts";

export { type ColumnOptions, columnOf } from "./document/column.ts";
export type { Change, DocumentPort } from "./document/port.ts";

/** How a document store is made. */
export interface DocumentStoreOptions {
  /** For tests: what time it is for calls that no limit matches, of which the port is not asked. Default: the machine's. */
  readonly clock?: Clock;
}

const OPTIONS = {
  clock: systemClockOption,
} satisfies TableOf<DocumentStoreOptions>;

const BATCHING: Batching = { size: 64, underWay: 4 };
/** Most partitions of a batch that are changed at the same time. */
const MAX_CHANGING_PARTITIONS = 8;
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
 * that no version writes (a reset of a bucket empties it, or begins the value again), `capacity` when a value has 10,000
 * keys, and with whatever the port throws.
 *
 * @throws MisuseError `invalid-option`
 */
export function documentStore(port: DocumentPort, options: DocumentStoreOptions = {}): Store {
  const { clock } = readOptions(OPTIONS, options);
  if (typeof port?.transact !== "function") throw invalidOption("port", "an object with transact", port);
  return new DocumentStore(port, clock);
}

class DocumentStore implements Store {
  readonly batching = BATCHING;
  readonly #port: DocumentPort;
  readonly deadlineMs?: number;
  readonly clock?: Clock;
  #closed = false;

  constructor(port: DocumentPort, clock: Clock) {
    this.#port = port;
    if (port.deadlineMs !== undefined) this.deadlineMs = port.deadlineMs;
    if (clock !== systemClock) this.clock = clock;
  }

  checkPolicy(policy: Policy): void {
    const { partition, limits } = compiledPolicy(policy);
    const because = `because the store keeps one value for each ${partition}`;
    const faults = limits.flatMap(({ name, per, onMissing }) => {
      if (!per.includes(partition))
        return { path: `limits.${name}.per`, expected: `a limit per ${partition}, ${because}`, got: formatGot(per) };
      if (onMissing !== "shared") return [];
      return { path: `limits.${name}.onMissing`, expected: `error or skip, ${because}`, got: formatGot(onMissing) };
    });
    if (faults.length > 0) throw new MisuseError("unsupported-limit", faults);
  }

  async apply(
    requests: readonly StoreRequest[],
    leftMs: number = this.deadlineMs ?? Number.POSITIVE_INFINITY,
  ): Promise<Replies> {
    const endsAtMs = performance.now() + leftMs;
    if (this.#closed) throw new StoreError("closed", "the document store was closed", { transient: false });
    const partitions = requests.map(partitionOf);
    const replies: (StoreReply | StoreError)[] = [];
    const isKnown = (i: number) => !StoreError.isInstance(partitions[i]);
    for (const [i, partition] of partitions.entries()) if (StoreError.isInstance(partition)) replies[i] = partition;
    const groups = Map.groupBy([...requests.keys()].filter(isKnown), (i) => partitions[i] as string | null);
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
    await Promise.all(Array.from({ length: MAX_CHANGING_PARTITIONS }, lane));
    return replies;
  }

  async setup(): Promise<readonly SetupCheck[]> {
    try {
      return (await this.#port.setup?.()) ?? [];
    } catch (error) {
      throw StoreError.isInstance(error) ? error : unavailable(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** A partition that fails does not fail the others of its batch. */
  async #decide(partition: string | null, requests: readonly StoreRequest[], endsAtMs: number): Promise<Replies> {
    if (partition === null) return decideBatch(requests, () => undefined, (this.clock ?? systemClock).nowMs()).replies;
    const { deadlineMs } = this;
    const leftMs = endsAtMs - performance.now();
    try {
      if (leftMs <= 0) throw new LateError(`no answer within ${deadlineMs} ms`);
      const transacted = this.#port.transact(partition, (json, nowMs, spelled = partition) =>
        changed(json, spelled === partition ? requests : requests.map((each) => inValueOf(spelled, each)), nowMs),
      );
      return await (deadlineMs === undefined ? transacted : within(leftMs, transacted, { deadlineMs }));
    } catch (error) {
      const failed = StoreError.isInstance(error) ? error : unavailable(error);
      return requests.map(() => failed);
    }
  }
}

/** Whose value a request is about; `null` where it names no bucket; an error where only a hash of the value is known. */
function partitionOf(request: StoreRequest): string | null | StoreError {
  const [key] = keysOf(request);
  if (key === undefined) return null;
  const partition = valueOfPart(tagOf(key));
  if (partition !== null) return partition;
  const message = "a partition's value is longer than 64 bytes, and is known by its hash alone";
  return new StoreError("unknown-partition", message, { transient: false });
}

/** The request with the keys of its row's own spelling, so that no other spelling of it begins with a full quota. */
function inValueOf(partition: string, { steps, once, ...request }: StoreRequest): StoreRequest {
  return {
    ...request,
    steps: steps.map((step) => ({ ...step, bucket: withTag(step.bucket, partition) })),
    ...(once === undefined ? {} : { once: { ...once, key: withTag(once.key, partition) } }),
  };
}

/** One by one: a call for which there is no room fails alone, and the end of a hold never does. */
function changed(json: unknown, requests: readonly StoreRequest[], nowMs: number): Change<Replies> {
  const found = keysIn(json);
  const kept = new Map(Object.entries(found ?? {}));
  /** What was read, and what has become of it. */
  const states = new Map<string, Known>();
  const written = new Map<string, StoredState | undefined>();
  const read = (key: string): Known => {
    if (!states.has(key)) states.set(key, found === null ? null : stateIn(kept, key));
    return states.get(key);
  };
  const endOf = (key: string) => (written.has(key) ? (written.get(key)?.expiresAtMs ?? 0) : endOfKept(kept, key));
  const isThere = (key: string) => nowMs < endOf(key);
  let buckets = [...kept.keys()].filter((key) => isThere(key) && !isSettledKey(key)).length;
  const decideOne = (request: StoreRequest): StoreReply | StoreError => {
    const { replies, changed } = decideBatch([request], read, nowMs);
    const reply = replies[0] as StoreReply | StoreError;
    if (changed.size === 0 || StoreError.isInstance(reply)) return reply;
    const keys = keysOf(request);
    const added = newIn(request, (i) => changed.get(keys[i] ?? "") !== undefined, isThere);
    if (added > 0 && buckets + added > roomFor(request, reply, MAX_KEYS)) {
      return new StoreError("capacity", `a partition's value holds its ${MAX_KEYS} keys`, { transient: true });
    }
    for (const [key, state] of changed) {
      const wasThere = isThere(key);
      states.set(key, state);
      written.set(key, state);
      if (!isSettledKey(key)) buckets += Number(isThere(key)) - Number(wasThere);
    }
    return reply;
  };
  const replies = requests.map(decideOne);
  if (written.size === 0 && found === null) {
    // Thrown, because a port may write what it is given back: the value is left as it was.
    const message = "a partition's value is not what any version writes: a reset of a bucket begins it again";
    throw new StoreError("damaged-bucket", message, { transient: false });
  }
  if (written.size === 0) return { json, result: replies };
  for (const [key, state] of written) {
    if (state === undefined) kept.delete(key);
    else kept.set(key, [encodeState(state), state.expiresAtMs] satisfies Kept);
  }
  const live = [...kept].filter(([key]) => isThere(key)) as [string, Kept][];
  const ends = live.filter(([key]) => isSettledKey(key)).sort(([one], [other]) => endOf(one) - endOf(other));
  const tooMany = Math.max(0, ends.length - Math.max(KEPT_ENDS, MAX_KEYS - buckets));
  const forgotten = new Set(ends.slice(0, tooMany).map(([key]) => key));
  const keys = Object.fromEntries(live.filter(([key]) => !forgotten.has(key)));
  return { json: { tollgate: 1, keys } as Document, result: replies };
}

/** When an entry of a value ends: one that is damaged stays until it is reset. */
function endOfKept(kept: ReadonlyMap<string, unknown>, key: string): number {
  const entry = kept.get(key);
  if (isKept(entry)) return entry[1];
  return kept.has(key) ? Number.POSITIVE_INFINITY : 0;
}

/** What a value has for each key; `null` where it is damaged as a whole. */
function keysIn(value: unknown): Readonly<Record<string, unknown>> | null {
  const json = parsed(value);
  if (isEmpty(json)) return {};
  if (typeof json !== "object" || json === null || !("tollgate" in json) || json.tollgate !== 1) return null;
  // Another program has added to this value, and writing it back would lose what it added.
  if (Object.keys(json).some((word) => word !== "tollgate" && word !== "keys")) return null;
  const keys = "keys" in json ? json.keys : null;
  return typeof keys === "object" && keys !== null ? (keys as Record<string, unknown>) : null;
}

/** What a port gives as text, or as bytes, is read: not every driver reads JSON columns by itself. */
function parsed(value: unknown): unknown {
  const text = value instanceof Uint8Array ? new TextDecoder().decode(value) : value;
  if (typeof text !== "string" || text === "") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Whether nothing was written yet: NULL, or what columns have as their default, `{}`, `[]` and the empty text. */
function isEmpty(json: unknown): boolean {
  if (json === null || json === undefined || json === "") return true;
  return typeof json === "object" && json !== null && Object.keys(json).length === 0;
}

function isKept(kept: unknown): kept is Kept {
  return Array.isArray(kept) && typeof kept[0] === "string" && Number.isSafeInteger(kept[1]);
}

function stateIn(kept: ReadonlyMap<string, unknown>, key: string): Known {
  if (!kept.has(key)) return undefined;
  const entry = kept.get(key);
  return isKept(entry) ? decodeState(...entry) : null;
}

function unavailable(cause: unknown): StoreError {
  return new StoreError("unavailable", `the port failed: ${reasonOf(cause)}`, { transient: true, cause });
}
