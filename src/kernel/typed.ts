// What the compiler knows of a policy that is written in code: which dimensions its calls must and may have, and in which
// units they may be priced.

import type { Call, DIMENSIONS, DimensionValue } from "./call.ts";
import type { PolicyInput } from "./policy-schema.ts";

/** What is known of a policy. */
export interface PolicyTypes {
  /** Dimensions that each call must have. */
  readonly required: string;
  /** Dimensions that a call may have. */
  readonly accepted: string;
  readonly unit: string;
}

type Everybodys = Exclude<(typeof DIMENSIONS)[number], "tool">;

/** What is known of a policy that comes from elsewhere: that everything is checked when a call is made. */
export interface AnyTypes extends PolicyTypes {
  readonly required: never;
  readonly accepted: Everybodys;
  readonly unit: string;
}

/** A call under a policy. */
export type CallOf<Types extends PolicyTypes> = Omit<Call, (typeof DIMENSIONS)[number] | "cost"> & {
  readonly tool: DimensionValue;
  readonly cost?: { readonly [Unit in Types["unit"]]?: number } | undefined;
} & { readonly [Dimension in Types["required"]]: DimensionValue } & {
  readonly [Dimension in Exclude<Types["accepted"], Types["required"]>]?: DimensionValue | undefined;
};

/** Dimensions under a policy. */
export type DimensionsOf<Types extends PolicyTypes> = {
  readonly [Dimension in Types["accepted"] | "tool"]?: DimensionValue | undefined;
};

/** Whose bucket it is, under a policy. */
export type BucketOf<Types extends PolicyTypes> = DimensionsOf<Types> & {
  readonly tier?: DimensionValue | undefined;
  readonly args?: unknown;
};

/** What is still to be said once some dimensions are bound. */
export interface Bound<Types extends PolicyTypes, Given> extends PolicyTypes {
  readonly required: Exclude<Types["required"], keyof Given>;
  readonly accepted: Types["accepted"];
  readonly unit: Types["unit"];
}

type LimitOf<Input extends PolicyInput> = Input["limits"][number];
type Per<Limit> = Limit extends { readonly per: readonly (infer Dimension extends string)[] } ? Dimension : never;
type Count<Limit> = Limit extends { readonly count: infer Dimension extends string } ? Dimension : never;
type When<Limit> = Limit extends { readonly overrides: readonly { readonly when: infer Dimensions }[] }
  ? keyof Dimensions & string
  : never;
type Said<Dimension> = Exclude<Dimension, "tool" | "tier" | "args">;
type Required<Limit> = Limit extends { readonly optional: true } ? never : Said<Per<Limit> | Count<Limit>>;
type Unit<Limit> = Limit extends { readonly unit: infer Name extends string }
  ? Name
  : Limit extends { readonly algorithm: "elapsed" | "streak" } | { readonly count: string }
    ? never
    : "calls";

/** What is known of a policy from how it is written. */
export type TypesOf<Input extends PolicyInput> =
  string extends Per<LimitOf<Input>>
    ? AnyTypes
    : {
        readonly required: Required<LimitOf<Input>>;
        readonly accepted: Everybodys | Said<Per<LimitOf<Input>> | Count<LimitOf<Input>> | When<LimitOf<Input>>>;
        readonly unit: Unit<LimitOf<Input>>;
      };
