// The root export. Stores, adapters and the testing kit have subpaths of their own.

export type { BucketDimensions, Call, Cost, Dimension, Dimensions } from "./kernel/call.ts";
export type { Allowed, BucketUsage, Decision, Denied, Usage, UsageGrant, Verdict } from "./kernel/decision.ts";
export { type Fault, LimitExceededError, type MisuseCode, MisuseError } from "./kernel/errors.ts";
export { definePolicy, type Policy, type PolicyOf } from "./kernel/policy.ts";
export type {
  ConcurrencyLimitInput,
  DurationInput,
  ElapsedLimitInput,
  FixedWindowLimitInput,
  TokenBucketLimitInput,
  HoldInput,
  LimitInput,
  OverrideInput,
  PolicyInput,
  QuotaInput,
  BudgetLimitInput,
  SlidingWindowLimitInput,
  StreakLimitInput,
  ToolInput,
} from "./kernel/policy-input.ts";
export type { AnyTypes, BucketOf, CallOf, DimensionsOf, PolicyTypes, TypesOf } from "./kernel/typed.ts";
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
  type Ran,
  type Reserved,
  type Reset,
  type Revoked,
  type RunContext,
  type RunFunction,
  type ReserveOptions,
  type RunOptions,
  type Settlement,
  type Telemetry,
  type TelemetryHooks,
  type WaitOptions,
} from "./limiter.ts";
export { loadPolicy, parsePolicy } from "./policy-file.ts";
export { type PolicyWarning, policyWarnings } from "./policy-warnings.ts";
export { type WatchOptions, watchPolicy } from "./policy-watch.ts";
export { type SetupCheck, type Store, StoreError, type StoreErrorCode } from "./store.ts";
