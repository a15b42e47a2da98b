// Which keys of a policy that is written in code have a meaning. The compiler looks for unknown keys only where a type is
// fixed. The type of a policy is inferred, so that they have to be refused here.

import type {
  BudgetLimitInput,
  CalendarLimitInput,
  LimitInput,
  PolicyInput,
  TokenBucketLimitInput,
} from "./policy-input.ts";

declare const KEY: unique symbol;

/** What no value is: the compiler shows the key. */
interface UnknownKey<Key> {
  readonly [KEY]: Key;
}

/** What no value is: the compiler shows the key. Limits of another `algorithm` have it. */
interface KeyOfAnotherAlgorithm<Key> {
  readonly [KEY]: Key;
}

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

/** What something must be, beside what it is, so that none of its keys are unknown. */
type Only<Given, Known> = Given extends readonly unknown[]
  ? { readonly [Index in keyof Given]: Only<Given[Index], ValueOf<Known, number>> }
  : Given extends object
    ? {
        readonly [Key in keyof Given]: Key extends KeysOf<Known>
          ? Only<Given[Key], ValueOf<Known, Key>>
          : UnknownKey<Key>;
      }
    : unknown;

/** Limits that can have one of these algorithms; all where it is not known which. */
type OfAlgorithm<Known, Name> = Known extends { readonly algorithm?: infer Own }
  ? string extends Name
    ? Known
    : [Name & Own] extends [never]
      ? never
      : Known
  : never;

/** Limits of the algorithm that a limit names, or that follows from its other words. */
type SameAlgorithm<Limit> = Limit extends { readonly algorithm: infer Name extends string }
  ? OfAlgorithm<LimitInput, Name>
  : "algorithm" extends keyof Limit
    ? LimitInput
    : Limit extends { readonly window: "day" | "week" | "month" }
      ? CalendarLimitInput
      : "burst" extends keyof Limit
        ? TokenBucketLimitInput
        : BudgetLimitInput;

type OnlyLimit<Limit> = Limit extends object
  ? {
      readonly [Key in keyof Limit]: Key extends KeysOf<SameAlgorithm<Limit>>
        ? Only<Limit[Key], ValueOf<SameAlgorithm<Limit>, Key>>
        : Key extends KeysOf<LimitInput>
          ? KeyOfAnotherAlgorithm<Key>
          : UnknownKey<Key>;
    }
  : unknown;

type OnlyLimits<Limits> = { readonly [Index in keyof Limits]: OnlyLimit<Limits[Index]> };

/** What a policy must be, beside a `PolicyInput`, so that none of its keys are unknown. */
export type KnownKeys<Source> = Source extends PolicyInput
  ? {
      readonly [Key in keyof Source]: Key extends "limits"
        ? OnlyLimits<Source[Key]>
        : Key extends "tests"
          ? unknown
          : Key extends keyof PolicyInput
            ? Only<Source[Key], PolicyInput[Key]>
            : UnknownKey<Key>;
    }
  : unknown;
