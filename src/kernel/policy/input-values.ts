// The values of a policy as they are written: durations, amounts, quotas, selectors, notices and holds.

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

/** A quota that each call may bring. */
export interface QuotaFromCallInput {
  /** Each call may bring its quota, or the option `quotas` of `createLimiter` looks it up. */
  readonly from: "call";
  /** The quota of a call for which neither gives one. */
  readonly default: QuotaInput;
  /** The largest quota: a larger one, also `unlimited`, is lowered to it. A number for `token-bucket`, `concurrency` and `distinct`. */
  readonly max: QuotaInput;
}

/** A value of a dimension, or a list of values. `*` stands for any characters, `!` before a value for "not". */
export type SelectorInput = string | number | readonly (string | number)[];

/**
 * Which calls, by dimension. All dimensions have to match. A list matches when one of its values matches and none of those
 * behind `!` does; a list of `!` alone also matches calls that lack the dimension.
 */
export type WhenInput = Readonly<Record<Dimension, SelectorInput>>;

/** When and how a model is warned before a limit denies. */
export interface NoticeInput {
  /**
   * The used share of the quota from which calls get the notice, above 0 to 1, or `never`. Default: 0.8 for `budget` and
   * `elapsed` unless they are in mode `warn`, `never` for all others.
   */
  readonly at?: number | "never" | undefined;
  /**
   * The text, in place of the usual one, at most 200 characters. `{limit}`, `{unit}`, `{cost}`, `{quota}`, `{used}`,
   * `{remaining}` and `{retryAfter}` are filled in, money and time with their unit: `$5.00`, `30 minutes`.
   */
  readonly message?: string | undefined;
}

/** How units are held between `reserve` and `settle`. */
export interface HoldInput {
  /** How long a hold lives where it is not extended, at most `1d`. Default `2m`. */
  readonly lease?: DurationInput | undefined;
  /** What happens to units whose hold expires: they are spent (`charge`, the default), or free again (`refund`). */
  readonly onExpiry?: "charge" | "refund" | undefined;
}
