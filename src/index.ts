// The root export. Stores, adapters and the testing kit have subpaths of their own.

export type { BucketDimensions, Call, Cost, Dimension, Dimensions } from "./kernel/call.ts";
export type { Allowed, BucketUsage, Decision, Denied, Usage, UsageGrant, Verdict } from "./kernel/decision.ts";
export { LimitExceededError } from "./kernel/decision.ts";
export { type Fault, type MisuseCode, MisuseError } from "./kernel/errors.ts";
export { definePolicy, type Policy, type PolicyLimit } from "./kernel/policy/parse.ts";
export type { DurationInput, HoldInput, QuotaInput } from "./kernel/policy/input-values.ts";
export type {
  BudgetLimitInput,
  ConcurrencyLimitInput,
  CooldownLimitInput,
  CooldownOverrideInput,
  ElapsedLimitInput,
  FixedWindowLimitInput,
  LimitInput,
  OverrideInput,
  PolicyInput,
  SlidingWindowLimitInput,
  StreakLimitInput,
  TokenBucketLimitInput,
  ToolInput,
} from "./kernel/policy/input.ts";
export type { CallFor } from "./kernel/policy/typed.ts";
export {
  type AddUsage,
  type AddUsageOptions,
  type CallOptions,
  type ChangeOptions,
  type CloseOptions,
  createLimiter,
  type FailoverOptions,
  type Grant,
  type Hold,
  type HoldOptions,
  type Limiter,
  type LimiterEvent,
  type LimiterOptions,
  type Outcome,
  type QuotaOptions,
  type QuotaQuestion,
  type QuotaResolver,
  type Ran,
  type Reserved,
  type ReserveOptions,
  type Reset,
  type Revoked,
  type RunContext,
  type RunFunction,
  type RunOptions,
  type Settlement,
  type Telemetry,
  type TelemetryHooks,
  type WaitOptions,
} from "./limiter.ts";
export { loadPolicy, parsePolicy } from "./policy-file/file.ts";
export { type PolicyWarning, policyWarnings } from "./policy-warnings/warnings.ts";
export { type WatchOptions, watchPolicy } from "./policy-file/watch.ts";
export { StoreError, type StoreErrorCode } from "./store/error.ts";
export type { SetupCheck, Store } from "./store/store.ts";
