// How a service is made: what it is made of, and its bounds.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { checkOptionKeys, checkWhole, invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import {
  checkTelemetry,
  type FailoverOptions,
  type LimiterEvent,
  type QuotaResolver,
  type Telemetry,
} from "../limiter.ts";
import type { SharedStore } from "../store/shared-store.ts";
import type { Store } from "../store/store.ts";
import type { Audit } from "./audit.ts";
import type { Keys } from "./keys.ts";
import type { Log } from "./log.ts";

/** The bounds of a service. */
export interface ServiceBounds {
  /** Longest body, 1,000 to 100,000,000 bytes. Default 1 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Most items of a batch, 1 to 1,000. Default 1,000. */
  readonly maxBatchItems?: number | undefined;
  /** Most requests under way, 1 to 100,000. Default 1,000. One more is answered 503. */
  readonly maxInFlight?: number | undefined;
  /** Longest `maxWaitMs` of a call, 0 to 3,600,000 ms. Default 30,000. */
  readonly maxWaitMs?: number | undefined;
  /** Most calls that wait for their turn, 0 to 100,000. Default 500. One more is answered 503. */
  readonly maxWaiting?: number | undefined;
  /** Most listeners to events, 0 to 10,000. Default 100. */
  readonly maxListeners?: number | undefined;
  /**
   * What may wait for a listener, 10,000 to 100,000,000 bytes. Default 4,000,000: more than a batch makes at
   * once. One for whom more waits is dropped.
   */
  readonly maxListenerBytes?: number | undefined;
  /** How often a listener hears that the service is alive, 100 to 600,000 ms. Default 15,000. */
  readonly heartbeatMs?: number | undefined;
  /** How long the store may take to answer whether it is there, 10 to 60,000 ms. Default 1,000. */
  readonly readyDeadlineMs?: number | undefined;
  /** How long requests under way may take to end when the service is closed, 0 to 600,000 ms. Default 10,000. */
  readonly stopMs?: number | undefined;
  /**
   * How long the service goes on trying to book what it admitted while the store was away, when it is closed and nothing
   * runs any more, 0 to 600,000 ms. Default 5,000.
   */
  readonly closeMs?: number | undefined;
}

/** How a service is made. */
export interface ServiceOptions {
  /** What calls are judged by: the text of a policy in YAML or JSON, or a policy as an object. */
  readonly policy: string | PolicyInput | Policy;
  /** What the log and faults name as the origin of a policy's text, such as a file's path. Default `policy`. */
  readonly policySource?: string | undefined;
  /** Where the state lives. The service closes it. */
  readonly store: Store | SharedStore;
  /** Who may ask: `keyFile(path)`, or `false` for anybody. */
  readonly keys: Keys | false;
  /** What keys of the store begin with. Default `rate`. */
  readonly prefix?: string | undefined;
  /** As a limiter's: says the quotas of limits with `quota: { from: call }`. */
  readonly quotas?: QuotaResolver | undefined;
  /** As a limiter's: for how long a denial is given again without asking the store. */
  readonly denyCacheMs?: number | undefined;
  /** As a limiter's. */
  readonly failover?: FailoverOptions | false | undefined;
  readonly onDecision?: ((decision: Decision, call: Call) => unknown) | undefined;
  readonly onEvent?: ((event: LimiterEvent) => unknown) | undefined;
  /** As a limiter's: measures the service's limiter beside its own metrics. */
  readonly telemetry?: Telemetry | undefined;
  /** Where it logs to. Default: nowhere. */
  readonly log?: Log | undefined;
  /** Where acts of administrators are written. Default: the log, at `info`. */
  readonly audit?: Audit | undefined;
  readonly bounds?: ServiceBounds | undefined;
}

export type Bounds = { readonly [Name in keyof ServiceBounds]-?: number };

const BOUNDS: { readonly [Name in keyof ServiceBounds]-?: readonly [least: number, most: number, usual: number] } = {
  maxBodyBytes: [1_000, 100_000_000, 1_048_576],
  maxBatchItems: [1, 1_000, 1_000],
  maxInFlight: [1, 100_000, 1_000],
  maxWaitMs: [0, 3_600_000, 30_000],
  maxWaiting: [0, 100_000, 500],
  maxListeners: [0, 10_000, 100],
  maxListenerBytes: [10_000, 100_000_000, 4_000_000],
  heartbeatMs: [100, 600_000, 15_000],
  readyDeadlineMs: [10, 60_000, 1_000],
  stopMs: [0, 600_000, 10_000],
  closeMs: [0, 600_000, 5_000],
};

/** What can be bounded. */
export const BOUND_NAMES: readonly string[] = Object.keys(BOUNDS);

/** What can be bounded of listening. */
export const LISTEN_NUMBERS: readonly string[] = [
  "maxHeaderBytes",
  "headerMs",
  "requestMs",
  "idleMs",
  "silentMs",
  "maxConnections",
  "drainMs",
];

const KNOWN = [
  "policy",
  "policySource",
  "store",
  "keys",
  "prefix",
  "quotas",
  "denyCacheMs",
  "failover",
  "onDecision",
  "onEvent",
  "telemetry",
  "log",
  "audit",
  "bounds",
];

/**
 * Refuses options that are wrong, but for what the limiter refuses by itself.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkServiceOptions(options: ServiceOptions): void {
  checkOptionKeys(options, KNOWN);
  const { policySource, keys, log, audit } = options;
  checkTelemetry(options.telemetry);
  if (policySource !== undefined && typeof policySource !== "string") {
    throw invalidOption("policySource", "a text", policySource);
  }
  if (keys !== false && typeof keys?.find !== "function") {
    throw invalidOption("keys", "keys, such as keyFile(path), or false for nobody needs one", keys);
  }
  if (log !== undefined && typeof log?.info !== "function") throw invalidOption("log", "a log such as pino's", log);
  if (audit !== undefined && typeof audit !== "function") throw invalidOption("audit", "a function", audit);
}

/**
 * The bounds, with what is usual where nothing was said.
 *
 * @throws MisuseError `invalid-option`
 */
export function boundsOf(given: ServiceBounds = {}): Bounds {
  checkOptionKeys(given, Object.keys(BOUNDS), "bounds");
  const entries = Object.entries(BOUNDS).map(([name, [least, most, usual]]) => {
    const value = given[name as keyof Bounds] ?? usual;
    checkWhole(`bounds.${name}`, value, least, most);
    return [name, value];
  });
  return Object.fromEntries(entries) as Bounds;
}
