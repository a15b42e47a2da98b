// What a remote limiter shares with the limiters that are bound from it.

import type { DecisionListener, EventListener } from "../limiter/listener.ts";
import type { TelemetryHooks } from "../limiter.ts";
import type { Away } from "./away.ts";
import type { Wire } from "./wire.ts";

export interface ClientContext {
  readonly wire: Wire;
  /** Decides while the service is unreachable; `null`: calls fail then. */
  readonly away: Away | null;
  /** Whether calls without an idempotency key get one. */
  readonly isKeyed: boolean;
  readonly onDecision: DecisionListener | undefined;
  readonly onEvent: EventListener | undefined;
  readonly hooks: TelemetryHooks | null;
  /** End the calls that wait at the service. Each belongs to its call, as Workers demand. */
  readonly waiting: Set<AbortController>;
  /** Calls that are not decided yet: what this process admits has to be booked before it ends. */
  readonly undecided: Set<Promise<unknown>>;
  closing: Promise<void> | null;
}
