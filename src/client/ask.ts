// How a remote limiter asks the service, and what decides while the service is unreachable.

import { monotonicClock } from "../clock.ts";
import type { Decision } from "../kernel/decision.ts";
import { checkOpen } from "../limiter/ask.ts";
import { type CallOptions, checkCallOptions } from "../limiter/call-options.ts";
import type { WaitOptions } from "../limiter.ts";
import type { Away, Flight } from "./away.ts";
import type { ClientContext } from "./context.ts";
import { type Replies, replyTo } from "./replies.ts";
import type { BatchItem, SingleRequest } from "./wire.ts";

/** How a call is asked: `flight` is that of a call which the service decides, and which is charged then. */
export interface AskOptions extends WaitOptions {
  readonly flight?: Flight;
}

/**
 * Asks the service, or decides locally while the service is unreachable.
 *
 * @param decideLocally `isInDoubt`: the service may have decided, but its answer was lost
 * @param options `maxWaitMs`: how long the call may wait at the service. While the service is unreachable no call waits. `signal` ends
 *   only a wait; any other call is decided once it was sent.
 */
export function askOr<Op extends keyof Replies, Local>(
  context: ClientContext,
  item: BatchItem<Op>,
  decideLocally: (away: Away, isInDoubt: boolean) => Promise<Local>,
  options: AskOptions = {},
): Promise<Replies[Op] | Local> {
  return closedAfter(context, decide(context, item, decideLocally, options));
}

/** The client is closed only after it, so that what it books is sent, or reported as lost. */
export function closedAfter<Found>({ undecided }: ClientContext, deciding: Promise<Found>): Promise<Found> {
  const ended = deciding.finally(() => undecided.delete(ended));
  undecided.add(ended);
  return ended;
}

async function decide<Op extends keyof Replies, Local>(
  context: ClientContext,
  item: BatchItem<Op>,
  decideLocally: (away: Away, isInDoubt: boolean) => Promise<Local>,
  { flight, ...options }: AskOptions,
): Promise<Replies[Op] | Local> {
  const { wire, away } = context;
  const endsAtMs = monotonicClock.nowMs() + wire.deadlineMs;
  if (away !== null && (await away.decidesHere(endsAtMs))) return decideLocally(away, false);
  const leftMs = Math.max(0, endsAtMs - monotonicClock.nowMs());
  const mayWait = (options.maxWaitMs ?? 0) > 0;
  const sentMs = monotonicClock.nowMs();
  if (flight !== undefined) away?.sent(flight);
  let answer: Replies[Op];
  try {
    answer = mayWait ? await askInTime(context, item, options, leftMs) : await wire.ask(item, leftMs);
  } catch (error) {
    if (flight !== undefined) away?.lost(flight);
    if (away === null || !away.leave(error)) throw error;
    return decideLocally(away, true);
  }
  if (flight !== undefined) away?.heard(flight, answer as Decision, sentMs);
  away?.reached();
  return answer;
}

/**
 * Asks for a call that may wait, in a request of its own, because nothing else should wait for its answer. Aborting the signal, or
 * closing the client, ends the request, so that the service frees the call's place.
 */
async function askInTime<Op extends keyof Replies>(
  context: ClientContext,
  { op, body, isRepeatable }: BatchItem<Op>,
  { maxWaitMs: waitMs, signal }: WaitOptions,
  leftMs: number,
): Promise<Replies[Op]> {
  checkOpen(context);
  const { wire, waiting } = context;
  const ending = new AbortController();
  waiting.add(ending);
  const ends = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]);
  const bodyFor = (maxWaitMs: number) => ({ ...body, maxWaitMs });
  const request = { method: "POST", path: `/v1/${op}`, body: bodyFor, isRepeatable, waitMs, signal: ends } as const;
  try {
    return replyTo(op, await wire.send(request, leftMs));
  } finally {
    waiting.delete(ending);
    // A call that was aborted is not admitted, even if its answer came.
    ends.throwIfAborted();
  }
}

/** Asks the service in a request of its own. There is no local answer. */
export async function askAlone<Op extends keyof Replies>(
  context: ClientContext,
  op: Op,
  request: SingleRequest,
  options: CallOptions,
): Promise<Replies[Op]> {
  checkSendable(context, options);
  return replyTo(op, await context.wire.send(request));
}

/** Validates the options of a call that may have only a signal, then as `checkReady`. Throws `invalid-option`. */
export function checkSendable(context: ClientContext, options: CallOptions = {}): void {
  checkCallOptions(options);
  checkReady(context, options.signal);
}

/** Throws when a call must not be sent: `limiter-closed`, or the signal's reason. */
export function checkReady(context: ClientContext, signal: AbortSignal | undefined): void {
  signal?.throwIfAborted();
  checkOpen(context);
}
