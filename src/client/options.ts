// The options of a remote limiter, and their checks.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { callback, choice, checked, readOptions, required, type TableOf, unchecked, whole } from "../kernel/options.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { checkTelemetry, type LimiterEvent, type Telemetry } from "../limiter.ts";
import { type ClientFailover, checkClientFailover } from "./away.ts";

/** The options of `createRemoteLimiter`. */
export interface ClientOptions<Given = Policy | PolicyInput> {
  /** The URL of the service, or of the load balancer in front of it: `http://127.0.0.1:8420`. */
  readonly url: string | URL;
  /** An API key of the service, `tg_…`. `decide` is the scope for calls, `read` for `usage`, `admin` for `grant`, `revoke` and `reset`. */
  readonly apiKey?: string | undefined;
  /** How long a call may take, 10 to 60,000 ms. Default 1,000. It includes the time in the queue and retries. */
  readonly deadlineMs?: number | undefined;
  /**
   * `auto`, the default: a call without an idempotency key gets one, so that it can be sent again when its answer was lost, and
   * is charged once. `off`: a call whose answer was lost is not sent again. It saves the store a key for ten minutes for each
   * allowed call.
   */
  readonly idempotency?: "auto" | "off" | undefined;
  /** What this client does while the service is unreachable. By default calls fail with `StoreError` `unavailable`. */
  readonly failover?: ClientFailover<Given> | undefined;
  /** Called like `onDecision` of `createLimiter`. */
  readonly onDecision?: ((decision: Decision, call: Call) => unknown) | undefined;
  /** Called like `onEvent` of `createLimiter`, with events of this client. */
  readonly onEvent?: ((event: LimiterEvent) => unknown) | undefined;
  /** Measures the limiter, such as `otel()` of `tollgate/otel`. Default: no telemetry. */
  readonly telemetry?: Telemetry | undefined;
  /** The `fetch` function to use. Default: the global one. */
  readonly fetch?: typeof fetch | undefined;
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
  apiKey: {
    ...checked<string>("an API key of the service, which begins with tg_", (value) =>
      /^tg_[\w-]+$/.test(String(value)),
    ),
    isSecret: true,
  },
  deadlineMs: whole(10, 60_000, 1_000),
  idempotency: choice(["auto", "off"], "auto"),
  failover: unchecked<ClientFailover>(),
  onDecision: callback<NonNullable<ClientOptions["onDecision"]>>(),
  onEvent: callback<NonNullable<ClientOptions["onEvent"]>>(),
  telemetry: unchecked<Telemetry>(),
  fetch: callback<typeof fetch>(),
} satisfies TableOf<ClientOptions>;

/**
 * The options with their defaults, and the URL without a slash at its end.
 *
 * @throws MisuseError `invalid-option`
 */
export function readClientOptions(options: ClientOptions) {
  const { url, ...read } = readOptions(OPTIONS, options);
  if (read.failover !== undefined) checkClientFailover(read.failover);
  checkTelemetry(read.telemetry);
  return { ...read, url: String(url).replace(/\/+$/, "") };
}
