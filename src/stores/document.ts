// One JSON value for each partition, in a place that a program has already: a column of its own session table. All
// buckets of a session are in that value, so one row lock makes them atomic.

import { type Clock, clockOption, monotonicClock, systemClock } from "../clock.ts";
import { LateError, within } from "../deadlines.ts";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import { isSettledKey, tagOf, valueOfPart, withTag } from "../kernel/key.ts";
import { readOptions, type TableOf } from "../kernel/options.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import { keysOf } from "../kernel/decide.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { StoredState } from "../kernel/state.ts";
import { encodeState } from "../kernel/encoding/state.ts";
import { networkLayers } from "../layers/network.ts";
import { decideBatch } from "../store/batch.ts";
import { decodeState, jsonIn, type ReadState } from "../store/check.ts";
import { asStoreError, closedError, StoreError } from "../store/error.ts";
import { KEPT_ENDS, newIn, roomFor } from "../store/room.ts";
import type { Batching, Store, StoreAnswer } from "../store/store.ts";
import type { Change, DocumentPort } from "./document/port.ts";

export { type ColumnOptions, columnOf } from "./document/column.ts";
export type { Change, DocumentPort } from "./document/port.ts";

/** How a document store is made. */
export interface DocumentStoreOptions {
  /** For tests: what time it is for calls that no limit matches, of which the port is not asked. Default: the machine's. */
  readonly clock?: Clock;
}

const OPTIONS = { clock: clockOption } satisfies TableOf<DocumentStoreOptions>;

const BATCHING: Batching = { size: 64, underWay: 4 };
const MAX_CHANGING_PARTITIONS = 8;
/** Most keys that calls may make in one value: what ends a call may make more (`roomFor`). */
const MAX_KEYS = 10_000;

type Kept = readonly [text: string, expiresAtMs: number];

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
  const { deadlineMs } = port;
  let isClosed = false;
  // A partition that fails does not fail the others of its batch.
  const decide = async (tag: string | null, requests: readonly StoreRequest[], endsAtMs: number) => {
    if (tag === null) return decideBatch(requests, () => undefined, (clock ?? systemClock).nowMs()).replies;
    const leftMs = endsAtMs - monotonicClock.nowMs();
    try {
      const partition = partitionIn(tag);
      if (leftMs <= 0) throw new LateError(deadlineMs);
      const transacted = port.transact(partition, (json, nowMs, spelled = partition) =>
        changeValue(json, spelled === partition ? requests : requests.map((each) => inValueOf(spelled, each)), nowMs),
      );
      return await (deadlineMs === undefined ? transacted : within(leftMs, transacted, { deadlineMs }));
    } catch (error) {
      const failed = asStoreError(error, "the port failed");
      return requests.map(() => failed);
    }
  };
  return {
    layers: networkLayers,
    batching: BATCHING,
    deadlineMs,
    clock,
    checkPolicy,
    async apply(requests, leftMs = deadlineMs ?? Number.POSITIVE_INFINITY) {
      if (isClosed) throw closedError("document");
      const endsAtMs = monotonicClock.nowMs() + leftMs;
      const answers: StoreAnswer[] = [];
      const waiting = Map.groupBy(requests.keys(), (i) => tagIn(requests[i] as StoreRequest)).entries();
      const lane = async () => {
        for (const [tag, indexes] of waiting) {
          const asked = indexes.map((i) => requests[i] as StoreRequest);
          const found = await decide(tag, asked, endsAtMs);
          for (const [n, i] of indexes.entries()) answers[i] = found[n] as StoreAnswer;
        }
      };
      await Promise.all(Array.from({ length: MAX_CHANGING_PARTITIONS }, lane));
      return answers;
    },
    async setup() {
      try {
        return (await port.setup?.()) ?? [];
      } catch (error) {
        throw asStoreError(error, "the port failed");
      }
    },
    async close() {
      isClosed = true;
    },
  };
}

function checkPolicy(policy: Policy): void {
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

/** The tag in the keys of a request; `null` where it names no bucket. */
function tagIn(request: StoreRequest): string | null {
  const [key] = keysOf(request);
  return key === undefined ? null : tagOf(key);
}

/** @throws StoreError `unknown-partition` */
function partitionIn(tag: string): string {
  const partition = valueOfPart(tag);
  if (partition !== null) return partition;
  const message = "a partition's value is longer than 64 bytes, and is known by its hash alone";
  throw new StoreError("unknown-partition", message, { transient: false });
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
function changeValue(json: unknown, requests: readonly StoreRequest[], nowMs: number): Change<readonly StoreAnswer[]> {
  const found = keysIn(json);
  const entries = new Map(Object.entries(found ?? {}));
  const written = new Map<string, StoredState | undefined>();
  const endOf = (key: string) =>
    written.has(key) ? (written.get(key)?.expiresAtMs ?? 0) : endOfEntry(entries.get(key));
  const isThere = (key: string) => nowMs < endOf(key);
  const read = (key: string): ReadState => {
    if (written.has(key)) return written.get(key);
    const entry = entries.get(key);
    if (isKept(entry)) return decodeState(...entry, nowMs);
    return entry === undefined && found !== null ? undefined : null;
  };
  let buckets = [...entries.keys()].filter((key) => isThere(key) && !isSettledKey(key)).length;
  const replies = requests.map((request) => {
    const { replies, changed } = decideBatch([request], read, nowMs);
    const reply = replies[0] as StoreAnswer;
    if (changed.size === 0 || StoreError.isInstance(reply)) return reply;
    const keys = keysOf(request);
    const added = newIn(request, (i) => changed.get(keys[i] ?? "") !== undefined, isThere);
    if (added > 0 && buckets + added > roomFor(request, reply, MAX_KEYS)) {
      return new StoreError("capacity", `a partition's value is full: it keeps at most ${MAX_KEYS} keys`, {
        transient: true,
      });
    }
    for (const [key, state] of changed) {
      const wasThere = isThere(key);
      written.set(key, state);
      if (!isSettledKey(key)) buckets += Number(isThere(key)) - Number(wasThere);
    }
    return reply;
  });
  if (written.size === 0 && found === null) {
    // Thrown, because a port may write what it is given back: the value is left as it was.
    const message = "a partition's value is not what any version writes: a reset of a bucket begins it again";
    throw new StoreError("damaged-bucket", message, { transient: false });
  }
  if (written.size === 0) return { json, result: replies };
  for (const [key, state] of written) {
    if (state === undefined) entries.delete(key);
    else entries.set(key, [encodeState(state), state.expiresAtMs] satisfies Kept);
  }
  const live = [...entries].filter(([key]) => isThere(key));
  const ends = live.map(([key]) => key).filter(isSettledKey);
  ends.sort((one, other) => endOf(one) - endOf(other));
  const roomForEnds = Math.max(KEPT_ENDS, MAX_KEYS - buckets);
  const forgotten = new Set(ends.slice(0, Math.max(0, ends.length - roomForEnds)));
  const keys = Object.fromEntries(live.filter(([key]) => !forgotten.has(key)));
  return { json: { tollgate: 1, keys }, result: replies };
}

/** When an entry ends: one that is damaged stays until it is reset. */
function endOfEntry(entry: unknown): number {
  if (isKept(entry)) return entry[1];
  return entry === undefined ? 0 : Number.POSITIVE_INFINITY;
}

/** What a value, `{ "tollgate": 1, "keys": { … } }`, has for each key; `null` where it is damaged as a whole. */
function keysIn(value: unknown): Readonly<Record<string, unknown>> | null {
  const json = jsonIn(value);
  if (isEmpty(json)) return {};
  const { tollgate, keys, ...others } = Object(json) as Record<string, unknown>;
  // What another program has added would be lost where the value is written.
  if (tollgate !== 1 || Object.keys(others).length > 0) return null;
  return typeof keys === "object" && keys !== null ? (keys as Record<string, unknown>) : null;
}

/** Whether nothing was written yet: NULL, or what columns have as their default, `{}`, `[]` and the empty text. */
function isEmpty(json: unknown): boolean {
  if (json === null || json === undefined || json === "") return true;
  return typeof json === "object" && json !== null && Object.keys(json).length === 0;
}

function isKept(kept: unknown): kept is Kept {
  return Array.isArray(kept) && typeof kept[0] === "string" && Number.isSafeInteger(kept[1]);
}
