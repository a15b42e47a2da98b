// What a service counts, for the library that keeps it: prometheus.ts, or none.

import type { LogCounts, Telemetry } from "../limiter.ts";

/** Why a connection or a listener was rejected. */
export const REJECTED = ["connections", "malformed", "slow-listener"] as const;
export type Rejected = (typeof REJECTED)[number];

/** What became of a policy that was to be applied. */
export const RELOADED = ["applied", "refused"] as const;
export type Reloaded = (typeof RELOADED)[number];

/** What became of entries of the decision log. */
export const LOGGED = ["kept", "sampled", "dropped"] as const satisfies readonly (keyof LogCounts)[];

/** The metrics of a service. */
export interface Metrics {
  /** For the service's limiter. */
  readonly telemetry: Telemetry;
  /** The media type of the text. */
  readonly contentType: string;
  /**
   * @param policy the version of the policy in force
   * @param entries of the decision log; `null`: there is none that counts
   */
  text(inFlight: number, policy: string, entries: LogCounts | null): Promise<string>;
  countAnswer(route: string, status: number, seconds: number): void;
  countRejected(reason: Rejected): void;
  setListeners(count: number): void;
  countReload(outcome: Reloaded): void;
}
