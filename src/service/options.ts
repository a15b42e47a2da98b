// The options of a service.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { callback, checked, readOptions, required, type TableOf, unchecked } from "../kernel/options.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
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
import type { ServiceBounds } from "./bounds.ts";
import type { Keys } from "./keys.ts";
import type { Log } from "./log.ts";

/** The options of a service. */
export interface ServiceOptions {
  /** The policy: a text in YAML or JSON, or an object. */
  readonly policy: string | PolicyInput | Policy;
  /** Where the policy's text is from, for the log and for faults, such as a file's path. Default `policy`. */
  readonly policySource?: string | undefined;
  /** The store. The service closes it. */
  readonly store: Store | SharedStore;
  /** The API keys: `keyFile(path)`, or `false` where callers need none. */
  readonly keys: Keys | false;
  /** The start of each key in the store. Default `rate`. */
  readonly prefix?: string | undefined;
  /** As for `createLimiter`: looks up the quotas of limits with `quota: { from: call }`. */
  readonly quotas?: QuotaResolver | undefined;
  /** As for `createLimiter`: for how long a denial is repeated without asking the store. */
  readonly denyCacheMs?: number | undefined;
  /** As for `createLimiter`: what happens while the store is unreachable. */
  readonly failover?: FailoverOptions | false | undefined;
  /** As for `createLimiter`: called with each decision. */
  readonly onDecision?: ((decision: Decision, call: Call) => unknown) | undefined;
  /** As for `createLimiter`: called with each event. */
  readonly onEvent?: ((event: LimiterEvent) => unknown) | undefined;
  /** As for `createLimiter`: measures the service's limiter, in addition to its own metrics. */
  readonly telemetry?: Telemetry | undefined;
  /** The log, such as pino's. Default: none. */
  readonly log?: Log | undefined;
  /** Called with each administrative act before it is done. Default: the log, at `info`. */
  readonly audit?: Audit | undefined;
  /** Bounds of requests, waits and times. */
  readonly bounds?: ServiceBounds | undefined;
}

const OPTIONS: TableOf<ServiceOptions> = {
  policy: unchecked(),
  policySource: checked("a text", (value) => typeof value === "string"),
  store: unchecked(),
  keys: required(
    checked("keys, such as keyFile(path), or false where no key is needed", (value) => {
      return value === false || typeof (value as Keys | undefined)?.find === "function";
    }),
  ),
  prefix: unchecked(),
  quotas: unchecked(),
  denyCacheMs: unchecked(),
  failover: unchecked(),
  onDecision: unchecked(),
  onEvent: unchecked(),
  telemetry: unchecked(),
  log: checked("a log such as pino's", (value) => typeof (value as Log | null)?.info === "function"),
  audit: callback(),
  bounds: unchecked(),
};

/**
 * Refuses options that are wrong, except those that the limiter checks itself.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkServiceOptions(options: ServiceOptions): void {
  readOptions(OPTIONS, options);
  checkTelemetry(options.telemetry);
}
