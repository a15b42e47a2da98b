// What a client is told when it is made.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { callback, choice, checked, readOptions, required, type TableOf, unchecked, whole } from "../kernel/options.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { checkTelemetry, type LimiterEvent, type Telemetry } from "../limiter.ts";
import { type ClientFailover, checkClientFailover } from "./away.ts";

/** How a remote limiter is made. */
export interface ClientOptions<Given = Policy | PolicyInput> {
  /** Where the service is, or who stands before its instances: `http://127.0.0.1:8420`. */
  readonly url: string | URL;
  /** An API key of the service, `tg_…`. `decide` is the scope for calls, `read` for `usage`, `admin` for `grant`, `revoke` and `reset`. */
  readonly apiKey?: string | undefined;
  /** How long a call may take, counted from the call: waiting to be sent and retries are part of it, 10 to 60,000 ms. Default 1,000. */
  readonly deadlineMs?: number | undefined;
  /**
   * `auto`, the default: a call without an idempotency key gets one of its own, so that it can be sent again when its answer
   * was lost, and is charged once. `off` spares the store a key for ten minutes for each call that was allowed; a call whose
   * answer was lost is not sent again then.
   */
  readonly idempotency?: "auto" | "off" | undefined;
  /** What this client does while the service is away. By default calls fail with `StoreError` `unavailable`. */
  readonly failover?: ClientFailover<Given> | undefined;
  /** Called as that of `createLimiter` is. */
  readonly onDecision?: ((decision: Decision, call: Call) => unknown) | undefined;
  /** Called as that of `createLimiter` is, with what befalls this client. */
  readonly onEvent?: ((event: LimiterEvent) => unknown) | undefined;
  /** What measures the limiter, such as `otel()` of `tollgate/otel`. Default: nothing does. */
  readonly telemetry?: Telemetry | undefined;
  /** Default: the global one. */
  readonly fetch?: typeof fetch | undefined;
}

const OPTIONS: TableOf<ClientOptions> = {
  url: required(
    checked("where the service is, such as http://127.0.0.1:8420, without the /v1 of its routes", (value) => {
      const url = String(value);
      return /^https?:/.test(url) && URL.canParse(url) && !/\/v1\/?$/.test(new URL(url).pathname);
    }),
  ),
  apiKey: {
    ...checked("an API key of the service, which begins with tg_", (value) => /^tg_[\w-]+$/.test(String(value))),
    isSecret: true,
  },
  deadlineMs: whole(10, 60_000, 1_000),
  idempotency: choice(["auto", "off"], "auto"),
  failover: unchecked(),
  onDecision: callback(),
  onEvent: callback(),
  telemetry: unchecked(),
  fetch: callback(),
};

/**
 * Refuses options that are wrong.
 *
 * @returns the url without a slash at its end
 * @throws MisuseError `invalid-option`
 */
export function checkOptions(options: ClientOptions): string {
  const { url } = readOptions(OPTIONS, options);
  if (options.failover !== undefined) checkClientFailover(options.failover);
  checkTelemetry(options.telemetry);
  return String(url).replace(/\/+$/, "");
}
