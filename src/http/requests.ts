// The schemas of requests, from which the OpenAPI document and the types of bodies follow. Whether a policy knows a dimension or
// a unit is checked by the limiter.

import { z } from "zod";
import type { BucketDimensions, Call } from "../kernel/call.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema-values.ts";

/** An object of a request: words that it does not know are refused with those that it knows. */
export function words<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = `only ${Object.keys(shape).join(", ")}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? known : undefined) });
}

const dimensionValue = z.union([z.string().min(1), z.int()], { error: "a text that is not empty, or a whole number" });
export const units = z.int().min(0);
/** How deep what is hashed may be: deeper than what says something, and harmless for what walks through it. */
const MAX_DEPTH = 64;
const anything = z.unknown().refine((value) => !isDeep(value, MAX_DEPTH), `at most ${MAX_DEPTH} levels`);
const cost = z.record(z.string(), units).meta({ description: "Units by name, such as { tokens: 4000 }." });
const leaseMs = z.int().min(1).max(MAX_LEASE_MS).meta({ description: "How long the hold lives." });
/** The id of a hold or a grant. */
export const id64 = z.string().regex(/^[\w-]{1,64}$/, { error: "1 to 64 letters, digits, _ or -" });

const whose = {
  tenant: dimensionValue.optional(),
  user: dimensionValue.optional(),
  session: dimensionValue.optional(),
  turn: dimensionValue.optional(),
  agent: dimensionValue.optional(),
  model: dimensionValue.optional(),
};
const callFields = {
  tool: dimensionValue,
  ...whose,
  toolCallId: z.string().optional().meta({ description: "The model's id of the tool call: a label." }),
  args: anything.optional().meta({ description: "What the tool is called with. Only its hash is used." }),
  cost: cost.optional(),
  idempotencyKey: z.string().min(1).optional().meta({ description: "As the header Idempotency-Key." }),
};

/** A call. Further keys are dimensions of the policy's own. */
export const callSchema = z
  .object(callFields)
  .catchall(dimensionValue)
  .meta({ id: "Call" }) as unknown as z.ZodType<Call>;

const maxWaitMs = z.int().min(0).optional().meta({
  description: "How long the call may wait until it is allowed, at most the bound of the service (30,000 unless set).",
});

const claimed = z.union([units, z.literal("unlimited")], { error: "a whole number from 0, or unlimited" });
const quotas = z.record(z.string(), claimed).optional().meta({
  description: "Quotas by the name of a limit with `quota: { from: call }`. The key needs the scope `quotas`.",
});

export const consumeSchema = words({ call: callSchema, quotas, maxWaitMs }).meta({ id: "Consume" });
/** The body of `record` and `peek`. */
export const callBodySchema = words({ call: callSchema, quotas }).meta({ id: "CallBody" });
export const reserveSchema = words({ call: callSchema, quotas, leaseMs: leaseMs.optional(), maxWaitMs }).meta({
  id: "Reserve",
});

const usage = cost.optional().meta({ description: "What the call used, by unit, such as { tokens: 3127 }." });
const outcome = {
  error: z.literal(true).optional().meta({ description: "The call failed." }),
  result: anything.optional().meta({ description: "What the call returned, of which only a hash is kept." }),
};

const heldFields = { holdId: id64, call: callSchema, quotas };

export const settleSchema = words({
  ...heldFields,
  usage,
  failed: z.boolean().optional().meta({
    description:
      "Of a call that was begun, and whose outcome is not reported: units that `usage` does not name take what `onError` says.",
  }),
}).meta({ id: "Settle" });
export const releaseSchema = words(heldFields).meta({ id: "Release" });
export const extendSchema = words({ ...heldFields, leaseMs: leaseMs.optional() }).meta({
  id: "Extend",
});
export const reportSchema = words({ call: callSchema, ...outcome }).meta({
  id: "Report",
  description: "What came of a call: either `error` or `result`.",
});
export const endSchema = words({ ...heldFields, usage, ...outcome }).meta({
  id: "End",
  description:
    "Ends a call that was begun. With `error` or `result`, one of them, what came of it is reported. With `error`, units that `usage` does not name take what `onError` says; else what was held.",
});

const queryText = z.string().min(1).optional();
/** Most items of a page of a list. */
export const MAX_PAGE = 1_000;

/** Whose buckets, in a query: `args` as JSON, and dimensions of the policy's own by their names. */
export const usageQuerySchema = z
  .object(
    Object.fromEntries([
      ...[...Object.keys(whose), "tool", "group", "args"].map((name) => [name, queryText]),
      ["asTenant", queryText.meta({ description: "Answers as to a key that is bound to this tenant." })],
      ["cursor", queryText.meta({ description: "Where the page begins: `nextCursor` of the page before." })],
      ["pageSize", queryText.meta({ description: `Most items of a page, 1 to ${MAX_PAGE}. Default: ${MAX_PAGE}.` })],
    ]),
  )
  .catchall(z.string().min(1));

const bucketFields = {
  limit: z.string().min(1).max(64).meta({ description: "The limit's name." }),
  dimensions: z
    .object({
      ...whose,
      tool: dimensionValue.optional(),
      group: dimensionValue.optional(),
      args: anything.optional(),
    })
    .catchall(dimensionValue)
    .meta({ description: "All of the limit's dimensions, and no other." }) as unknown as z.ZodType<BucketDimensions>,
  asTenant: z.string().min(1).optional().meta({
    description: "Names the bucket as a key does that is bound to this tenant.",
  }),
};
const reason = z.string().min(1).max(500).meta({ description: "Why, for the audit log." });

export const grantSchema = words({
  ...bucketFields,
  grant: words({
    id: id64.meta({ description: "The same grant twice on one bucket is one grant." }),
    units: z.int().min(1),
    durationMs: z.int().min(1).max(MAX_DURATION_MS),
  }),
  reason: reason.optional(),
}).meta({ id: "Grant" });
export const revokeSchema = words({
  ...bucketFields,
  id: id64.meta({ description: "The grant's id." }),
  reason: reason.optional(),
}).meta({ id: "Revoke" });
export const resetSchema = words({ ...bucketFields, reason: reason.optional() }).meta({ id: "Reset" });

export type CallBody = z.infer<typeof callBodySchema>;
export type ConsumeBody = z.infer<typeof consumeSchema>;
export type ReserveBody = z.infer<typeof reserveSchema>;
export type HoldBody = z.infer<typeof releaseSchema>;
export type SettleBody = z.infer<typeof settleSchema>;
export type ExtendBody = z.infer<typeof extendSchema>;
export type ReportBody = z.infer<typeof reportSchema>;
export type EndBody = z.infer<typeof endSchema>;
export type GrantBody = z.infer<typeof grantSchema>;
export type RevokeBody = z.infer<typeof revokeSchema>;
export type ResetBody = z.infer<typeof resetSchema>;

function isDeep(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => isDeep(inner, left - 1));
}
