// The options of a service: each with its check, its default and its comment for users.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { callback, checked, type OptionsOf, readOptions, required, unchecked } from "../kernel/options.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import {
  checkTelemetry,
  type DecisionLog,
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
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";
import type { ServicePart } from "./parts.ts";

const OPTIONS = {
  policy: unchecked<string | PolicyInput | Policy>(),
  /** Where the policy's text is from, for the log and for faults, such as a file's path. Default `policy`. */
  policySource: checked<string>("a text", (value) => typeof value === "string"),
  store: unchecked<Store | SharedStore>(),
  keys: required(
    checked<Keys | false>(
      "keys, such as keyFile(path) or parseKeys(text), or false where no key is needed",
      (value) => {
        return value === false || typeof (value as Keys | undefined)?.find === "function";
      },
    ),
  ),
  /** The start of each key in the store. Default `rate`. */
  prefix: unchecked<string>(),
  /** As for `createLimiter`: looks up the quotas of limits with `quota: { from: call }`. */
  quotas: unchecked<QuotaResolver>(),
  /** As for `createLimiter`: for how long a denial is repeated without asking the store. */
  denyCacheMs: unchecked<number>(),
  /** As for `createLimiter`: what happens while the store is unreachable. */
  failover: unchecked<FailoverOptions | false>(),
  /** As for `createLimiter`: called with each decision. */
  onDecision: unchecked<(decision: Decision, call: Call) => unknown>(),
  /** As for `createLimiter`: called with each event. */
  onEvent: unchecked<(event: LimiterEvent) => unknown>(),
  /** As for `createLimiter`: measures the service's limiter, in addition to its own metrics. */
  telemetry: unchecked<Telemetry>(),
  /** As for `createLimiter`: keeps what the service decides. */
  log: unchecked<DecisionLog>(),
  /** Its own metrics: `prometheusMetrics()` of `tollgate/service/node`, for the route `/metrics`. Default: none, and no route. */
  metrics: checked<Metrics>("metrics, such as prometheusMetrics()", (value) => {
    return typeof (value as Metrics | null)?.countAnswer === "function";
  }),
  /** Writes what the service logs, such as pino. Default: none. */
  logger: checked<Logger>("a logger such as pino's", (value) => typeof (value as Logger | null)?.info === "function"),
  /** Further routes, such as those of a decision log. The service closes them. */
  parts: checked<readonly ServicePart[]>("a list of parts", Array.isArray),
  /** Called with each administrative act before it is done. Default: the logger, at `info`. */
  audit: callback<Audit>(),
  /** Bounds of requests, waits and times. */
  bounds: unchecked<ServiceBounds>(),
};

/** The options of a service. */
export interface ServiceOptions extends OptionsOf<typeof OPTIONS> {
  /** The policy: a text in YAML or JSON, or an object. */
  readonly policy: string | PolicyInput | Policy;
  /** The store. The service closes it. */
  readonly store: Store | SharedStore;
  /** The API keys: `keyFile(path)` of `tollgate/service/node`, `parseKeys(text)`, or `false` where callers need none. */
  readonly keys: Keys | false;
}

/** Throws `invalid-option` when an option is wrong. The limiter checks its own options. */
export function checkServiceOptions(options: ServiceOptions): void {
  readOptions(OPTIONS, options);
  checkTelemetry(options.telemetry);
}
