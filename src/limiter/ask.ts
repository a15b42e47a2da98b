// How a limiter asks the store. A closed limiter does not ask. When the reply shows another calendar window, the limiter asks once
// more. Each reply is checked.

import { monotonicClock } from "../clock.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { validReply } from "../store/check.ts";
import { askOne } from "../layers/layer.ts";
import type { StoreAnswer } from "../store/store.ts";
import { StoreError } from "../store/error.ts";
import type { CallOptions } from "./call-options.ts";
import { limiterClosed } from "./closed.ts";
import type { LimiterContext } from "./context.ts";

/**
 * Sends requests that only read, and sends them again when the store's clock is in other calendar windows than this machine's.
 * Returns a reply for each request, with a step reply for each step.
 *
 * @param makeRequests makes the requests with the boundaries of the present calendar windows
 */
export async function askAll(
  context: LimiterContext,
  makeRequests: () => readonly StoreRequest[],
  options: CallOptions = {},
): Promise<readonly StoreReply[]> {
  options.signal?.throwIfAborted();
  checkOpen(context);
  if (context.calendar.loading !== null) await context.calendar.loading;
  const requests = makeRequests();
  const askedAtMs = monotonicClock.nowMs();
  const first = await context.store.apply(requests);
  const stale = requests.map((_, i) => first?.[i]).find(isStale);
  const replies = stale === undefined ? first : await askAgain(context, makeRequests, stale, askedAtMs);
  return requests.map((request, i) => checkedReply(request, replies[i]));
}

/** Sends one request to the store, as `askAll` does. */
export async function ask(
  context: LimiterContext,
  makeRequest: () => StoreRequest,
  options: CallOptions = {},
): Promise<StoreReply> {
  options.signal?.throwIfAborted();
  checkOpen(context);
  return askWhileClosing(context, makeRequest);
}

/** Sends one request to the store, also while the limiter closes: a call that ends its wait frees its place. */
export async function askWhileClosing(context: LimiterContext, makeRequest: () => StoreRequest): Promise<StoreReply> {
  if (context.calendar.loading !== null) await context.calendar.loading;
  const request = makeRequest();
  const askedAtMs = monotonicClock.nowMs();
  const found = askOne(context.store, request);
  const reply = found instanceof Promise ? await found : found;
  if (!isStale(reply)) return checkedReply(request, reply);
  const [again] = await askAgain(context, () => [makeRequest()], reply, askedAtMs);
  return checkedReply(request, again);
}

/** Throws `limiter-closed` once the limiter was closed. */
export function checkOpen({ closing }: Pick<LimiterContext, "closing">): void {
  if (closing !== null) throw limiterClosed();
}

/** A reply with a step reply for each step. Throws the store's own error, or `invalid-reply`. */
export function checkedReply({ steps, once }: StoreRequest, found: StoreAnswer | undefined): StoreReply {
  const reply = validReply(found);
  if (StoreError.isInstance(reply)) throw reply;
  if (reply.steps.length === steps.length) return reply;
  // A replayed answer may belong to another request and have its steps: the caller reports the conflict.
  if (reply.replay !== undefined && reply.replay.request !== once?.request) return reply;
  const message = `the store's steps: expected ${steps.length}, got ${reply.steps.length}`;
  throw new StoreError("invalid-reply", message, { transient: false });
}

function isStale(reply: StoreAnswer | undefined): reply is StoreReply {
  return !StoreError.isInstance(reply) && reply?.stale === true;
}

/** Sends the requests again, with the windows of the store's clock. Both trips share one deadline. */
function askAgain(
  { store, layers: { deadlineMs }, calendar }: LimiterContext,
  makeRequests: () => readonly StoreRequest[],
  { nowMs }: StoreReply,
  askedAtMs: number,
): Promise<readonly StoreAnswer[]> {
  calendar.learn(nowMs);
  const leftMs = deadlineMs === undefined ? undefined : askedAtMs + deadlineMs - monotonicClock.nowMs();
  return store.apply(makeRequests(), leftMs);
}
