// How a remote limiter asks the service, and what decides while the service is unreachable.

import { checkOpen } from "../limiter/ask.ts";
import { type CallOptions, checkCallOptions } from "../limiter/call-options.ts";
import type { WaitOptions } from "../limiter.ts";
import type { Away } from "./away.ts";
import type { ClientContext } from "./context.ts";
import { type Replies, replyTo } from "./replies.ts";
import type { BatchItem, SingleRequest } from "./wire.ts";

/** Decides instead of the service. `isInDoubt`: the service may have decided, but its answer was lost. */
export type DecideLocally<Local> = (away: Away, isInDoubt: boolean) => Promise<Local>;

/** Asks the service in the next batch, or decides locally while the service is unreachable. */
export async function askOr<Op extends keyof Replies, Local>(
  { wire, away }: Pick<ClientContext, "wire" | "away">,
  item: BatchItem<Op>,
  decideLocally: DecideLocally<Local>,
): Promise<Replies[Op] | Local> {
  if (away === null) return wire.ask(item);
  const endsAtMs = performance.now() + wire.deadlineMs;
  if (await away.isAway(endsAtMs)) return decideLocally(away, false);
  let answer: Replies[Op];
  try {
    answer = await wire.ask(item, Math.max(0, endsAtMs - performance.now()));
  } catch (error) {
    if (!away.leave(error)) throw error;
    return decideLocally(away, true);
  }
  away.reached();
  return answer;
}

/**
 * Asks the service for a call that may wait there, in a request of its own, because nothing else should wait for its answer. While
 * the service is unreachable no call waits. Aborting the signal, or closing the client, ends the request, so that the service
 * frees the call's place.
 */
export async function askInTime<Op extends "consume" | "reserve" | "begin", Local>(
  { wire, away, ending }: Pick<ClientContext, "wire" | "away" | "ending">,
  { op, body, isRepeatable }: BatchItem<Op>,
  { maxWaitMs: waitMs = 0, signal }: WaitOptions,
  decideLocally: DecideLocally<Local>,
): Promise<Replies[Op] | Local> {
  const endsAtMs = performance.now() + wire.deadlineMs;
  if (away !== null && (await away.isAway(endsAtMs))) return decideLocally(away, false);
  const ends = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]);
  const bodyFor = (leftMs: number) => ({ ...body, maxWaitMs: leftMs });
  const request = { method: "POST", path: `/v1/${op}`, body: bodyFor, isRepeatable, waitMs, signal: ends } as const;
  try {
    const answer = await wire.send(request, Math.max(0, endsAtMs - performance.now()));
    // A client that was closed meanwhile admits nothing.
    ends.throwIfAborted();
    away?.reached();
    return replyTo(op, answer);
  } catch (error) {
    if (ends.aborted || away === null || !away.leave(error)) throw error;
    return decideLocally(away, true);
  }
}

/** Asks the service in a request of its own. There is no local answer. */
export async function askAlone<Op extends keyof Replies>(
  context: ClientContext,
  op: Op,
  request: SingleRequest,
  options: CallOptions,
): Promise<Replies[Op]> {
  checkReady(context, options);
  return replyTo(op, await context.wire.send(request));
}

/**
 * Validates the options of a call, and throws when it must not be sent.
 *
 * @throws MisuseError `invalid-option`, `limiter-closed`; the signal's reason
 */
export function checkReady(context: Pick<ClientContext, "closing">, options: CallOptions = {}): void {
  checkCallOptions(options);
  options.signal?.throwIfAborted();
  checkOpen(context);
}
