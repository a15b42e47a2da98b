// What a client and those bound from it share.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { LimiterEvent } from "../limiter.ts";
import type { Away } from "./away.ts";
import type { Replies } from "./replies.ts";
import type { Item, Wire } from "./wire.ts";

export interface ClientShared {
  readonly wire: Wire;
  /** Decides while the service is away; `null`: calls fail then. */
  readonly away: Away | null;
  /** Whether calls without a key get one. */
  readonly isKeyed: boolean;
  readonly onDecision: ((decision: Decision, call: Call) => unknown) | undefined;
  readonly onEvent: ((event: LimiterEvent) => unknown) | undefined;
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
  if (await away.isAway()) return locally(away, false);
  let answer: Replies[Op];
  try {
    answer = await wire.ask(item);
  } catch (error) {
    if (!away.leave(error)) throw error;
    return locally(away, true);
  }
  away.reached();
  return answer;
}

/**
 * Refuses to ask for anything once the client was closed.
 *
 * @throws MisuseError `limiter-closed`
 */
export function checkOpen({ closing }: ClientShared): void {
  if (closing === null) return;
  throw new MisuseError("limiter-closed", { path: "limiter", expected: "an open limiter", got: "a closed one" });
}
