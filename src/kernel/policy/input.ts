// A policy as it is written: the types of YAML, JSON and `definePolicy`. The comments of their keys are the only descriptions:
// editors show them, and `npm run schema` writes them into policy.schema.json. schema.ts checks the values.

import type { Dimension } from "../call.ts";
import type { DurationInput, HoldInput, NoticeInput, QuantityInput } from "./input-values.ts";
import type { QuotaFromCallInput, QuotaInput, WhenInput } from "./input-values.ts";

/** Keys of policies, limits and tools. */
interface Described {
  /** Keys that begin with `x-` are ignored. */
  readonly [extension: `x-${string}`]: unknown;
  /** For people, at most 200 characters. */
  readonly description?: string | undefined;
}

/** What applies while the store is unreachable. */
export type OnStoreError = "share" | "local" | "deny" | "allow";

/** What happens to calls that lack a dimension of the limit. */
export type OnMissing = "error" | "skip" | "shared";

/** Whether a limit denies (`enforce`), allows with a notice (`warn`), or counts and reports alone (`shadow`). */
export type Mode = "enforce" | "warn" | "shadow";

/** Keys of every limit, beside its quota. */
export interface LimitBaseInput extends Described {
  /** Lower-case letters, digits and hyphens, at most 64. It appears in keys, verdicts and messages. */
  readonly name: string;
  /**
   * Which calls share one bucket: those with equal values of these dimensions. `[]`: all calls. A dimension is `tenant`,
   * `user`, `session`, `turn`, `agent`, `model`, `tool`, the tool's `group`, the call's `args`, or a name of your own, which
   * each call must then have.
   */
  readonly per: readonly Dimension[];
  /** The calls that the limit is for, by any dimension but `args`. Default: all calls. */
  readonly when?: WhenInput | undefined;
  /**
   * What happens to calls that lack a dimension of `per`: they are refused (`error`, the default), skip this limit (`skip`),
   * or share one bucket (`shared`).
   */
  readonly onMissing?: OnMissing | undefined;
  /**
   * What each instance admits while the store is unreachable: its share of what was left (`share`, the default), all that
   * was left (`local`), nothing (`deny`), or everything (`allow`). Stores in the process, such as memory, do not need it.
   */
  readonly onStoreError?: OnStoreError | undefined;
  /**
   * What happens to calls that exceed the quota: they are denied (`enforce`, the default), allowed with a notice (`warn`), or
   * allowed and only counted and reported (`shadow`).
   */
  readonly mode?: Mode | undefined;
  /** When a model is warned before the limit denies, and in which words. */
  readonly notice?: NoticeInput | undefined;
  /**
   * The text for the model of a denied call, in place of the usual one, at most 200 characters. `{limit}`, `{unit}`, `{cost}`,
   * `{quota}`, `{remaining}` and `{retryAfter}` are filled in, money and time with their unit: `$5.00`, `30 minutes`.
   */
  readonly message?: string | undefined;
}

/** Another quota, for calls with these dimensions. */
export interface OverrideInput<Quota = QuotaInput> {
  /** The calls that this quota is for, by any dimension but `args`. */
  readonly when: WhenInput;
  /** Their quota. */
  readonly quota: Quota;
}

/** How much a limit allots. */
interface AllottedInput<Quota, Own = Quota, Override = OverrideInput<Quota>> {
  /** Units that a bucket has, where `overrides` and `quotas` give no other number. 0 denies always; `unlimited` counts and never denies. */
  readonly quota: Own;
  /**
   * Other quotas, by dimension and value: `{ plan: { pro: 500 } }`. The dimensions need not be in `per`. The first one that
   * has an entry for the call wins.
   */
  readonly quotas?: Readonly<Record<Dimension, Readonly<Record<string, Quota>>>> | undefined;
  /** Other quotas for some calls: the first entry whose `when` matches wins, also over `quotas`. */
  readonly overrides?: readonly Override[] | undefined;
}

type UnitsInput<Override = OverrideInput> = AllottedInput<QuotaInput, QuotaInput | QuotaFromCallInput, Override>;

interface CountedInput {
  /** What is counted, such as `tokens`. Default `calls`. */
  readonly unit?: string | undefined;
}

/** What the policy knows of a tool. */
export interface ToolInput extends Described {
  /** What a call costs where it does not say so itself: amounts by unit. */
  readonly cost?: Readonly<Record<string, QuantityInput>> | undefined;
  /** The group of the tool, for limits per `group`. */
  readonly group?: string | undefined;
  /** Arguments that limits per `args` ignore: calls that differ only in them count as equal. */
  readonly ignoreArgs?: readonly string[] | undefined;
  /** What a failed call of the tool costs: `charge` its price, or `refund` all but what it reported. Default: the policy's `onError`. */
  readonly onError?: OnError | undefined;
}

/** What a call costs that `run` made and that failed: its price, or only what it reported. */
export type OnError = "charge" | "refund";

/** Keys of limits whose units are spent. */
export interface SpentLimitInput extends LimitBaseInput, CountedInput {
  /** How units are held between `reserve` and `settle`. */
  readonly hold?: HoldInput | undefined;
  /** What a failed call costs in this limit: `charge` its price, or `refund` all but what it reported. Default: the tool's `onError`, else the policy's. */
  readonly onError?: OnError | undefined;
}

/** Keys of limits that count: their units can be borrowed ahead, or are the values of a dimension. */
interface CounterInput extends SpentLimitInput, UnitsInput {
  /**
   * `auto`: an instance borrows the units that it will soon need, and decides calls without asking the store. The store
   * counts borrowed units as used, so the quota holds. All instances together keep at most 1/32 of the free units unused; a
   * call that these could cover is denied with a `retryAfterMs` of 200. Default: each call asks the store.
   */
  readonly borrow?: "auto" | undefined;
  /**
   * Counts distinct values of this dimension instead of units: a call is charged 1 when the bucket has not seen its value
   * yet, and else passes. The quota is then at most 1,000.
   */
  readonly distinct?: Dimension | undefined;
}

/** Units for the life of a bucket. It starts again when it was idle for a time, or at a time after its first charge. */
export interface BudgetLimitInput extends CounterInput {
  readonly algorithm?: "budget" | undefined;
  /** The bucket is reset after this time without a call, or `never`. Default `24h` for limits per `turn`, else `30d`. */
  readonly resetAfterIdle?: DurationInput | "never" | undefined;
  /** The bucket is reset this time after its first charge, or `never`. Not together with `resetAfterIdle`. */
  readonly resetAfter?: DurationInput | "never" | undefined;
}

/** Units for each window. */
export interface FixedWindowLimitInput extends CounterInput {
  readonly algorithm: "fixed-window";
  /** A `day`, `week` or `month` of the calendar; or a duration, with `algorithm: fixed-window`. */
  readonly window: DurationInput;
  /** Where windows begin: at multiples of their length since 1970 (`epoch`, the default), or with the first charge (`first-use`). */
  readonly align?: "epoch" | "first-use" | undefined;
}

/** Units for each day, week or month of the calendar. */
export interface CalendarLimitInput extends CounterInput {
  readonly algorithm?: "fixed-window" | undefined;
  /** A `day`, `week` or `month` of the calendar; or a duration, with `algorithm: fixed-window`. */
  readonly window: "day" | "week" | "month";
  /** The time zone of windows that are a `day`, `week` or `month`, by its IANA name. Default `UTC`. */
  readonly timezone?: string | undefined;
  /**
   * The day on which a `week` (1, Monday, to 7) or a `month` (1 to 31) begins. A month without that day begins on its last.
   * Default 1.
   */
  readonly anchorDay?: number | undefined;
}

/** Wall-clock time since the first call of a bucket. */
export interface ElapsedLimitInput extends LimitBaseInput, AllottedInput<DurationInput | "unlimited"> {
  readonly algorithm: "elapsed";
  /** How long calls pass, from the bucket's first call. `unlimited` never denies. */
  readonly quota: DurationInput | "unlimited";
  /** The time starts again after this time without a call, or `never`. Default `24h` for limits per `turn`, else `30d`. */
  readonly resetAfterIdle?: DurationInput | "never" | undefined;
}

/** How many calls in a row may fail, or have the same result. */
export interface StreakLimitInput extends LimitBaseInput, AllottedInput<QuotaInput> {
  readonly algorithm: "streak";
  /** The most equal outcomes in a row. 0 denies always; `unlimited` never denies. */
  readonly quota: QuotaInput;
  /** What is counted: failed calls (`errors`), or calls with the same result (`results`). */
  readonly of: "errors" | "results";
  /** The streak is forgotten this time after its last outcome, or `never`. Default `24h` for limits per `turn`, else `30d`. */
  readonly resetAfterIdle?: DurationInput | "never" | undefined;
}

/** Units in each rolling window. */
export interface SlidingWindowLimitInput extends SpentLimitInput, UnitsInput {
  readonly algorithm: "sliding-window";
  /** The length of the rolling window. */
  readonly window: DurationInput;
}

/** A token bucket: `quota` units a window, at most `burst` at once. */
interface TokenBucketInput extends SpentLimitInput, UnitsInput<TokenBucketOverrideInput> {
  /** The time in which `quota` units are refilled. */
  readonly window: DurationInput;
}

/** Another quota of a token bucket, for calls with these dimensions. */
export interface TokenBucketOverrideInput extends OverrideInput {
  /** The most units at once. Default: the limit's `burst`, else this quota. */
  readonly burst?: QuantityInput | undefined;
}

/** A token bucket. `burst` alone says that it is one. */
export type TokenBucketLimitInput =
  | (TokenBucketInput & {
      readonly algorithm: "token-bucket";
      /** The most units at once, from 1. Default: the quota. */
      readonly burst?: QuantityInput | undefined;
    })
  | (TokenBucketInput & {
      readonly algorithm?: undefined;
      /** The most units at once, from 1. */
      readonly burst: QuantityInput;
    });

/** Units in use at one time, such as calls that run concurrently. The quota is at most 1,000. */
export interface ConcurrencyLimitInput extends LimitBaseInput, CountedInput, UnitsInput {
  readonly algorithm: "concurrency";
  /** Units that can be in use at once, at most 1,000, where overrides and quotas give no other number. 0 denies always. */
  readonly quota: QuotaInput | QuotaFromCallInput;
  /** How long units stay in use. */
  readonly hold?: Pick<HoldInput, "lease"> | undefined;
}

declare const ABSENT: unique symbol;

/** What no value is: a limit with a pause has no quota. */
export type NoQuota = string & { readonly [ABSENT]: never };
type NoQuotas = Readonly<Record<Dimension, Readonly<Record<string, NoQuota>>>> & { readonly [ABSENT]: never };

/** A pause between two calls. */
export interface CooldownLimitInput extends LimitBaseInput {
  readonly algorithm: "cooldown";
  /** How long after a call began the next call may begin. */
  readonly pause: DurationInput;
  /** It allots one call for each pause. */
  readonly quota?: NoQuota | undefined;
  /** Use `overrides` with a `pause` instead. */
  readonly quotas?: NoQuotas | undefined;
  /** Other pauses for some calls: the first whose `when` matches. */
  readonly overrides?: readonly CooldownOverrideInput[] | undefined;
}

/** Another pause, for calls with these dimensions. */
export interface CooldownOverrideInput {
  /** The calls that it is for. */
  readonly when: WhenInput;
  /** How long after a call began the next call may begin. */
  readonly pause: DurationInput;
  /** It allots one call for each pause. */
  readonly quota?: NoQuota | undefined;
}

/**
 * One limit of a policy. Without `algorithm` it is a `fixed-window` where `window` is a `day`, `week` or `month`, a
 * `token-bucket` where it has a `burst`, and else a `budget`.
 */
export type LimitInput =
  | BudgetLimitInput
  | FixedWindowLimitInput
  | CalendarLimitInput
  | SlidingWindowLimitInput
  | TokenBucketLimitInput
  | ConcurrencyLimitInput
  | ElapsedLimitInput
  | StreakLimitInput
  | CooldownLimitInput;

/** Defaults of all limits whose algorithm has the key. */
export interface DefaultsInput
  extends Pick<LimitBaseInput, "onMissing" | "onStoreError" | "mode" | "notice">,
    Pick<SpentLimitInput, "hold">,
    Pick<CalendarLimitInput, "timezone"> {}

/** Which decisions a decision log keeps, as shares from 0 to 1. 1, the default: all. */
export interface LogInput {
  /** Of allowed calls: 0.01 keeps about one session in a hundred, and all of its calls. */
  readonly allowed?: number | undefined;
  /** Of denied calls. */
  readonly denied?: number | undefined;
}

/** A policy as it is written. */
export interface PolicyInput extends Described {
  /** For editors: where policy.schema.json lies. */
  readonly $schema?: string | undefined;
  /** The version of this format: 1. */
  readonly version: 1;
  /** The dimension that most limits are per. Buckets with the same value are stored together. Default `session`. */
  readonly partition?: Dimension | undefined;
  /** Defaults of all limits whose algorithm has the key. */
  readonly defaults?: DefaultsInput | undefined;
  /** What is known of tools, by their names or by patterns. */
  readonly tools?: Readonly<Record<string, ToolInput>> | undefined;
  /** What a failed call costs where neither the limit nor the tool says so: `charge` its price, the default, or `refund` all but what it reported. */
  readonly onError?: OnError | undefined;
  /** How long `run` and the adapters keep the hold of one call alive. After that its estimate is charged. Default `1h`. */
  readonly maxHold?: DurationInput | undefined;
  /** Which decisions a decision log keeps. Counts are of all calls, whatever is kept. */
  readonly log?: LogInput | undefined;
  /** 1 to 256 limits, checked in this order. All of them are charged for a call, or none. */
  readonly limits: readonly LimitInput[];
  /** Tests of the policy, for `tollgate test`. They change no decision; `tollgate check` and `tollgate test` report their faults. */
  readonly tests?: unknown;
}
