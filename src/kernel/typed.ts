// What the compiler knows of a policy that is written in code: which dimensions its calls must and may have, and in which
// units they may be priced. All of it is checked again at run time.

import type {
  CALL_WORDS,
  Cost,
  DERIVED_DIMENSIONS,
  DIMENSIONS,
  DimensionValue,
  WellKnownBucket,
  WellKnownCall,
} from "./call.ts";
import type { ClaimedQuota } from "./claims.ts";

declare const TYPES: unique symbol;
declare const REASON: unique symbol;

/** What is known of a policy. */
export interface PolicyTypes {
  /** Dimensions that each call must have. */
  readonly required: string;
  /** Dimensions that a call may have; `string` where only the run time knows. */
  readonly accepted: string;
  readonly unit: string;
  /** Limits that take quotas from calls; `string` where only the run time knows. */
  readonly claimed: string;
}

/** What is known of a policy that is read at run time, as from a file: a call may have dimensions of any name. */
export interface AnyTypes extends PolicyTypes {
  readonly required: never;
}

/** A policy that carries what is known of it. */
export interface Typed<Types extends PolicyTypes> {
  /** There is nothing at run time. A function, so that policies of which each knows something else stay two types. */
  readonly [TYPES]?: (types: Types) => Types;
}

type WellKnown = Exclude<(typeof DIMENSIONS)[number], "tool">;
type Derived = (typeof DERIVED_DIMENSIONS)[number];

/** What no value is: the compiler shows the word, and why it is refused. */
interface Refused<Word, Reason extends string> {
  readonly [REASON]: [Word, Reason];
}

/** The names of own dimensions that only the run time can check; `never` where the compiler knows them. */
export type OwnOf<Source> = string extends TypesOf<Source>["accepted"] ? string : never;

type NamedOf<Source> = string extends TypesOf<Source>["accepted"] ? WellKnown : TypesOf<Source>["accepted"];

/** The value of an own dimension. The words of calls and options that are no dimension have a capital. */
type OwnValue<Name> = Name extends Derived
  ? Refused<Name, "follows from the call">
  : Name extends Lowercase<Name & string>
    ? DimensionValue | undefined
    : Refused<Name, "is not the name of a dimension">;

/** Own dimensions that only the run time can check, beside other words. Any name is accepted where the names are not known. */
type Own<Name extends string, Word> = string extends Name
  ? object | { readonly [own: string]: unknown }
  : { readonly [Each in Name]?: Each extends Word ? unknown : OwnValue<Each> };

/** Quotas that calls may bring under a policy, by the name of a limit. */
export type QuotasOf<Source> = { readonly [Limit in TypesOf<Source>["claimed"]]?: ClaimedQuota };

type CostOf<Unit extends string> = string extends Unit ? Cost : { readonly [Each in Unit]?: number };

/** A call under a policy. */
export type CallOf<Source, Name extends string = never> = Pick<
  WellKnownCall,
  Exclude<(typeof CALL_WORDS)[number], "cost">
> & {
  readonly tool: DimensionValue;
  readonly cost?: CostOf<TypesOf<Source>["unit"]> | undefined;
} & { readonly [Dimension in TypesOf<Source>["required"]]: DimensionValue } & {
  readonly [Dimension in Exclude<NamedOf<Source>, TypesOf<Source>["required"]>]?: DimensionValue | undefined;
} & Own<Name, keyof WellKnownCall>;

/** Dimensions under a policy. */
export type DimensionsOf<Source> = {
  readonly [Dimension in NamedOf<Source> | "tool"]?: DimensionValue | undefined;
};

/** Whose bucket it is, under a policy. */
export type BucketOf<Source, Name extends string = never> = DimensionsOf<Source> & {
  readonly group?: DimensionValue | undefined;
  readonly args?: unknown;
} & Own<Name, keyof WellKnownBucket | "limit">;

/** What an object must be, beside what it is, so that calls may have all of its dimensions. */
export type OnlyOf<Source, Given> = {
  readonly [Name in keyof Given]: string extends Name
    ? DimensionValue | undefined
    : Name extends NamedOf<Source> | "tool"
      ? DimensionValue | undefined
      : Name extends OwnOf<Source>
        ? OwnValue<Name>
        : Refused<Name, "is no dimension of the policy">;
};

/** What is still to be said once some dimensions are bound. One that may be `undefined` is not bound. */
export type Bound<Types extends PolicyTypes, Given> =
  // A condition, so that declaration files show what it comes to: they cannot name this type.
  Types extends PolicyTypes
    ? {
        readonly required: Exclude<Types["required"], Said<Given>>;
        readonly accepted: Types["accepted"];
        readonly unit: Types["unit"];
        readonly claimed: Types["claimed"];
      }
    : never;

type Said<Given> = { [Name in keyof Given]-?: undefined extends Given[Name] ? never : Name }[keyof Given];

type Per<Limit> = Limit extends { readonly per: readonly (infer Dimension extends string)[] } ? Dimension : never;
type Distinct<Limit> = Limit extends { readonly distinct: infer Dimension extends string } ? Dimension : never;
/** The dimensions of a `when`, or of `quotas`: they choose, and no call has to have them. */
type Chosen<Limit> =
  | (Limit extends { readonly when: infer Dimensions } ? keyof Dimensions & string : never)
  | (Limit extends { readonly quotas: infer Dimensions } ? keyof Dimensions & string : never)
  | (Limit extends { readonly overrides: readonly (infer Override)[] }
      ? Override extends { readonly when: infer Dimensions }
        ? keyof Dimensions & string
        : never
      : never);
type Owed<Dimension> = Exclude<Dimension, "tool" | Derived>;

/** Words as keys: a union of objects has only those keys that each of them has. */
type Keyed<Word> = Word extends string ? (string extends Word ? unknown : { readonly [Each in Word]: true }) : never;

/** The dimensions that a limit needs, as keys. Only calls of tools that have a group need those behind `group`. */
type Needed<Dimensions> = Dimensions extends readonly [infer First, ...infer Rest]
  ? First extends "group"
    ? unknown
    : Keyed<First> & Needed<Rest>
  : unknown;

type OnMissingOf<Source, Else> = "onMissing" extends keyof Source
  ? Exclude<Source["onMissing"], undefined> | (undefined extends Source["onMissing"] ? Else : never)
  : Else;

/** Whether calls may lack the limit's dimensions: it is for some calls alone, or passes by those that lack one. */
type Optional<Limit, Default> = "when" extends keyof Limit
  ? true
  : OnMissingOf<Limit, Default> extends "error"
    ? false
    : true;

type Required<Limit, Default> = Limit extends { readonly per: infer Dimensions }
  ? Optional<Limit, Default> extends true
    ? never
    : Owed<keyof Needed<Dimensions> | (string extends Distinct<Limit> ? never : Distinct<Limit>)>
  : never;

type Unit<Limit> = Limit extends { readonly algorithm: "elapsed" | "streak" } | { readonly distinct: string }
  ? never
  : "unit" extends keyof Limit
    ? Extract<Limit["unit"], string> | (undefined extends Limit["unit"] ? "calls" : never)
    : "calls";

/** The names of limits whose quota calls may bring. */
type Claimed<Limit> = Limit extends { readonly quota: infer Quota; readonly name: infer Name extends string }
  ? [Extract<Quota, object>] extends [never]
    ? never
    : Name
  : never;

/** What `defaults` say of calls that lack a dimension. */
type DefaultOf<Source> = Source extends { readonly defaults: infer Defaults }
  ? OnMissingOf<Defaults, "error">
  : "error";

/** What is known of limits as they are written. Where some may not be there, nothing is required. */
interface Written<Limits extends readonly unknown[], Default> extends PolicyTypes {
  readonly required: number extends Limits["length"] ? never : Required<Limits[number], Default>;
  readonly accepted: WellKnown | Owed<Per<Limits[number]> | Distinct<Limits[number]> | Chosen<Limits[number]>>;
  readonly unit: Unit<Limits[number]>;
  readonly claimed: Claimed<Limits[number]>;
}

/** What is known of each policy of a union. */
type Facts<Source> = Source extends { readonly version: 1; readonly limits: infer Limits extends readonly unknown[] }
  ? Written<Limits, DefaultOf<Source>>
  : Source extends Typed<infer Types>
    ? typeof TYPES extends keyof Source
      ? Types
      : AnyTypes
    : AnyTypes;

type RequiredKeys<Types> = Types extends PolicyTypes ? { readonly [Each in Types["required"]]: true } : never;

/** What is known of a policy. Of several, a call must have what all need, and may have what one knows. */
export type TypesOf<Source> =
  Facts<Source> extends infer Known extends PolicyTypes
    ? {
        readonly required: keyof RequiredKeys<Known> & string;
        readonly accepted: Known["accepted"];
        readonly unit: Known["unit"];
        readonly claimed: Known["claimed"];
      }
    : never;
