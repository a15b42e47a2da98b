// The schemas of requests, from which the OpenAPI document and the types of bodies follow. Whether a policy knows a dimension or
// a unit is checked by the limiter.

import * as v from "valibot";
import type { BucketDimensions, Call } from "../kernel/call.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { objectOf, type Output, type Schema, wordOf } from "../kernel/policy/schema-kinds.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema-values.ts";
import { closed, described, mapTo, named, nonEmpty, text, textOf, truth, whole } from "./schema-parts.ts";

const dimensionValue = v.union([nonEmpty, whole()], "a text that is not empty, or a whole number");
export const units = whole(0);
/** How deep what is hashed may be: deeper than what says something, and harmless for what walks through it. */
const MAX_DEPTH = 64;
const anything = v.pipe(
  v.unknown(),
  v.check((value) => !isDeep(value, MAX_DEPTH), `at most ${MAX_DEPTH} levels`),
);
const cost = described(mapTo(units, "an object of whole numbers by unit"), "Units by name, such as { tokens: 4000 }.");
const leaseMs = described(whole(1, MAX_LEASE_MS), "How long the hold lives.");
/** The id of a hold or a grant. */
export const id64 = v.pipe(text, v.regex(/^[\w-]{1,64}$/, "1 to 64 letters, digits, _ or -"));

const whose = {
  tenant: v.optional(dimensionValue),
  user: v.optional(dimensionValue),
  session: v.optional(dimensionValue),
  turn: v.optional(dimensionValue),
  agent: v.optional(dimensionValue),
  model: v.optional(dimensionValue),
};
const callFields = {
  tool: dimensionValue,
  ...whose,
  toolCallId: described(v.optional(text), "The model's id of the tool call: a label."),
  args: described(v.optional(anything), "What the tool is called with. Only its hash is used."),
  cost: v.optional(cost),
  idempotencyKey: described(v.optional(nonEmpty), "As the header Idempotency-Key."),
};

/** A call. Further keys are dimensions of the policy's own. */
export const callSchema = named("Call", objectOf("an object", callFields, dimensionValue)) as Schema as Schema<Call>;

const maxWaitMs = described(
  v.optional(whole(0)),
  "How long the call may wait until it is allowed, at most the bound of the service (30,000 unless set).",
);

const CLAIMED = "a whole number from 0, or unlimited";
const claimed = v.union([units, wordOf(CLAIMED, ["unlimited"])], CLAIMED);
const quotas = described(
  v.optional(mapTo(claimed, "an object of whole numbers by unit")),
  "Quotas by the name of a limit with `quota: { from: call }`. The key needs the scope `quotas`.",
);

const force = described(
  v.optional(truth),
  "`true`: the call was admitted while the service was away. It is allowed in any case, also past the quota, and does not wait.",
);

export const consumeSchema = named("Consume", closed({ call: callSchema, quotas, maxWaitMs, force }));
/** The body of `record` and `peek`. */
export const callBodySchema = named("CallBody", closed({ call: callSchema, quotas }));
export const reserveSchema = named(
  "Reserve",
  closed({ call: callSchema, quotas, leaseMs: v.optional(leaseMs), maxWaitMs, force }),
);

const usage = described(v.optional(cost), "What the call used, by unit, such as { tokens: 3127 }.");
const outcome = {
  error: described(v.optional(v.literal(true, "true")), "The call failed."),
  result: described(v.optional(anything), "What the call returned, of which only a hash is kept."),
};

const heldFields = { holdId: id64, call: callSchema, quotas };

const failed = described(
  v.optional(truth),
  "Of a call that was begun, and whose outcome is not reported: units that `usage` does not name take what `onError` says.",
);
export const settleSchema = named("Settle", closed({ ...heldFields, usage, failed }));
export const releaseSchema = named("Release", closed(heldFields));
export const extendSchema = named("Extend", closed({ ...heldFields, leaseMs: v.optional(leaseMs) }));
export const reportSchema = named(
  "Report",
  closed({ call: callSchema, ...outcome }),
  "What came of a call: either `error` or `result`.",
);
export const endSchema = named(
  "End",
  closed({ ...heldFields, usage, ...outcome }),
  "Ends a call that was begun. With `error` or `result`, one of them, what came of it is reported. With `error`, units that `usage` does not name take what `onError` says; else what was held.",
);

const queryText = v.optional(nonEmpty);
/** Most items of a page of a list. */
export const MAX_PAGE = 1_000;

/** Whose buckets, in a query: `args` as JSON, and dimensions of the policy's own by their names. */
export const usageQuerySchema = objectOf(
  "an object",
  Object.fromEntries([
    ...[...Object.keys(whose), "tool", "group", "args"].map((name) => [name, queryText] as const),
    ["asTenant", described(queryText, "Answers as to a key that is bound to this tenant.")],
    ["cursor", described(queryText, "Where the page begins: `nextCursor` of the page before.")],
    ["pageSize", described(queryText, `Most items of a page, 1 to ${MAX_PAGE}. Default: ${MAX_PAGE}.`)],
  ]),
  nonEmpty,
);

const dimensions = objectOf(
  "an object",
  {
    ...whose,
    tool: v.optional(dimensionValue),
    group: v.optional(dimensionValue),
    args: v.optional(anything),
  },
  dimensionValue,
);
const bucketFields = {
  limit: described(textOf(1, 64), "The limit's name."),
  dimensions: described(
    dimensions,
    "All of the limit's dimensions, and no other.",
  ) as Schema as Schema<BucketDimensions>,
  asTenant: described(v.optional(nonEmpty), "Names the bucket as a key does that is bound to this tenant."),
};
const reason = v.optional(described(textOf(1, 500), "Why, for events and logs."));
export const actor = v.optional(
  described(textOf(1, 150), "For whom the key makes the change, such as a person, for events and logs."),
);

export const grantSchema = named(
  "Grant",
  closed({
    ...bucketFields,
    grant: closed({
      id: described(id64, "The same grant twice on one bucket is one grant."),
      units: whole(1),
      durationMs: whole(1, MAX_DURATION_MS),
    }),
    reason,
    actor,
  }),
);
export const revokeSchema = named(
  "Revoke",
  closed({ ...bucketFields, id: described(id64, "The grant's id."), reason, actor }),
);
export const resetSchema = named("Reset", closed({ ...bucketFields, reason, actor }));

export type CallBody = Output<typeof callBodySchema>;
export type ConsumeBody = Output<typeof consumeSchema>;
export type ReserveBody = Output<typeof reserveSchema>;
export type HoldBody = Output<typeof releaseSchema>;
export type SettleBody = Output<typeof settleSchema>;
export type ExtendBody = Output<typeof extendSchema>;
export type ReportBody = Output<typeof reportSchema>;
export type EndBody = Output<typeof endSchema>;
export type GrantBody = Output<typeof grantSchema>;
export type RevokeBody = Output<typeof revokeSchema>;
export type ResetBody = Output<typeof resetSchema>;

function isDeep(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => isDeep(inner, left - 1));
}
