// Calls that may wait for their turn.

import { invalidOption } from "../../kernel/errors.ts";
import type { HostedLimiter } from "../../limiter.ts";
import type { Asking } from "../context.ts";
import { ProblemError, stopping } from "../problems.ts";

type RemoteWait = Pick<Parameters<HostedLimiter["consumeForRemote"]>[1], "maxWaitMs" | "signal" | "abandoned">;

/** Decides a call that may wait for its turn. Without `maxWaitMs` it does not wait. */
export async function inTime<Answer>(
  { context, request }: Asking,
  maxWaitMs: number | undefined,
  decide: (wait: RemoteWait) => Promise<Answer>,
): Promise<Answer> {
  if (maxWaitMs === undefined || maxWaitMs === 0) return decide({});
  const { bounds } = context;
  if (maxWaitMs > bounds.maxWaitMs)
    throw invalidOption("maxWaitMs", `at most ${bounds.maxWaitMs}, the bound of this service`, maxWaitMs);
  if (context.waiting >= bounds.maxWaiting)
    throw new ProblemError("too-many-waiting", `${bounds.maxWaiting} calls wait already.`);
  context.waiting++;
  context.inFlight--;
  try {
    // A client that has gone does not ask for the answer; one that hears that the service stops asks another instance.
    return await decide({ maxWaitMs, signal: context.stop, abandoned: request.signal });
  } catch (error) {
    if (context.stop?.aborted) throw stopping();
    if (request.signal.aborted) throw new ProblemError("client-gone", "The client went away.");
    throw error;
  } finally {
    context.waiting--;
    context.inFlight++;
  }
}
