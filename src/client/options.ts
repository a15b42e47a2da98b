// The options of a remote limiter: each with its check, its default and its comment for users.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { callback, choice, checked, readOptions, required, unchecked, whole } from "../kernel/options.ts";
import type { OptionsOf } from "../kernel/options.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { checkTelemetry, type LimiterEvent, type Telemetry } from "../limiter.ts";

/** What a client does while the service is unreachable. */
export interface ClientFailover<Given = Policy | PolicyInput> {
  /** The service's policy. A bucket of a limit that the service has otherwise gets a share of the whole quota. */
  readonly policy: Given;
  /** How many clients share the limits at most, 1 to 10,000. */
  readonly instances: number;
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
  failover: unchecked<ClientFailover>(),
  /** Called like `onDecision` of `createLimiter`. */
  onDecision: callback<(decision: Decision, call: Call) => unknown>(),
  /** Called like `onEvent` of `createLimiter`, with events of this client. */
  onEvent: callback<(event: LimiterEvent) => unknown>(),
  /** Measures the limiter, such as `otel()` of `tollgate/otel`. Default: no telemetry. */
  telemetry: unchecked<Telemetry>(),
  /** The `fetch` function to use. Default: the global one. */
  fetch: callback<typeof fetch>(),
};
const FAILOVER_OPTIONS = { policy: unchecked(), instances: required(whole(1, 10_000)) };

/** The options of `createRemoteLimiter`. */
export interface ClientOptions<Given = Policy | PolicyInput>
  extends Omit<OptionsOf<typeof OPTIONS>, "url" | "failover"> {
  /** The URL of the service, or of the load balancer in front of it: `http://127.0.0.1:8420`. */
  readonly url: string | URL;
  /** What this client does while the service is unreachable. By default calls fail with `StoreError` `unavailable`. */
  readonly failover?: ClientFailover<Given> | undefined;
}

/** The options with their defaults, and the URL without a slash at its end. Throws `invalid-option`. */
export function readClientOptions(options: ClientOptions) {
  const { url, ...read } = readOptions(OPTIONS, options);
  if (read.failover !== undefined) readOptions(FAILOVER_OPTIONS, read.failover, "failover");
  checkTelemetry(read.telemetry);
  return { ...read, url: String(url).replace(/\/+$/, "") };
}
