// Calls that may wait for their turn.

import { invalidOption } from "../../kernel/errors.ts";
import type { ConsumeBody } from "../../http/requests.ts";
import type { HostedLimiter } from "../../limiter.ts";
import type { Asking } from "../context.ts";
import { ProblemError, stopping } from "../problems.ts";

type RemoteOptions = Parameters<HostedLimiter["consumeForRemote"]>[1];

/** Decides a call that may wait for its turn. Without `maxWaitMs`, or with `force`, it does not wait. */
export async function inTime<Answer>(
  { context, request }: Asking,
  { maxWaitMs = 0, force }: Pick<ConsumeBody, "maxWaitMs" | "force">,
  decide: (options: RemoteOptions) => Promise<Answer>,
): Promise<Answer> {
  if (maxWaitMs === 0 || force === true) return decide({ force });
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
