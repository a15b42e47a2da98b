// The root export. Stores, adapters and the testing kit have subpaths of their own.

export type { BucketDimensions, Call, Cost, Dimension, Dimensions } from "./kernel/call.ts";
export type { Allowed, BucketUsage, Decision, Denied, Usage, UsageGrant, Verdict } from "./kernel/decision.ts";
export { LimitExceededError } from "./kernel/decision.ts";
export { type Fault, type MisuseCode, MisuseError } from "./kernel/errors.ts";
export { definePolicy, type Policy, type PolicyLimit } from "./kernel/policy/parse.ts";
export type { DurationInput, HoldInput, QuotaInput } from "./kernel/policy/input-values.ts";
export type { LimitInput, OverrideInput, PolicyInput, ToolInput } from "./kernel/policy/input.ts";
export type { BudgetLimitInput, FixedWindowLimitInput, SlidingWindowLimitInput } from "./kernel/policy/input.ts";
export type { ConcurrencyLimitInput, ElapsedLimitInput, StreakLimitInput } from "./kernel/policy/input.ts";
export type { CooldownLimitInput, CooldownOverrideInput, TokenBucketLimitInput } from "./kernel/policy/input.ts";
export type { CallFor } from "./kernel/policy/typed.ts";
export { createLimiter, type Limiter, type LimiterEvent, type LimiterOptions } from "./limiter.ts";
export type {
  CallOptions,
  ChangeOptions,
  CloseOptions,
  FailoverOptions,
  ReloadOptions,
  WaitOptions,
} from "./limiter.ts";
export type { Grant, Reset, Revoked } from "./limiter.ts";
export type { Hold, HoldOptions, Outcome, Reserved, ReserveOptions, Settlement } from "./limiter.ts";
export type { AddUsage, AddUsageOptions, Ran, RunContext, RunFunction, RunOptions } from "./limiter.ts";
export type { QuotaOptions, QuotaQuestion, QuotaResolver, Telemetry, TelemetryHooks } from "./limiter.ts";
export { StoreError, type StoreErrorCode } from "./store/error.ts";
export type { SetupCheck, Store } from "./store/store.ts";
