// A call: one wish of an agent to use a tool, and the dimensions that say whose wish it is.

import { formatGot, MisuseError } from "./errors.ts";
import { typoHint } from "./spelling.ts";

/** The dimensions that every policy knows. */
export const DIMENSIONS = ["tenant", "user", "session", "turn", "agent", "model", "tool"] as const;

/** Longest name of a tool, and longest value of any other dimension and of an idempotency key, in characters. */
export const MAX_TOOL_LENGTH = 1_024;
export const MAX_NAME_LENGTH = 65_536;
/** What follows from a call and the policy, and is not said: the tool's group, and the hash of the arguments. */
export const DERIVED_DIMENSIONS = ["group", "args"] as const;

/** What a limit can be per: one of `DIMENSIONS`, of `DERIVED_DIMENSIONS`, or a name of the policy's own. */
export type Dimension = string;

/**
 * A dimension's value: a string that is not empty, of at most 65,536 characters (a tool: 1,024), or a safe integer, which
 * equals its decimal string.
 */
export type DimensionValue = string | number;

export type WellKnownDimensions = { readonly [dimension in (typeof DIMENSIONS)[number]]?: DimensionValue | undefined };

/** Whose call it is, with dimensions of the policy's own beside those of `DIMENSIONS`. */
export type Dimensions = WellKnownDimensions | { readonly [dimension: Dimension]: DimensionValue | undefined };

/** Whose bucket it is, without dimensions of the policy's own. */
export interface WellKnownBucket extends WellKnownDimensions {
  readonly group?: DimensionValue | undefined;
  readonly args?: unknown;
}

/** Whose bucket it is: a group is named, and arguments are given as a call has them. */
export type BucketDimensions = WithOwn<WellKnownBucket>;

/** An object that may have dimensions of the policy's own, too. Their values are checked at run time. */
type WithOwn<Known> = Known | (Known & { readonly [own: Dimension]: unknown });

/** Units that a call takes, by unit: whole numbers from 0 to 2^53 - 1. */
export type Cost<Unit extends string = string> = string extends Unit
  ? Readonly<Record<string, number>>
  : { readonly [Each in Unit]?: number };

/** One wish of an agent to use a tool: whose it is, with dimensions of the policy's own, and what else is known of it. */
export type Call = WithOwn<WellKnownCall>;

/** A call without dimensions of the policy's own. */
export interface WellKnownCall extends WellKnownDimensions {
  readonly tool: string | number;
  /** The model's id of the tool call. A label alone: models repeat ids, so it never deduplicates. */
  readonly toolCallId?: string | undefined;
  /** What the tool is called with. */
  readonly args?: unknown;
  /**
   * Units taken, such as `{ tokens: 4000 }`. `calls` is 1 unless given. A limit whose unit is not priced charges
   * nothing and denies when nothing is left; a price of 0 leaves the limit out.
   */
  readonly cost?: Cost | undefined;
  /**
   * Names this wish, for ten minutes and within its partition: a call that is sent again under the same key, from
   * whatever process, is charged once and gets the first answer. Denials are not kept. Must not be made from what models
   * repeat, such as the tool call's id.
   */
  readonly idempotencyKey?: string | undefined;
}

/** What a call may say beside its dimensions. */
export const CALL_WORDS = ["toolCallId", "args", "cost", "idempotencyKey"] as const;
const WORDS: ReadonlySet<string> = new Set(CALL_WORDS);

/**
 * Dimensions with those of a call, or further ones, before them. What is `undefined` or `null` there says nothing: it
 * must not take away what is bound.
 *
 * @throws MisuseError `invalid-call`
 */
export function mergeDimensions<Own extends Dimensions>(bound: Dimensions, own: Own, what: string): Dimensions & Own {
  requireObject(own, what);
  const merged: Record<string, unknown> = { ...bound };
  for (const key in own) {
    const value = own[key];
    if (value !== undefined && value !== null && Object.hasOwn(own, key)) merged[key] = value;
  }
  return merged as Dimensions & Own;
}

/**
 * Refuses a call that is not an object, names a key that is not known, or lacks its tool.
 *
 * @throws MisuseError `invalid-call`, `missing-dimension`
 */
export function checkCall(call: Call, known: ReadonlySet<string>): void {
  checkDimensions(call, known, "call");
  if (call.tool === undefined || call.tool === null) {
    throw new MisuseError("missing-dimension", { path: "tool", expected: "the name of a tool", got: "nothing" });
  }
  const { idempotencyKey: key } = call;
  if (key !== undefined && (typeof key !== "string" || key === "" || key.length > MAX_NAME_LENGTH)) {
    const expected = `a string of 1 to ${MAX_NAME_LENGTH} characters`;
    throw new MisuseError("invalid-call", { path: "idempotencyKey", expected, got: formatGot(key) });
  }
}

function requireObject(value: unknown, what: string): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw new MisuseError("invalid-call", { path: what, expected: "an object", got: formatGot(value) });
}

/**
 * Refuses dimensions that are not an object, or name a key that is not known.
 *
 * @throws MisuseError `invalid-call`
 */
export function checkDimensions(dimensions: object, known: ReadonlySet<string>, what = "dimensions"): void {
  requireObject(dimensions, what);
  for (const key in dimensions) {
    if (known.has(key)) continue;
    const expected = `only ${[...known].join(", ")}`;
    throw new MisuseError("invalid-call", { path: what, expected, got: formatGot(key), ...typoHint(key, known) });
  }
}

/**
 * A dimension's value as the string that keys use.
 *
 * @throws MisuseError `invalid-dimension`
 */
export function dimensionValue(dimension: Dimension, value: unknown): string {
  if (typeof value === "string" && value !== "" && !isTooLong(dimension, value)) return value;
  if (Number.isSafeInteger(value)) return String(value);
  const longest = longestOf(dimension);
  throw new MisuseError("invalid-dimension", {
    path: dimension,
    expected: `a string of 1 to ${longest} characters, or a safe integer`,
    got: typeof value === "string" && value !== "" ? `one of ${value.length} characters` : formatGot(value),
  });
}

export function isTooLong(dimension: Dimension, value: unknown): boolean {
  return typeof value === "string" && value.length > longestOf(dimension);
}

function longestOf(dimension: Dimension): number {
  return dimension === "tool" ? MAX_TOOL_LENGTH : MAX_NAME_LENGTH;
}

/** Whose call it is, and of what tool: every dimension that it says with its value as text, by the dimensions' names. */
export function dimensionsOf(call: Call): PartitionKey {
  return Object.entries(call)
    .filter(([word, value]) => value !== undefined && value !== null && !WORDS.has(word))
    .map(([dimension, value]) => [dimension, dimensionValue(dimension, value)] as const)
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

/**
 * Whose bucket it is: for each dimension of the limit's `per`, in that order, the value; `null` in the bucket that calls
 * without the dimension share.
 */
export type PartitionKey = readonly (readonly [dimension: Dimension, value: string | null])[];
