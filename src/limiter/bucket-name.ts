// A bucket that the program names by its limit and dimensions. The error of a wrong name says how to write it.

import type { BucketDimensions, Dimensions } from "../kernel/call.ts";
import { mayMatch, missingDimension, missingIn, valueIn, withGroup } from "../kernel/charge.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { typoHint } from "../kernel/spelling.ts";

export type NamedBucket = BucketDimensions & { readonly limit: string };

/** Throws `invalid-call` unless a bucket is one object: otherwise the next argument would be taken for options. */
export function checkBucket(verb: "reset" | "grant" | "revoke", bucket: unknown): void {
  if (typeof bucket === "object" && bucket !== null) return;
  const rest = { reset: "", grant: ", { id, units, durationMs }", revoke: ", id" }[verb];
  const shown = typeof bucket === "string" ? JSON.stringify(bucket.slice(0, 64)) : '"name"';
  throw new MisuseError("invalid-call", {
    path: "bucket",
    expected: "one object with the limit and its dimensions",
    got: formatGot(bucket),
    hint: `Write ${verb}({ limit: ${shown}, session: "…" }${rest}), with all dimensions of the limit's per.`,
  });
}

/** Finds a limit by its name. Throws `unknown-limit`. */
export function limitNamed(limits: readonly Limit[], name: unknown): Limit {
  const limit = limits.find((each) => each.name === name);
  if (limit !== undefined) return limit;
  const names = limits.map((each) => each.name);
  const hint = name === undefined ? { hint: 'Write limit: "name" beside the dimensions.' } : typoHint(name, names);
  const expected = `one of the policy's limits: ${names.join(", ")}`;
  throw new MisuseError("unknown-limit", { path: "limit", expected, got: formatGot(name), ...hint });
}

/**
 * Validates the dimensions of a bucket that is named with all of them, some of which `for` has bound. Returns them with the group
 * of their tool. Throws `missing-dimension`, `invalid-dimension`, `invalid-option`.
 */
export function checkBucketDimensions(
  policy: CompiledPolicy,
  limit: Limit,
  given: BucketDimensions,
  bound: Dimensions,
): BucketDimensions {
  const missing = missingIn(limit, given);
  if (missing !== undefined) {
    throw missingDimension(limit, missing, `Write ${missing}: "…" beside limit, or bind it with limiter.for.`);
  }
  checkChosen(limit, given, bound);
  const grouped = withGroup(policy, given);
  checkReached(policy, limit, grouped);
  return grouped;
}

/** Throws when no call charges a bucket with these dimensions. Codes: `invalid-dimension`, `invalid-option`. */
function checkReached(policy: CompiledPolicy, limit: Limit, dimensions: BucketDimensions): void {
  const { group } = dimensions as { readonly group?: unknown };
  const isKnown = group === undefined || group === null || policy.groups.has(String(group));
  if (limit.per.includes("group") && !isKnown) {
    const expected = `a group that the policy gives a tool: ${[...policy.groups].join(", ") || "it has none"}`;
    const hint = typoHint(group, policy.groups);
    throw new MisuseError("invalid-dimension", { path: "group", expected, got: formatGot(group), ...hint });
  }
  if (mayMatch(policy, limit, dimensions)) return;
  const given = Object.entries(dimensions).filter(([, value]) => value !== undefined && value !== null);
  const [name, value] = given.find(([name, value]) => !mayMatch(policy, limit, { [name]: value })) ?? [];
  const which = name === undefined ? "these dimensions" : `${name} ${formatGot(value)}`;
  throw new MisuseError("invalid-option", {
    path: "limit",
    expected: `a limit that applies to ${which}: the "when" of this one leaves such calls out`,
    got: formatGot(limit.name),
    hint: "Name another limit, or other dimensions.",
  });
}

/** Throws `invalid-dimension` when a dimension chooses neither the bucket nor its quota: probably another bucket is meant. */
function checkChosen({ name, per, tools, dimensions }: Limit, given: BucketDimensions, bound: BucketDimensions): void {
  // A tool also chooses by its group, and by the arguments that its entry ignores.
  const isOfGroup = dimensions.has("group") && (valueIn(given, "group") ?? null) === null;
  const isOfTool = tools !== null || dimensions.has("args") || isOfGroup;
  const isChosen = (dimension: string) => dimensions.has(dimension) || (dimension === "tool" && isOfTool);
  const [path, value] =
    Object.entries(given).find(([dimension, value]) => (value ?? null) !== null && !isChosen(dimension)) ?? [];
  if (path === undefined) return;
  const whose = per.length === 0 ? "one bucket for all" : `per ${per.join(", ")}`;
  const expected = `nothing, because the limit ${name} is ${whose}, and ${path} chooses neither the bucket nor the quota`;
  // Arguments may be long or secret.
  const got = path === "args" ? "arguments" : formatGot(value);
  const hint = Object.hasOwn(bound, path) ? `Use a limiter that is not bound to a ${path}.` : "Leave it out.";
  throw new MisuseError("invalid-dimension", { path, expected, got, hint });
}
