// A policy as it is written: the types of YAML, JSON and `definePolicy`. schema.ts checks them.

import type { Dimension } from "../call.ts";
import type { QuantityText } from "../quantity.ts";

/** `250ms`, `30s`, `5m`, `1h`, `7d`: a whole number above 0 and a unit, at most `36500d`. */
export type DurationInput = `${bigint}${"ms" | "s" | "m" | "h" | "d"}`;

/**
 * An amount: a whole number up to 2^53 - 1, or a text: `200k`, `2M`, `5_000_000`, and for the unit `usd_micros` dollars with
 * at most six decimals, such as `$0.05`.
 */
export type QuantityInput = number | QuantityText;

/** Units allotted: an amount from 0 (denies always), or `unlimited` (counts, and never denies). */
export type QuotaInput = QuantityInput | "unlimited";

/** A quota that calls bring, or that the option `quotas` of `createLimiter` says. */
export interface QuotaFromCallInput {
  readonly from: "call";
  /** The quota where neither says one. */
  readonly default: QuotaInput;
  /** The largest quota: a larger one, also `unlimited`, counts as this. A number for token buckets, `concurrency` and `distinct`. */
  readonly max: QuotaInput;
}

/** Keys that Tollgate ignores: they begin with `x-`. */
interface Extensible {
  readonly [extension: `x-${string}`]: unknown;
}

/** A value of a dimension, or a list of values. `*` stands for any characters, `!` before a value for "not". */
export type SelectorInput = string | number | readonly (string | number)[];

/**
 * Which calls, by dimension. All dimensions have to match. A list matches when one of its values matches and none of those
 * behind `!` does; a list of `!` alone also matches calls that lack the dimension.
 */
export type WhenInput = Readonly<Record<Dimension, SelectorInput>>;

/** What applies while the store is unreachable. */
export type OnStoreError = "share" | "local" | "deny" | "allow";

/** What happens to calls that lack a dimension of the limit. */
export type OnMissing = "error" | "skip" | "shared";

/** Whether a limit denies (`enforce`), allows with a notice (`warn`), or counts and reports alone (`shadow`). */
export type Mode = "enforce" | "warn" | "shadow";

/** What a model is told of a limit before it denies. */
export interface NoticeInput {
  /**
   * The share of the quota at which notices begin, above 0 to 1, or `never`. Default: 0.8 for `budget` and `elapsed`, never
   * for limits that refill or only warn.
   */
  readonly at?: number | "never" | undefined;
  /**
   * The text instead of the usual one, at most 200 characters. Filled in are `{limit}`, `{unit}`, `{cost}`, `{quota}`,
   * `{used}`, `{remaining}`, `{retryAfter}`.
   */
  readonly message?: string | undefined;
}

/** What every limit says, beside its quota. */
export interface LimitBaseInput extends Extensible {
  /** Lower-case letters, digits and hyphens, at most 64; appears in keys, verdicts and messages. */
  readonly name: string;
  /** For people, at most 200 characters. */
  readonly description?: string | undefined;
  /**
   * Whose quota it is: one bucket for each combination of these dimensions' values. `[]` is one for all. A dimension is
   * `tenant`, `user`, `session`, `turn`, `agent`, `model`, `tool`, the tool's `group`, the call's `args`, or a name of your own,
   * which calls then have to say.
   */
  readonly per: readonly Dimension[];
  /** Which calls it is for, by any dimension but `args`. Default: all. */
  readonly when?: WhenInput | undefined;
  /**
   * What happens to calls that lack a dimension of `per`: `error` (default) refuses them, `skip` passes this limit by,
   * `shared` counts all of them in one bucket.
   */
  readonly onMissing?: OnMissing | undefined;
  /**
   * What applies while the store is unreachable: each instance admits its `share` of what was left (default), what is left
   * as if it were alone (`local`), nothing (`deny`), or everything (`allow`). Stores that are never unreachable for long do
   * without.
   */
  readonly onStoreError?: OnStoreError | undefined;
  /**
   * `enforce` (default) denies calls that exceed the quota. `warn` counts them, allows them, and gives the notice. `shadow`
   * counts and reports them.
   */
  readonly mode?: Mode | undefined;
  /** When a model is told what is left, and in which words. */
  readonly notice?: NoticeInput | undefined;
  /**
   * What a denied model is told instead of the usual text, at most 200 characters. Filled in are `{limit}`, `{unit}`,
   * `{cost}`, `{quota}`, `{remaining}`, `{retryAfter}`.
   */
  readonly message?: string | undefined;
}

/** Another quota, for calls with these dimensions. */
export interface OverrideInput<Quota = QuotaInput> {
  readonly when: WhenInput;
  readonly quota: Quota;
}

/** How much a limit allots. */
interface AllottedInput<Quota, Own = Quota, Override = OverrideInput<Quota>> {
  /** What is allotted to all that `overrides` and `quotas` do not name. */
  readonly quota: Own;
  /**
   * Other quotas, by dimension and value: `{ plan: { pro: 500 } }`. They need not be in `per`. The first dimension that has
   * an entry for the call wins.
   */
  readonly quotas?: Readonly<Record<Dimension, Readonly<Record<string, Quota>>>> | undefined;
  /** Other quotas for some calls: the first whose `when` matches, before `quotas`. */
  readonly overrides?: readonly Override[] | undefined;
}

type UnitsInput<Override = OverrideInput> = AllottedInput<QuotaInput, QuotaInput | QuotaFromCallInput, Override>;

interface CountedInput {
  /** What is counted. Default `calls`. */
  readonly unit?: string | undefined;
}

/** What the policy knows of a tool. */
export interface ToolInput extends Extensible {
  /** For people, at most 200 characters. */
  readonly description?: string | undefined;
  /** What a call costs unless it says otherwise: amounts by unit. */
  readonly cost?: Readonly<Record<string, QuantityInput>> | undefined;
  /** What kind of tool it is, for limits per `group`. */
  readonly group?: string | undefined;
  /** Fields of its arguments that do not make two calls differ, for limits per `args`. */
  readonly ignoreArgs?: readonly string[] | undefined;
  /** What a failed call of it costs, where the limit does not say. Default: the policy's `onError`. */
  readonly onError?: OnError | undefined;
}

/** How units are held that are reserved before they are spent. */
export interface HoldInput {
  /** How long a hold lives unless it is extended, at most `1d`. Default `2m`. */
  readonly lease?: DurationInput | undefined;
  /** What happens to held units that nobody settles: they are spent (default), or free again. */
  readonly onExpiry?: "charge" | "refund" | undefined;
}

/** What a call costs that `run` made and that failed: its price, or only what it reported. */
export type OnError = "charge" | "refund";

/** What limits say that units are spent on. */
export interface SpentLimitInput extends LimitBaseInput, CountedInput {
  readonly hold?: HoldInput | undefined;
  /** What a failed call costs here. Default: the tool's `onError`, else the policy's. */
  readonly onError?: OnError | undefined;
}

/** What limits say whose units may be borrowed ahead. */
interface BorrowingInput {
  /**
   * `auto`: an instance borrows units ahead, as many as it soon needs, and decides calls without asking the store. The store
   * counts borrowed units as used, so that never more pass. All instances together hold at most 1/32 of the free units
   * unused; a call that these could cover is denied with a `retryAfterMs` of 200. Default: each call asks the store.
   */
  readonly borrow?: "auto" | undefined;
}

/** What limits say that count each value of a dimension once. */
interface DistinctInput {
  /**
   * Counts the values of this dimension instead of units: a call is charged one when it brings a value that the bucket has
   * not seen in its life, and else passes. The quota is then at most 1,000.
   */
  readonly distinct?: Dimension | undefined;
}

/** Units for the life of a scope. It begins again when it was idle for a time, or a time after its first charge. */
export interface BudgetLimitInput extends SpentLimitInput, UnitsInput, DistinctInput, BorrowingInput {
  readonly algorithm?: "budget" | undefined;
  /** How long the scope must be idle until it counts from zero, or `never`. Default `24h` for limits per turn, else `30d`. */
  readonly resetAfterIdle?: DurationInput | "never" | undefined;
  /** How long after its first charge the scope counts from zero, or `never`. Not beside `resetAfterIdle`. */
  readonly resetAfter?: DurationInput | "never" | undefined;
}

/** Units for each window of a row. */
export interface FixedWindowLimitInput extends SpentLimitInput, UnitsInput, DistinctInput, BorrowingInput {
  readonly algorithm: "fixed-window";
  readonly window: DurationInput;
  /** Whether windows begin at multiples of their length since 1970 (`epoch`, the default), or with the first charge. */
  readonly align?: "epoch" | "first-use" | undefined;
}

/** Units for each day, week or month of the calendar. */
export interface CalendarLimitInput extends SpentLimitInput, UnitsInput, DistinctInput, BorrowingInput {
  readonly algorithm?: "fixed-window" | undefined;
  readonly window: "day" | "week" | "month";
  /** The zone whose dates count, by its IANA name. Default `UTC`. */
  readonly timezone?: string | undefined;
  /**
   * On which day weeks (1, Monday, to 7) or months (1 to 31) begin. A month without that day begins on its last.
   * Default 1.
   */
  readonly anchorDay?: number | undefined;
}

/** Time on the wall from the first call of a scope on. */
export interface ElapsedLimitInput extends LimitBaseInput, AllottedInput<DurationInput | "unlimited"> {
  readonly algorithm: "elapsed";
  /** How long the scope must be idle until its time begins again, or `never`. Default `24h` for limits per turn, else `30d`. */
  readonly resetAfterIdle?: DurationInput | "never" | undefined;
}

/** How often in a row calls may fail, or have the same result. */
export interface StreakLimitInput extends LimitBaseInput, AllottedInput<QuotaInput> {
  readonly algorithm: "streak";
  /** What is counted: failed calls, or calls whose result was the same. */
  readonly of: "errors" | "results";
  /** How long after the last outcome the row is forgotten, or `never`. Default `24h` for limits per turn, else `30d`. */
  readonly resetAfterIdle?: DurationInput | "never" | undefined;
}

/** Units in any window of a length. */
export interface SlidingWindowLimitInput extends SpentLimitInput, UnitsInput {
  readonly algorithm: "sliding-window";
  readonly window: DurationInput;
}

/** A token bucket: `quota` units a window, at most `burst` at once. */
interface TokenBucketInput extends SpentLimitInput, UnitsInput<TokenBucketOverrideInput> {
  readonly window: DurationInput;
}

/** Another quota of a token bucket, for calls with these dimensions. */
export interface TokenBucketOverrideInput extends OverrideInput {
  /** Most units at once. Default: the limit's `burst`, else this quota. */
  readonly burst?: QuantityInput | undefined;
}

/** A token bucket. `burst` alone says that it is one. */
export type TokenBucketLimitInput =
  | (TokenBucketInput & {
      readonly algorithm: "token-bucket";
      /** An amount from 1. Default: the quota. */
      readonly burst?: QuantityInput | undefined;
    })
  | (TokenBucketInput & {
      readonly algorithm?: undefined;
      /** An amount from 1. */
      readonly burst: QuantityInput;
    });

/** Units in use at one time, such as calls that run side by side. The quota is at most 1,000. */
export interface ConcurrencyLimitInput extends LimitBaseInput, CountedInput, UnitsInput {
  readonly algorithm: "concurrency";
  /** `lease`: how long a unit is in use unless that is extended, at most `1d`. Default `2m`. */
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
  readonly quotas?: NoQuotas | undefined;
  /** Other pauses for some calls: the first whose `when` matches. */
  readonly overrides?: readonly CooldownOverrideInput[] | undefined;
}

/** Another pause, for calls with these dimensions. */
export interface CooldownOverrideInput {
  readonly when: WhenInput;
  readonly pause: DurationInput;
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

/** What limits say that do not say it themselves, where their algorithm has the key. */
export interface DefaultsInput {
  readonly onMissing?: OnMissing | undefined;
  readonly onStoreError?: OnStoreError | undefined;
  readonly mode?: Mode | undefined;
  readonly notice?: NoticeInput | undefined;
  readonly hold?: HoldInput | undefined;
  /** Of limits whose window is a `day`, `week` or `month`. */
  readonly timezone?: string | undefined;
}

/** A policy as it is written. */
export interface PolicyInput extends Extensible {
  /** For editors: where policy.schema.json lies. */
  readonly $schema?: string | undefined;
  readonly version: 1;
  /** For people, at most 200 characters. */
  readonly description?: string | undefined;
  /** The dimension that most limits share, which keeps their buckets in one place. Default `session`. */
  readonly partition?: Dimension | undefined;
  /** What limits say that do not say it themselves. */
  readonly defaults?: DefaultsInput | undefined;
  /** Known tools. */
  readonly tools?: Readonly<Record<string, ToolInput>> | undefined;
  /** What a failed call costs where neither the limit nor the tool says. Default `charge`. */
  readonly onError?: OnError | undefined;
  /** How long `run` and the adapters keep the hold of one call alive. Then its estimate is charged. Default `1h`. */
  readonly maxHold?: DurationInput | undefined;
  /** 1 to 256, judged in this order. */
  readonly limits: readonly LimitInput[];
  /** What `tollgate test` runs. It changes no decision; what is wrong with it, `tollgate check` and `tollgate test` say. */
  readonly tests?: unknown;
}
