// createLimiter, and what code outside limiter/ may import of it: src/index.ts chooses what is public. limiter/api.ts is the
// manual, limiter/compose.ts has the order of the layers, and limiter/store-limiter.ts shows how one call is decided.

import type { Policy } from "./kernel/policy/parse.ts";
import type { PolicyFor } from "./kernel/policy/typed.ts";
import type { Checked, WrittenPolicy } from "./kernel/policy/typed-keys.ts";
import type { Limiter } from "./limiter/api.ts";
import { createHostedLimiter } from "./limiter/create.ts";
import type { LimiterOptions } from "./limiter/options.ts";

export type { FailoverOptions, Journal } from "./layers/failover/options.ts";
export type { Limiter } from "./limiter/api.ts";
export { type CallOptions, checkMaxWait, type QuotaOptions, type WaitOptions } from "./limiter/call-options.ts";
export type { NamedBucket } from "./limiter/bucket-name.ts";
export type { CloseOptions } from "./limiter/close.ts";
export { createHostedLimiter } from "./limiter/create.ts";
export type { DecisionLog, LogCounts, LoggedCall, LogHooks } from "./limiter/decision-log.ts";
export type { LogEvent } from "./limiter/log-event.ts";
export type { LimiterEvent } from "./limiter/events.ts";
export type { ChangeNote, ChangeOptions, Grant, ReloadOptions, Reset, Revoked } from "./limiter/grant.ts";
export type { Hold, HoldOptions, Reserved, ReserveOptions, RunOptions } from "./limiter/hold.ts";
export { isRunHold } from "./limiter/hold-id.ts";
export { askedBy, type Begun, type HostedLimiter, policyOf, refusePolicy } from "./limiter/hosted.ts";
export { keepAlive } from "./limiter/keep-alive.ts";
export { warn } from "./limiter/listener.ts";
export type { LimiterOptions } from "./limiter/options.ts";
export type { QuotaQuestion, QuotaResolver } from "./limiter/quotas.ts";
export type { Outcome } from "./limiter/report.ts";
export { endRunning, type Ran, ReaderGoneError, type RunContext, type RunFunction } from "./limiter/run.ts";
export type { RunningCall } from "./limiter/running-call.ts";
export type { Settlement } from "./limiter/settle.ts";
export {
  checkTelemetry,
  type Operation,
  type Telemetry,
  type TelemetryHooks,
  withTelemetry,
} from "./limiter/telemetry.ts";
export type { AddUsage, AddUsageOptions } from "./limiter/usage-sum.ts";

/**
 * Makes a limiter.
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`, `unsupported-limit` (the store cannot keep it)
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 3 }] },
 *   store: memoryStore(),
 * });
 * const turn = limiter.for({ session: "s1", turn: "t1" });
 * const decision = await turn.consume({ tool: "search" });
 * console.log(decision.allowed, decision.verdicts[0]?.remaining); // true 2
 * await limiter.close();
 * ```
 */
export function createLimiter<const Source extends Policy | WrittenPolicy>(
  options: LimiterOptions<Source, Source & Checked<Source>>,
): Limiter<PolicyFor<Source>> {
  // The compiler's view of the policy ends here: everything is checked again at run time, for every caller.
  return createHostedLimiter(options as unknown as LimiterOptions) as Limiter as Limiter<PolicyFor<Source>>;
}
