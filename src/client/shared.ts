// What a client and those bound from it share.

import { limiterClosed } from "../limiter/closed.ts";
import type { DecisionListener } from "../limiter/telemetry.ts";
import type { LimiterEvent, TelemetryHooks, WaitOptions } from "../limiter.ts";
import type { Away } from "./away.ts";
import { type Replies, replyTo } from "./replies.ts";
import type { Item, Wire } from "./wire.ts";

export interface ClientShared {
  readonly wire: Wire;
  /** Decides while the service is away; `null`: calls fail then. */
  readonly away: Away | null;
  /** Whether calls without a key get one. */
  readonly isKeyed: boolean;
  readonly onDecision: DecisionListener | undefined;
  readonly onEvent: ((event: LimiterEvent) => unknown) | undefined;
  /** What measures the limiter. */
  readonly hooks: TelemetryHooks | null;
  /** Aborted when the client is closed: calls that wait end. */
  readonly ending: AbortController;
  closing: Promise<void> | null;
}

/**
 * Asks the service, or who decides while it is away.
 *
 * @param locally decides instead; `isDoubted`: the service may have done it all the same
 */
export async function askOr<Op extends keyof Replies, Local>(
  { wire, away }: Pick<ClientShared, "wire" | "away">,
  item: Item<Op>,
  locally: (away: Away, isDoubted: boolean) => Promise<Local>,
): Promise<Replies[Op] | Local> {
  if (away === null) return wire.ask(item);
  const endsAtMs = performance.now() + wire.deadlineMs;
  if (await away.isAway(endsAtMs)) return locally(away, false);
  let answer: Replies[Op];
  try {
    answer = await wire.ask(item, Math.max(0, endsAtMs - performance.now()));
  } catch (error) {
    if (!away.leave(error)) throw error;
    return locally(away, true);
  }
  away.reached();
  return answer;
}

/**
 * Asks the service for a call that may wait there, by itself: nothing else waits for its answer. While the service is away no
 * call waits. A signal that is aborted, or closing the client, ends the request, so that the service gives its place back.
 *
 * @param locally as of `askOr`
 */
export async function askInTime<Op extends "consume" | "reserve" | "begin", Local>(
  { wire, away, ending }: Pick<ClientShared, "wire" | "away" | "ending">,
  { op, body, isRepeatable }: Item<Op>,
  { maxWaitMs = 0, signal }: WaitOptions,
  locally: (away: Away, isDoubted: boolean) => Promise<Local>,
): Promise<Replies[Op] | Local> {
  const endsAtMs = performance.now() + wire.deadlineMs;
  if (away !== null && (await away.isAway(endsAtMs))) return locally(away, false);
  const ends = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]);
  try {
    const answer = await wire.send(
      {
        method: "POST",
        path: `/v1/${op}`,
        body: (leftMs) => ({ ...body, maxWaitMs: leftMs }),
        isRepeatable,
        waitMs: maxWaitMs,
        signal: ends,
      },
      Math.max(0, endsAtMs - performance.now()),
    );
    // What was closed while it waited is not allowed any more.
    ends.throwIfAborted();
    away?.reached();
    return replyTo(op, answer);
  } catch (error) {
    if (ends.aborted || away === null || !away.leave(error)) throw error;
    return locally(away, true);
  }
}

/**
 * Refuses to ask for anything once the client was closed.
 *
 * @throws MisuseError `limiter-closed`
 */
export function checkOpen({ closing }: Pick<ClientShared, "closing">): void {
  if (closing !== null) throw limiterClosed();
}
