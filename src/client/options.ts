// The options of a remote limiter: each with its check, its default and its comment for users.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { callback, checked, choice, having, readOptions, required, unchecked, whole } from "../kernel/options.ts";
import type { OptionsOf } from "../kernel/options.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { LimiterEvent, Telemetry } from "../limiter.ts";
import { checkTelemetry } from "../limiter/telemetry.ts";
import type { Away } from "./away.ts";
import type { Wire } from "./wire.ts";

/** What a client does while the service is unreachable: `localFailover` of `tollgate/client/failover` makes it. */
export interface ClientFailover<P extends Policy = Policy> {
  /** The service's policy. */
  readonly policy: P;
}

/** It as the client uses it. */
export interface OpenFailover extends ClientFailover {
  open(wire: Wire, emit: (event: LimiterEvent) => void): Away;
}

const OPTIONS = {
  url: required(
    checked<string | URL>(
      "where the service is, such as http://127.0.0.1:8420, without the /v1 of its routes",
      (value) => {
        const url = String(value);
        return /^https?:/.test(url) && URL.canParse(url) && !/\/v1\/?$/.test(new URL(url).pathname);
      },
    ),
  ),
  /** An API key of the service, `tg_…`. `decide` is the scope for calls, `read` for `usage`, `admin` for `grant`, `revoke` and `reset`. */
  apiKey: {
    ...checked<string>("an API key of the service, which begins with tg_", (value) =>
      /^tg_[\w-]+$/.test(String(value)),
    ),
    isSecret: true,
  },
  /** How long a call may take, 10 to 60,000 ms. Default 1,000. It includes the time in the queue and retries. */
  deadlineMs: whole(10, 60_000, 1_000),
  /**
   * `auto`, the default: a call without an idempotency key gets one, so that it can be sent again when its answer was lost, and
   * is charged once. `off`: a call whose answer was lost is not sent again. It saves the store a key for ten minutes for each
   * allowed call.
   */
  idempotency: choice(["auto", "off"], "auto"),
  failover: having<OpenFailover>("open", 'localFailover({ policy, instances }) of "tollgate/client/failover"'),
  /** Called like `onDecision` of `createLimiter`. */
  onDecision: callback<(decision: Decision, call: Call) => unknown>(),
  /** Called like `onEvent` of `createLimiter`, with events of this client. */
  onEvent: callback<(event: LimiterEvent) => unknown>(),
  /** Measures the limiter, such as `otel()` of `tollgate/otel`. Default: no telemetry. */
  telemetry: unchecked<Telemetry>(),
  /** The `fetch` function to use. Default: the global one. */
  fetch: callback<typeof fetch>(),
};

/** The options of `createRemoteLimiter`. */
export interface ClientOptions<P extends Policy = Policy> extends Omit<OptionsOf<typeof OPTIONS>, "url" | "failover"> {
  /** The URL of the service, or of the load balancer in front of it: `http://127.0.0.1:8420`. */
  readonly url: string | URL;
  /** What this client does while the service is unreachable. By default calls fail with `StoreError` `unavailable`. */
  readonly failover?: ClientFailover<P> | undefined;
}

/** The options with their defaults, and the URL without a slash at its end. Throws `invalid-option`. */
export function readClientOptions(options: ClientOptions) {
  const { url, ...read } = readOptions(OPTIONS, options);
  checkTelemetry(read.telemetry);
  return { ...read, url: String(url).replace(/\/+$/, "") };
}
