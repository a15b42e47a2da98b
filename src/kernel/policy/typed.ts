// What the compiler knows of a policy in code: its limits, and the dimensions and units of its calls. Run time checks it again.

import type { CALL_WORDS, Cost, DERIVED_DIMENSIONS, DIMENSIONS, Dimension } from "../call.ts";
import type { Dimensions, DimensionValue, WellKnownBucket, WellKnownCall } from "../call.ts";

declare const TYPES: unique symbol;
declare const REASON: unique symbol;

/** What is known of a policy; `string` where only the run time knows. */
export interface PolicyTypes {
  /** The names of its limits. */
  readonly limits: string;
  /** Dimensions that each call must have. */
  readonly required: string;
  /** Dimensions that a call may have beside these and the well-known ones. */
  readonly optional: string;
  readonly units: string;
  /** Limits that take quotas from calls, each with the dimensions that it is per. */
  readonly fromCall: Readonly<Record<string, string>>;
}

/** One limit of a policy. */
export interface PolicyLimit<Name extends string = string> {
  readonly name: Name;
  /** Whose quota it is: one bucket for each combination of these dimensions' values. */
  readonly per: readonly Dimension[];
  /** What it counts. */
  readonly unit: string;
}

/**
 * The limits that apply to calls, made by `definePolicy`, `parsePolicy` or `loadPolicy`. The compiler checks calls against a
 * policy of `definePolicy`: pass `typeof policy` to `Limiter`, `CallFor` and `createRemoteLimiter`.
 */
export interface Policy<Types = unknown> {
  /** Names what the policy says: 32 hexadecimal digits that differ where two policies differ. */
  readonly version: string;
  readonly limits: readonly PolicyLimit<Types extends PolicyTypes ? Types["limits"] : string>[];
  /** There is nothing at run time. */
  readonly [TYPES]?: Carried<Types> | undefined;
}

/** Functions, so that policies of which each knows something else stay two types. Each is a plain `Policy`, which has no key. */
type Carried<Types> = { readonly [Key in keyof Types]: (known: Types[Key]) => Types[Key] };

type WellKnown = Exclude<(typeof DIMENSIONS)[number], "tool">;
type Derived = (typeof DERIVED_DIMENSIONS)[number];

/** What no value is: the compiler shows the word, and why it is refused. */
export interface Refused<Word, Reason extends string> {
  readonly [REASON]: [Word, Reason];
}

export type LimitOf<P> = TypesOf<P>["limits"];
export type UnitOf<P> = TypesOf<P>["units"];
/** The limits of a policy that take quotas from calls. */
export type ClaimedOf<P> = KeysOf<TypesOf<P>["fromCall"]>;
/** The dimensions that calls must have; none where only the run time knows. */
export type RequiredOf<P> = TypesOf<P>["required"];
/** The names of own dimensions that only the run time can check; `never` where the compiler knows them. */
export type OwnOf<P> = string extends TypesOf<P>["optional"] ? string : never;

type NamedOf<P> = WellKnown | RequiredOf<P> | (string extends TypesOf<P>["optional"] ? never : TypesOf<P>["optional"]);

/** The value of an own dimension. The words of calls and options that are no dimension have a capital. */
type OwnValue<Name> = Name extends Derived
  ? Refused<Name, "follows from the call">
  : Name extends Lowercase<Name & string>
    ? DimensionValue | undefined
    : Refused<Name, "is not the name of a dimension">;

/** Own dimensions that only the run time can check, beside other words. If the names are unknown, each is accepted. */
type OwnNames<Name extends string, Word> = string extends Name
  ? object | { readonly [own: string]: unknown }
  : { readonly [Each in Name]?: Each extends Word ? unknown : OwnValue<Each> };

/** Quotas that calls may bring under a policy, by the name of a limit. */
export type QuotasOf<P> = [ClaimedOf<P>] extends [never]
  ? { readonly [limit: string]: ClaimedQuota & Refused<"quotas", "no limit of the policy says quota: { from: call }"> }
  : { readonly [Limit in ClaimedOf<P>]?: ClaimedQuota };

type KeysOf<Each> = Each extends unknown ? keyof Each & string : never;
type AskedOf<Each, Limit> = Each extends unknown ? (Limit extends keyof Each ? Each[Limit] : never) : never;

/** Each limit of a policy that takes quotas from calls, with the dimensions that it is per. */
export type ClaimsBy<P> = { readonly [Limit in ClaimedOf<P>]: AskedOf<TypesOf<P>["fromCall"], Limit> & string };

/**
 * A call under a policy: `CallFor<typeof policy>`.
 *
 * @typeParam Bound dimensions that the limiter is bound to, so that calls need not have them
 * @typeParam Own is inferred: own dimensions of a call whose policy only the run time knows
 */
export type CallFor<P extends Policy, Bound extends string = never, Own extends string = OwnOf<P>> = Pick<
  WellKnownCall,
  Exclude<(typeof CALL_WORDS)[number], "cost">
> & {
  readonly tool: DimensionValue;
  readonly cost?: Cost<UnitOf<P>> | undefined;
} & { readonly [Name in Exclude<RequiredOf<P>, Bound>]: DimensionValue } & {
  readonly [Name in Exclude<NamedOf<P>, Exclude<RequiredOf<P>, Bound>>]?: DimensionValue | undefined;
} & OwnNames<Own, keyof WellKnownCall>;

export type DimensionsFor<P> = {
  readonly [Name in NamedOf<P> | "tool"]?: DimensionValue | undefined;
};

/** Whose bucket it is, under a policy. */
export type BucketFor<P, Own extends string = never> = DimensionsFor<P> & {
  readonly group?: DimensionValue | undefined;
  readonly args?: unknown;
} & OwnNames<Own, keyof WellKnownBucket | "limit">;

/** What an object must be, beside what it is, so that calls may have all of its dimensions. */
export type OnlyDimensions<P, Given> = OnlyNames<P, Given, "tool">;

/** What a function may return that makes a call of something else; `null`: there is none. */
export type Made<P extends Policy, Bound extends string> =
  | CallFor<P, Bound>
  | null
  | PromiseLike<CallFor<P, Bound> | null>;

/** What it must return, beside what it does, so that the call says nothing that is not known. */
export type OnlyMade<P, Given> =
  Given extends PromiseLike<infer Later>
    ? PromiseLike<OnlyMade<P, Later>>
    : Given extends object
      ? OnlyNames<P, Given, keyof WellKnownCall>
      : unknown;

type ServeAdvice = "bind them with limiter.for, or return them from the option dimensions, never undefined";

/** What no limiter is: the compiler shows which dimensions calls would lack, and what to do. */
interface MissingDimensions<Names, Advice> {
  readonly dimensions: unknown;
  readonly [REASON]?: [Names, Advice];
}

/** What a limiter must be, beside what it is, so that calls of a framework with these dimensions lack none. */
export type Served<P, Names, IfServed = unknown> = [Exclude<RequiredOf<P>, Names>] extends [never]
  ? IfServed
  : MissingDimensions<Exclude<RequiredOf<P>, Names>, ServeAdvice>;

/** What options must be, beside what they are, so that they say the dimensions that the limiter lacks. */
export type Serving<P, Names> = Served<P, Names, { readonly dimensions: unknown }>;

/** What a cost must be, beside what it is, so that some limit counts each of its units. */
export type OnlyUnits<Unit extends string, Given> = string extends Unit
  ? unknown
  : { readonly [Each in keyof Given]: Each extends Unit ? unknown : Refused<Each, "is no unit of the policy"> };

/** The dimensions that calls under a policy must have beside those that are known. */
export type Lacking<P, Names> = { readonly [Name in Exclude<RequiredOf<P>, Names>]: DimensionValue };

/** Dimensions of any name where only the run time knows the policy's. */
export type AnyOf<P> = [OwnOf<P>] extends [never] ? never : Dimensions;

type OnlyNames<P, Given, Word> = {
  readonly [Name in keyof Given]: string extends Name
    ? DimensionValue | undefined
    : Name extends "tool" | NamedOf<P>
      ? DimensionValue | undefined
      : Name extends Word
        ? unknown
        : Name extends OwnOf<P>
          ? OwnValue<Name>
          : Refused<Name, "is no dimension of the policy">;
};

/** The dimensions that an object has. One that may be `undefined` is not bound. */
export type Said<Given> = { [Name in keyof Given]-?: undefined extends Given[Name] ? never : Name }[keyof Given] &
  string;

type Per<Limit> = Limit extends { readonly per: readonly (infer Name extends string)[] } ? Name : never;
type Distinct<Limit> = Limit extends { readonly distinct: infer Name extends string } ? Name : never;
/** The dimensions of a `when`, or of `quotas`: they choose, and no call has to have them. */
type Chosen<Limit> =
  | NamesIn<Limit, "when">
  | NamesIn<Limit, "quotas">
  | (Limit extends { readonly overrides: readonly (infer Override)[] } ? NamesIn<Override, "when"> : never);
type NamesIn<Part, Key extends string> = Part extends { readonly [Each in Key]: infer Names }
  ? keyof Names & string
  : never;
type Owed<Name> = Exclude<Name, "tool" | Derived>;

/** Words as keys: a union of objects has only those keys that each of them has. */
type Keyed<Word> = Word extends string ? (string extends Word ? unknown : { readonly [Each in Word]: true }) : never;

/** The dimensions that a limit needs, as keys. */
type Needed<Names> = Names extends readonly [infer First, ...infer Rest] ? Keyed<First> & Needed<Rest> : unknown;

type OnMissingOf<Source, Else> = "onMissing" extends keyof Source
  ? Exclude<Source["onMissing"], undefined> | (undefined extends Source["onMissing"] ? Else : never)
  : Else;

/** Whether a limit is only for calls of tools that have a group. */
type IsPerGroup<Limit> = "group" extends Per<Limit> | Distinct<Limit> ? true : false;

/** The dimensions that calls must have for a limit: none where it is for some calls alone, or skips those that lack one. */
type Required<Limit, Default> = Limit extends { readonly per: infer Names }
  ? [keyof Limit & "when", OnMissingOf<Limit, Default>, IsPerGroup<Limit>] extends [never, "error", false]
    ? Owed<keyof Needed<Names> | (string extends Distinct<Limit> ? never : Distinct<Limit>)>
    : never
  : never;

type Unit<Limit> = Limit extends
  | { readonly algorithm: "elapsed" | "streak" | "cooldown" }
  | { readonly distinct: string }
  ? never
  : "unit" extends keyof Limit
    ? Extract<Limit["unit"], string> | (undefined extends Limit["unit"] ? "calls" : never)
    : "calls";

type NameOf<Limit> = Limit extends { readonly name: infer Name extends string } ? Name : never;

type Claimed<Limit> = Limit extends { readonly quota: infer Quota }
  ? [Extract<Quota, object>] extends [never]
    ? never
    : NameOf<Limit>
  : never;

/** What `defaults` say of calls that lack a dimension. */
type DefaultOf<Source> = Source extends { readonly defaults: infer Defaults }
  ? OnMissingOf<Defaults, "error">
  : "error";

/** What is known of limits as they are written. Where some may not be there, nothing is required. */
interface Written<Limits extends readonly unknown[], Default> extends PolicyTypes {
  readonly limits: NameOf<Limits[number]>;
  readonly required: number extends Limits["length"] ? never : Required<Limits[number], Default>;
  readonly optional: Owed<Per<Limits[number]> | Distinct<Limits[number]> | Chosen<Limits[number]>>;
  readonly units: Unit<Limits[number]>;
  readonly fromCall: { readonly [Each in Limits[number] as Claimed<Each>]: Per<Each> };
}

/** What is known of each policy of a union. */
type Facts<Source> =
  Source extends Policy<infer Types>
    ? Types extends PolicyTypes
      ? Types
      : PolicyTypes
    : Source extends { readonly version: 1; readonly limits: infer Limits extends readonly unknown[] }
      ? Written<Limits, DefaultOf<Source>>
      : PolicyTypes;

type RequiredKeys<Types> = Types extends PolicyTypes
  ? string extends Types["required"]
    ? unknown
    : { readonly [Each in Types["required"]]: true }
  : never;

/** What is known of a policy. Of several, a call must have what all need, and may have what one knows. */
export type TypesOf<Source> =
  Facts<Source> extends infer Known extends PolicyTypes
    ? {
        readonly limits: Known["limits"];
        readonly required: keyof RequiredKeys<Known> & string;
        readonly optional: Exclude<Known["optional"] | Known["required"], WellKnown | keyof RequiredKeys<Known>>;
        readonly units: Known["units"];
        readonly fromCall: Known["fromCall"];
      }
    : never;

/** The policy that is made of one that is written, or was made before. A plain one where nothing is known of it (`any`). */
export type PolicyFor<Source> = 0 extends 1 & Source
  ? Policy
  : Source extends Policy
    ? Source
    : TypesOf<Source> extends infer Types extends PolicyTypes
      ? string extends Types["limits"] & Types["optional"]
        ? Policy
        : Policy<Types>
      : never;

/** A quota as a caller claims it: a whole number from 0 to 2^53 - 1, or `unlimited`. */
export type ClaimedQuota = number | "unlimited";

/** Quotas by the name of a limit. */
export type ClaimedQuotas = Readonly<Record<string, ClaimedQuota>>;
