// What a limiter and those bound from it share, and how they ask the store.

import { type Clock, monotonicClock } from "../clock.ts";
import type { Priced } from "../kernel/answer.ts";
import type { Decision } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Layer } from "../layers/layer.ts";
import { askOne, type Found } from "../store/ask.ts";
import { StoreError } from "../store/error.ts";
import { validReply } from "../store/check.ts";
import type { CalendarSpecs } from "./calendar-specs.ts";
import type { CallOptions } from "./call-options.ts";
import { limiterClosed } from "./closed.ts";
import type { LimiterEvent } from "./events.ts";
import type { KnownCalls } from "./known-calls.ts";
import { tell } from "./listener.ts";
import type { Quotas } from "./quotas.ts";
import type { SetupWatch } from "./setup.ts";
import type { SlotRows } from "./slots.ts";
import type { DecisionListener, TelemetryHooks } from "./telemetry.ts";

export interface Shared {
  /** As of now: a limiter may be given another one. */
  policy: CompiledPolicy;
  /** What calls came to under that policy. */
  known: KnownCalls;
  readonly prefix: string;
  readonly quotas: Quotas;
  /** The outermost layer in front of the store. */
  readonly store: Layer;
  /** Refuses limits that the store cannot keep. */
  readonly checkPolicy: (policy: CompiledPolicy) => void;
  /** How long the store may take for a decision; `undefined`: as long as it takes. */
  readonly deadlineMs: number | undefined;
  /** Waits until the store counts again and has all that was admitted without it, or until the time is over. */
  readonly recovered: (withinMs: number) => Promise<unknown>;
  /** The numbers of limits, as of now. */
  readonly calendar: CalendarSpecs;
  readonly onDecision: DecisionListener | undefined;
  readonly onEvent: ((event: LimiterEvent) => unknown) | undefined;
  /** What measures the limiter. */
  readonly hooks: TelemetryHooks | null;
  /** By which calls wait and holds of `run` are extended: the store's where a test gives it one. */
  readonly clock: Clock;
  /** Whether `clock` is the one that the store decides by, so that its instants can be compared. */
  readonly isStoreClock: boolean;
  /** How many calls of this process sleep until a bucket may have room for them. */
  readonly waiting: Map<string, number>;
  /** Calls of this process that wait for slots of limits of concurrency. */
  readonly slots: SlotRows;
  /** Calls with `maxWaitMs` that are not decided yet, and places that are being given back. */
  readonly waits: Set<Promise<unknown>>;
  /** Ends the sleep of each call that sleeps now. */
  readonly sleepers: Set<(reason: unknown) => void>;
  /** Takes back what a request of a keyed call booked: asks the store itself, without terms, and never twice. */
  readonly undo: (request: StoreRequest) => Promise<unknown>;
  /** Watches how the store is set up; `null` where there is nothing to watch, or nobody listens. */
  readonly setup: SetupWatch | null;
  closing: Promise<void> | null;
  /** The last denial, and the reply that it came of. */
  last: { readonly reply: StoreReply; readonly charges: readonly Priced[]; readonly decision: Decision } | null;
}

/**
 * Asks the store, and once more where its time is in other windows of a calendar than this machine's. There is a reply for
 * each request, and a step reply for each step, or this throws.
 *
 * @param say makes the requests, with the boundaries of the present
 */
export async function askAll(
  shared: Shared,
  say: () => readonly StoreRequest[],
  options: CallOptions = {},
): Promise<readonly StoreReply[]> {
  options.signal?.throwIfAborted();
  checkOpen(shared);
  const requests = say();
  const askedAtMs = monotonicClock.nowMs();
  const first = await shared.store.apply(requests);
  const replies = first.some(isStale) ? await askAgain(shared, say, first, askedAtMs) : first;
  return requests.map((request, i) => checkedReply(request, replies[i]));
}

/** Asks the store for one thing, as `askAll` does. */
export async function ask(shared: Shared, say: () => StoreRequest, options: CallOptions = {}): Promise<StoreReply> {
  options.signal?.throwIfAborted();
  checkOpen(shared);
  return askStore(shared, say);
}

/** Asks the store for one thing, also while the limiter closes: what ends a wait is still asked then. */
export async function askStore(shared: Shared, say: () => StoreRequest): Promise<StoreReply> {
  const request = say();
  const askedAtMs = monotonicClock.nowMs();
  const found = askOne(shared.store, request);
  const reply = found instanceof Promise ? await found : found;
  if (reply === undefined || !isStale(reply)) return checkedReply(request, reply);
  const [again] = await askAgain(shared, () => [say()], [reply], askedAtMs);
  return checkedReply(request, again);
}

/**
 * Refuses to ask for anything once the limiter was closed.
 *
 * @throws MisuseError `limiter-closed`
 */
export function checkOpen({ closing }: Pick<Shared, "closing">): void {
  if (closing !== null) throw limiterClosed();
}

/**
 * A valid answer with a step reply for each step.
 *
 * @throws StoreError what the store said, or `invalid-reply`
 */
export function checkedReply({ steps, once }: StoreRequest, found: Found | undefined): StoreReply {
  const reply = validReply(found);
  if (StoreError.isInstance(reply)) throw reply;
  if (reply.steps.length === steps.length) return reply;
  // An answer that is kept for another request has that one's steps: whoever asked says what is wrong.
  if (reply.replay !== undefined && reply.replay.request !== once?.request) return reply;
  throw new StoreError("invalid-reply", "the store gave fewer replies than it was asked for", { transient: false });
}

function isStale(reply: Found | undefined): reply is StoreReply {
  return !StoreError.isInstance(reply) && reply?.stale === true;
}

/** Both trips are within one deadline. */
async function askAgain(
  { store, calendar, deadlineMs }: Shared,
  say: () => readonly StoreRequest[],
  first: readonly Found[],
  askedAtMs: number,
) {
  const stale = first.flatMap((reply, i) => (isStale(reply) ? [{ i, nowMs: reply.nowMs }] : []));
  calendar.learn(stale[0]?.nowMs ?? 0);
  const requests = say();
  const leftMs = deadlineMs === undefined ? undefined : askedAtMs + deadlineMs - monotonicClock.nowMs();
  const again = await store.apply(
    stale.flatMap(({ i }) => requests[i] ?? []),
    leftMs,
  );
  const replies = [...first];
  for (const [n, { i }] of stale.entries()) replies[i] = again[n] as Found;
  return replies;
}

/** Says something to `onEvent`, if anybody listens. */
export function tellEvent({ onEvent }: Pick<Shared, "onEvent">, event: LimiterEvent): void {
  if (onEvent !== undefined) tell("onEvent", () => onEvent(event));
}
