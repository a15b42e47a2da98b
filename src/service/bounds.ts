// The bounds of a service and of its port: each has a range and a default. The command line takes them with `--set`.

import { type OptionsOf, readOptions, type SettledOptions, whole } from "../kernel/options.ts";

const SERVICE_BOUNDS = {
  /** The longest body, 1,000 to 100,000,000 bytes. Default 1,048,576. */
  maxBodyBytes: whole(1_000, 100_000_000, 1_048_576),
  /** The most items of a batch, 1 to 1,000. Default 1,000. */
  maxBatchItems: whole(1, 1_000, 1_000),
  /** The most requests in flight, 1 to 100,000. Default 1,000. Further requests get 503. Multiplied by `maxBodyBytes`, it bounds the memory for bodies. */
  maxInFlight: whole(1, 100_000, 1_000),
  /** The longest `maxWaitMs` of a call, 0 to 3,600,000 ms. Default 30,000. */
  maxWaitMs: whole(0, 3_600_000, 30_000),
  /** The most calls that wait for their turn, 0 to 100,000. Default 500. They do not count as in flight; further calls get 503. */
  maxWaiting: whole(0, 100_000, 500),
  /** The most listeners to events, 0 to 10,000. Default 100. */
  maxListeners: whole(0, 10_000, 100),
  /** The most bytes that wait for one listener, 10,000 to 100,000,000. Default 4,000,000. A listener that falls further behind is dropped. */
  maxListenerBytes: whole(10_000, 100_000_000, 4_000_000),
  /** The time between two heartbeats of a listener, after which a revoked key is shut out, 100 to 600,000 ms. Default 15,000. */
  heartbeatMs: whole(100, 600_000, 15_000),
  /** How long the store may take to answer `/readyz`, 10 to 60,000 ms. Default 1,000. */
  readyDeadlineMs: whole(10, 60_000, 1_000),
  /** How long requests in flight may take to end when the service closes, 0 to 600,000 ms. Default 10,000. */
  stopMs: whole(0, 600_000, 10_000),
  /** How long the closing service tries to book what it admitted during an outage, 0 to 600,000 ms. Default 5,000. */
  closeMs: whole(0, 600_000, 5_000),
};

export const LISTEN_BOUNDS = {
  /** The longest header, 1,000 to 1,000,000 bytes. Default 16,384. */
  maxHeaderBytes: whole(1_000, 1_000_000, 16_384),
  /** How long a header may take to arrive, 100 to 600,000 ms. Default 10,000. */
  headerMs: whole(100, 600_000, 10_000),
  /** How long a whole request may take to arrive, 100 to 600,000 ms. Default 30,000. */
  requestMs: whole(100, 600_000, 30_000),
  /** How long a connection may be idle, 100 to 3,600,000 ms. Default 75,000. Make it longer than the load balancer's. */
  idleMs: whole(100, 3_600_000, 75_000),
  /** How long a request in flight may be silent, 1,000 to 7,200,000 ms. Default 120,000. Make it longer than `maxWaitMs` and `heartbeatMs`. */
  silentMs: whole(1_000, 7_200_000, 120_000),
  /** The most connections, 1 to 1,000,000. Default 10,000. */
  maxConnections: whole(1, 1_000_000, 10_000),
  /** How long the closing service still answers as before, but is not ready, 0 to 600,000 ms. Default 0. */
  drainMs: whole(0, 600_000, 0),
};

/** The bounds of a service. */
export interface ServiceBounds extends OptionsOf<typeof SERVICE_BOUNDS> {}

export type Bounds = SettledOptions<typeof SERVICE_BOUNDS>;

export const SERVICE_BOUND_NAMES: readonly string[] = Object.keys(SERVICE_BOUNDS);
export const BOUND_NAMES = [...SERVICE_BOUND_NAMES, ...Object.keys(LISTEN_BOUNDS)];

/** The bounds with their defaults. Throws `invalid-option`. */
export function boundsOf(given: ServiceBounds = {}): Bounds {
  return readOptions(SERVICE_BOUNDS, given, "bounds");
}
