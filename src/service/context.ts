// What the routes of one service share.

import type { CompiledPolicy } from "../kernel/limit.ts";
import type { HostedLimiter } from "../limiter.ts";
import type { Audit } from "./audit.ts";
import type { Caller } from "./auth.ts";
import type { Bounds } from "./bounds.ts";
import type { Events } from "./events.ts";
import type { Keys } from "./keys.ts";
import type { Metrics } from "./metrics.ts";
import type { Place, ProblemError } from "./problems.ts";
import type { ReadinessWatch } from "./readiness.ts";
import type { Refusals } from "./refusals.ts";

/** The policy in force, and as it was written. */
export interface PolicyInForce {
  readonly policy: CompiledPolicy;
  readonly source: string;
  /** Names what the policy says. */
  readonly version: string;
  /** Names the source: its hash. */
  readonly etag: string;
}

/** Of which request an error is, and where that says what is asked. */
interface FailedRequest {
  readonly request: Request;
  readonly place: Place;
}

/** What the routes share. */
export interface ServiceContext {
  readonly limiter: HostedLimiter;
  readonly bounds: Bounds;
  readonly keys: Keys | false;
  readonly events: Events;
  readonly metrics: Metrics;
  readonly readiness: ReadinessWatch;
  readonly audit: Audit;
  readonly refusals: Refusals;
  /** Aborted when what runs has had its time. */
  readonly stop: AbortSignal;
  /** An error as an answer; one that is the service's own fault is logged. */
  failed(error: unknown, of: FailedRequest): ProblemError;
  readonly inForce: PolicyInForce;
  /** The OpenAPI document, as text. */
  openApi(): string;
  /** Before it ends it says that it is not ready; then it takes no new work. */
  phase: "open" | "leaving" | "stopping";
  /** Requests under way, but for those that wait for their turn. */
  inFlight: number;
  /** Calls that wait for their turn. */
  waiting: number;
}

/** Who asks, and the signal that tells when he has gone. */
export interface Asking {
  readonly caller: Caller;
  readonly request: Request;
}
