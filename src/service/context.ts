// What the routes of one service share.

import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { HostedLimiter, LogCounts, ReloadOptions } from "../limiter.ts";
import type { Audit } from "./audit.ts";
import type { Caller } from "./auth.ts";
import type { Bounds } from "./bounds.ts";
import type { Events } from "./events.ts";
import type { Keys } from "./keys.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import type { CallPlace, ProblemError } from "./problems.ts";
import type { ReadinessWatch } from "./readiness.ts";
import type { Refusals } from "./refusals.ts";

/** The policy in force as it was written. */
export interface PolicyInForce {
  readonly source: string;
  /** Names the source: its hash. */
  readonly etag: string;
}

export interface ServiceContext {
  readonly limiter: HostedLimiter;
  readonly bounds: Bounds;
  readonly keys: Keys | false;
  readonly events: Events;
  readonly logger: Logger | undefined;
  /** Absent: nothing is measured, and there is no route `/metrics`. */
  readonly metrics: Metrics | undefined;
  /** What became of entries of the decision log; `null`: that is not counted. */
  readonly logCounts: () => LogCounts | null;
  /** The API as documents. */
  readonly documents: { openApi(): Promise<string>; docs(): Response };
  readonly readiness: ReadinessWatch;
  readonly audit: Audit;
  readonly refusals: Refusals;
  /** Aborted when requests in flight have had their time. */
  readonly stop: AbortSignal | undefined;
  /** The problem of a request that failed. A fault of the service itself is logged. */
  problemFor(error: unknown, request: Request, place: CallPlace): ProblemError;
  readonly inForce: PolicyInForce;
  /**
   * Applies another policy from now on.
   *
   * @throws MisuseError as `limiter.reload`, and nothing has changed
   */
  reload(policy: string | PolicyInput | Policy, options?: ReloadOptions): void;
  /** `leaving`: it says that it is not ready. `stopping`: it takes no new work. */
  phase: "open" | "leaving" | "stopping";
  /** Requests in flight, without calls that wait for their turn. */
  inFlight: number;
  /** Calls that wait for their turn. */
  waiting: number;
}

/** The caller, and its request, whose signal is aborted when the caller has gone. */
export interface Asking {
  readonly context: ServiceContext;
  readonly caller: Caller;
  readonly request: Request;
}
