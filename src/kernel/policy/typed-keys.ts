// What the compiler says of a policy that is written in code. The type of such a policy is inferred, and the compiler looks
// for unknown keys only where a type is fixed: each key and value is checked here, so that the error stands at the fault and
// says what to do.

import type { DurationInput } from "./input-values.ts";
import type { BudgetLimitInput, CalendarLimitInput, LimitInput } from "./input.ts";
import type { NoQuota, PolicyInput, TokenBucketLimitInput } from "./input.ts";
import type { QuantityText } from "../quantity.ts";

declare const ADVICE: unique symbol;

// What no value is: the compiler shows the key or the value that is wrong, and what to do, or which algorithms have the key.
interface UnknownKey<Key, Advice> {
  readonly [ADVICE]: [Key, Advice];
}
interface WrongValue<Value, Advice> {
  readonly [ADVICE]: [Value, Advice];
}
interface KeyOfAnotherAlgorithm<Key, Algorithms> {
  readonly [ADVICE]: [Key, Algorithms];
}
interface Missing<Advice> {
  readonly [ADVICE]: Advice;
}

/** Keys that policies had once. */
interface OldKeys {
  readonly match: "write when: { tool: […] }";
  readonly optional: "write onMissing: skip";
  readonly otherwise: "write quota: unlimited or quota: 0";
  readonly ttl: "write resetAfterIdle or resetAfter";
  readonly noticeAt: "write notice: { at: … }";
  readonly action: "write mode: warn";
  readonly count: "write distinct";
  readonly lease: "write hold: { lease: … } or borrow: auto";
  readonly volatile: "write ignoreArgs";
  readonly tier: "write group";
}

/** Algorithms by names that they do not have here. */
interface OtherNames {
  readonly gcra: "write token-bucket";
  readonly "leaky-bucket": "write token-bucket";
  readonly quota: "write budget";
  readonly calendar: "write window: day, week or month alone";
  readonly "rolling-window": "write sliding-window";
}

type AlgorithmName = NonNullable<LimitInput["algorithm"]>;
type DurationAdvice = "write a whole number and ms, s, m, h or d, such as 1h";
type LiteralAdvice = "add as const, so that the compiler knows the text";
type QuantityAdvice = "write a whole number, or a text such as 200k, 2M, 5_000_000, or $5 for usd_micros";

/** Where any name is a key, a number is one, too. */
type Names<Known> = string extends keyof Known ? keyof Known | number : keyof Known;
type KeysOf<Known> = Known extends unknown ? Names<Known> : never;
type ValueOf<Known, Key> = Known extends unknown
  ? Key extends keyof Known
    ? Known[Key]
    : Key extends Names<Known>
      ? Known[string & keyof Known]
      : never
  : never;

/** The same with any text where texts of a pattern are expected. The named ones stay, so that editors offer them. */
type Loose<Value> = Value extends DurationInput | QuantityText
  ? string & {}
  : Value extends object
    ? { readonly [Key in keyof Value]: Loose<Value[Key]> }
    : Value;

/** A limit with the keys of all algorithms. */
type AnyKey = Exclude<KeysOf<LimitInput>, "algorithm" | "name" | "per" | "quotas">;
export interface WrittenLimit extends Loose<{ readonly [Key in AnyKey]?: ValueOf<LimitInput, Key> | undefined }> {
  readonly name: string;
  readonly per: readonly string[];
  readonly algorithm?: AlgorithmName | (string & {}) | undefined;
  readonly quotas?: { readonly [dimension: string]: unknown } | undefined;
}

/** A policy before it is checked. */
export interface WrittenPolicy extends Loose<Omit<PolicyInput, "limits" | "version">> {
  readonly version: number;
  readonly limits: readonly WrittenLimit[];
}

type Similar<Key, Known> = Key extends `${infer First}${string}` ? Extract<Known, `${First}${string}`> : never;

/** What to do about an unknown key. */
type KeyAdvice<Key, Known> = Key extends keyof OldKeys
  ? OldKeys[Key]
  : [Similar<Key, Known>] extends [never]
    ? "delete it, or begin its name with x-"
    : `did you mean ${Similar<Key, Known> & string}?`;

/** What a value must be, beside what it is, so that it and none of its keys are wrong. */
type Only<Given, Known> = Given extends readonly unknown[]
  ? { readonly [Index in keyof Given]: Only<Given[Index], ValueOf<Known, number>> }
  : Given extends object
    ? {
        readonly [Key in keyof Given]: Key extends KeysOf<Known>
          ? Only<Given[Key], ValueOf<Known, Key>>
          : UnknownKey<Key, KeyAdvice<Key, KeysOf<Known>>>;
      }
    : unknown extends Known
      ? unknown
      : Given extends Known | undefined
        ? unknown
        : WrongValue<
            Given,
            string extends Given
              ? LiteralAdvice
              : [Exclude<Known, undefined>] extends [NoQuota]
                ? "leave it out: this algorithm does not have it"
                : DurationInput extends Known
                  ? DurationAdvice
                  : QuantityAdvice
          >;

/** Limits that can have one of these algorithms; all where it is not known which. */
type OfAlgorithm<Known, Name> = Known extends { readonly algorithm?: infer Own }
  ? string extends Name
    ? Known
    : [Name & Own] extends [never]
      ? never
      : Known
  : never;

type AlgorithmsWith<Key, Known = LimitInput> = Known extends { readonly algorithm?: infer Name }
  ? Key extends keyof Known
    ? Exclude<Name, undefined>
    : never
  : never;

/** Limits of the algorithm that a limit names, or that follows from its other words. */
type SameAlgorithm<Limit> = Limit extends { readonly algorithm: infer Name extends string }
  ? Name extends AlgorithmName
    ? OfAlgorithm<LimitInput, Name>
    : LimitInput
  : "algorithm" extends keyof Limit
    ? LimitInput
    : Limit extends { readonly window: "day" | "week" | "month" }
      ? CalendarLimitInput
      : "burst" extends keyof Limit
        ? TokenBucketLimitInput
        : BudgetLimitInput;

type CheckedAlgorithm<Name> = Name extends AlgorithmName | undefined
  ? unknown
  : WrongValue<
      Name,
      Name extends keyof OtherNames
        ? OtherNames[Name]
        : string extends Name
          ? LiteralAdvice
          : [Similar<Name, AlgorithmName>] extends [never]
            ? "write budget, fixed-window, sliding-window, token-bucket, concurrency, elapsed, streak or cooldown"
            : `did you mean ${Similar<Name, AlgorithmName>}?`
    >;

/** The quotas by dimension and value. */
type CheckedQuotas<Quotas, Known> = {
  readonly [Key in keyof Quotas]: Quotas[Key] extends object | undefined
    ? Only<Quotas[Key], ValueOf<Known, Key>>
    : WrongValue<Quotas[Key], `write quotas: { plan: { ${Key & string}: … } }, with the dimension that has this value`>;
};

type CheckedWindow<Window> = Window extends DurationInput | "day" | "week" | "month" | undefined
  ? unknown
  : WrongValue<Window, string extends Window ? LiteralAdvice : `${DurationAdvice}; or day, week or month`>;

/** A key that the algorithm of a limit does not have. A window alone does not say which algorithm is meant. */
type OtherKey<Limit, Key> = Key extends "window"
  ? "algorithm" extends keyof Limit
    ? KeyOfAnotherAlgorithm<Key, AlgorithmsWith<Key>>
    : Missing<"add algorithm: fixed-window, sliding-window or token-bucket">
  : KeyOfAnotherAlgorithm<Key, AlgorithmsWith<Key>>;

type CheckedKeys<Limit, Known> = {
  readonly [Key in keyof Limit]: Key extends "algorithm"
    ? CheckedAlgorithm<Limit[Key]>
    : Key extends "window"
      ? unknown extends CheckedWindow<Limit[Key]>
        ? Key extends KeysOf<Known>
          ? unknown
          : OtherKey<Limit, Key>
        : CheckedWindow<Limit[Key]>
      : Key extends KeysOf<Known>
        ? Key extends "quotas"
          ? CheckedQuotas<Limit[Key], Exclude<ValueOf<Known, Key>, undefined>>
          : Only<Limit[Key], ValueOf<Known, Key>>
        : Key extends KeysOf<LimitInput>
          ? OtherKey<Limit, Key>
          : UnknownKey<Key, KeyAdvice<Key, KeysOf<LimitInput>>>;
};

type Needed<Limit, Key extends string, Advice> = Key extends keyof Limit
  ? unknown
  : { readonly [Each in Key]: Missing<Advice> };

type Lacking<Limit> = (Limit extends { readonly algorithm: "cooldown" }
  ? Needed<Limit, "pause", "add pause, such as 2s">
  : Needed<Limit, "quota", "add quota: how much is allotted, or unlimited">) &
  (Limit extends
    | { readonly algorithm: "fixed-window" | "sliding-window" | "token-bucket" }
    | { readonly burst: unknown }
    ? Needed<Limit, "window", "add window, such as 1h">
    : unknown) &
  (Limit extends { readonly algorithm: "streak" } ? Needed<Limit, "of", "add of: errors or of: results"> : unknown);

type CheckedLimit<Limit> = Limit extends object ? CheckedKeys<Limit, SameAlgorithm<Limit>> & Lacking<Limit> : unknown;

type CheckedLimits<Limits> = { readonly [Index in keyof Limits]: CheckedLimit<Limits[Index]> };

type CheckedVersion<Version> = Version extends 1
  ? unknown
  : WrongValue<
      Version,
      number extends Version ? "write the policy with definePolicy, or add as const after it" : "write version: 1"
    >;

/** What a policy must be, beside what it is, so that nothing that the compiler can see is wrong with it. */
export type Checked<Source> = Source extends WrittenPolicy
  ? {
      readonly [Key in keyof Source]: Key extends "limits"
        ? CheckedLimits<Source[Key]>
        : Key extends "tests"
          ? unknown
          : Key extends "version"
            ? CheckedVersion<Source[Key]>
            : Key extends keyof PolicyInput
              ? Only<Source[Key], PolicyInput[Key]>
              : UnknownKey<Key, KeyAdvice<Key, keyof PolicyInput>>;
    }
  : unknown;
