// What goes over the wire: one schema for each request and answer, from which the OpenAPI document is made, too.
// Whether a policy knows a dimension or a unit, the limiter says.

import { z } from "zod";
import type { BucketDimensions, Call, Cost } from "../kernel/call.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { MISUSE_CODES } from "../kernel/errors.ts";
import { MAX_LEASE_MS } from "../kernel/policy-schema.ts";
import { LONGEST_WAIT_MS } from "../limiter.ts";
import { STORE_ERROR_CODES } from "../store-error.ts";
import { PROBLEM_CODES } from "./problems.ts";

/** An object of a request: words that it does not know are refused with those that it knows. */
export function words<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = `only ${Object.keys(shape).join(", ")}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? known : undefined) });
}

const distanceMs = z.int().min(0);
const dimensionValue = z.union([z.string().min(1), z.int()], { error: "a text that is not empty, or a whole number" });
const units = z.int().min(0);
/** How deep what is hashed may be: deeper than what says something, and harmless for what walks through it. */
const MAX_DEPTH = 64;
const anything = z.unknown().refine((value) => !isDeep(value, MAX_DEPTH), `at most ${MAX_DEPTH} levels`);
const cost = z.record(z.string(), units).meta({ description: "Units by name, such as { tokens: 4000 }." });
const leaseMs = z.int().min(1).max(MAX_LEASE_MS).meta({ description: "How long the hold lives." });
const holdId = z.string().regex(/^[\w-]{1,64}$/, { error: "1 to 64 letters, digits, _ or -" });

const whose = {
  tenant: dimensionValue.optional(),
  user: dimensionValue.optional(),
  session: dimensionValue.optional(),
  turn: dimensionValue.optional(),
  agent: dimensionValue.optional(),
  model: dimensionValue.optional(),
};
const callWords = {
  tool: dimensionValue,
  ...whose,
  toolCallId: z.string().optional().meta({ description: "The model's id of the tool call: a label." }),
  args: anything.optional().meta({ description: "What the tool is called with. Only its hash is used." }),
  cost: cost.optional(),
  idempotencyKey: z.string().min(1).optional().meta({ description: "As the header Idempotency-Key." }),
};

/** A call. Further keys are dimensions of the policy's own. */
export const callSchema = z.object(callWords).catchall(dimensionValue).meta({ id: "Call" });

const maxWaitMs = z
  .int()
  .min(0)
  .max(LONGEST_WAIT_MS)
  .optional()
  .meta({ description: "How long the call may wait until it is allowed. The service has a bound of its own." });

export const consumeSchema = z
  .object({ ...callWords, maxWaitMs })
  .catchall(dimensionValue)
  .meta({ id: "Consume" });
/** Of a batch, which waits for none of its items. */
export const consumeItemSchema = z.object({ ...callWords, maxWaitMs: z.never().optional() }).catchall(dimensionValue);
export const reserveSchema = z
  .object({ ...callWords, leaseMs: leaseMs.optional(), maxWaitMs })
  .catchall(dimensionValue)
  .meta({ id: "Reserve" });
/** Of a batch, likewise. */
export const reserveItemSchema = z
  .object({ ...callWords, leaseMs: leaseMs.optional(), maxWaitMs: z.never().optional() })
  .catchall(dimensionValue);
export const settleSchema = words({
  hold: holdId,
  call: callSchema,
  cost: cost.optional(),
  failed: z.boolean().optional().meta({
    description: "Of a call that was begun: it has failed. Units that `cost` does not name take what `onError` says.",
  }),
}).meta({ id: "Settle" });
export const releaseSchema = words({ hold: holdId, call: callSchema }).meta({ id: "Release" });
export const extendSchema = words({ hold: holdId, call: callSchema, leaseMs: leaseMs.optional() }).meta({
  id: "Extend",
});
export const reportSchema = words({
  call: callSchema,
  outcome: z.union(
    [
      z.strictObject({ error: z.literal(true) }).meta({ description: "The call failed." }),
      z.strictObject({ result: anything }).meta({ description: "Its result, of which only a hash is kept." }),
    ],
    { error: '{ "error": true } or { "result": … }' },
  ),
}).meta({ id: "Report" });

/** Whose buckets, in a query: `args` as JSON, and dimensions of the policy's own by their names. */
export const usageQuerySchema = z
  .object(
    Object.fromEntries(
      ["tenant", "user", "session", "turn", "agent", "model", "tool", "group", "args"].map((name) => [
        name,
        z.string().min(1).optional(),
      ]),
    ),
  )
  .catchall(z.string().min(1));

const bucketWords = {
  limit: z.string().min(1).max(64).meta({ description: "The limit's name." }),
  dimensions: z
    .object({
      ...whose,
      tool: dimensionValue.optional(),
      group: dimensionValue.optional(),
      args: anything.optional(),
    })
    .catchall(dimensionValue)
    .meta({ description: "All of the limit's dimensions." }),
};
const reason = z.string().min(1).max(500).meta({ description: "Why, for the audit log." });

export const grantSchema = words({
  ...bucketWords,
  grant: words({
    id: holdId.meta({ description: "The same id twice on one bucket is one grant." }),
    units: z.int().min(1),
    lastsMs: z.int().min(1).max(MAX_DURATION_MS),
    reason,
  }),
}).meta({ id: "Grant" });
export const revokeSchema = words({
  ...bucketWords,
  id: holdId.meta({ description: "The grant's id." }),
  reason: reason.optional(),
}).meta({ id: "Revoke" });
export const resetSchema = words({ ...bucketWords, reason: reason.optional() }).meta({ id: "Reset" });

const unitsOrNone = units.nullable().meta({ description: "`null`: unlimited." });
const retryAfterMs = z.int().min(1).max(2_147_483_647).nullable().meta({ description: "`null`: do not wait." });

const verdictSchema = z
  .strictObject({
    limit: z.string(),
    allowed: z.boolean().meta({ description: "Whether this limit lets the call pass." }),
    exceeded: z
      .boolean()
      .meta({ description: "Whether the call did not fit, also where the limit only warns or counts." }),
    mode: z.enum(["enforce", "warn", "shadow"]),
    unit: z.string(),
    cost: units,
    quota: unitsOrNone,
    capacity: unitsOrNone.meta({ description: "Most units at once. `null`: unlimited." }),
    remaining: unitsOrNone,
    windowMs: distanceMs.nullable().meta({ description: "`null`: the window has no fixed length." }),
    resetAfterMs: distanceMs,
    retryAfterMs,
  })
  .meta({ id: "Verdict" });

const decisionWords = {
  allowed: z.boolean(),
  verdicts: z.array(verdictSchema),
  deniedBy: z.string().nullable().meta({ description: "The limit that keeps a denied call waiting longest." }),
  retryAfterMs,
  message: z.string().nullable().meta({ description: "What to tell the model when denied." }),
  detail: z.string().nullable().meta({ description: "What to tell programs and people when denied." }),
  notice: z.string().nullable().meta({ description: "What to tell the model when little is left." }),
  degraded: z.strictObject({ reason: z.string(), maxOvershoot: units.nullable() }).nullable(),
  replayed: z.boolean(),
  decidedAtMs: z.int(),
};

/** A decision is a value: a denied one is an answer like any other. */
export const decisionSchema = z.strictObject(decisionWords).meta({ id: "Decision" });
export const reservedSchema = z
  .strictObject({ ...decisionWords, hold: z.string().nullable().meta({ description: "`null` when denied." }) })
  .meta({ id: "Reserved" });

export const begunSchema = z
  .strictObject({
    ...decisionWords,
    hold: z.string().nullable().meta({ description: "Ends the call: settle it. `null` when denied." }),
    held: z.array(z.string()).meta({ description: "Units of which some are held." }),
    units: z.array(z.string()).meta({ description: "Units that some limit of the policy counts." }),
    leaseMs: distanceMs
      .nullable()
      .meta({ description: "Extend the hold within this time while the call runs. `null`: nothing is held." }),
    maxHoldMs: distanceMs.meta({ description: "Extend the hold for no longer than this, then settle it." }),
    reports: z.boolean().meta({ description: "Whether some limit counts outcomes: report what came of the call." }),
  })
  .meta({ id: "Begun" });

const usageWords = {
  limit: z.string(),
  dimensions: z.record(z.string(), z.string()),
  unit: z.string(),
  quota: unitsOrNone,
  capacity: unitsOrNone.meta({ description: "Most units at once. `null`: unlimited." }),
  granted: units.meta({ description: "Units on top of the quota, until grants end." }),
  used: units,
  remaining: unitsOrNone,
  resetAfterMs: distanceMs,
};
export const usageSchema = z.strictObject(usageWords).meta({ id: "Usage" });
export const bucketUsageSchema = z
  .strictObject({
    ...usageWords,
    grants: z
      .array(z.strictObject({ id: z.string(), units, endsInMs: distanceMs }))
      .meta({ description: "What `granted` is made of, the first that ends first." }),
  })
  .meta({ id: "BucketUsage" });
export const usagesSchema = z.strictObject({ usages: z.array(bucketUsageSchema) }).meta({ id: "Usages" });
const shownUsage = bucketUsageSchema.nullable().meta({ description: "`null`: the limit does not apply to them." });
export const touchedSchema = z.strictObject({ usage: shownUsage }).meta({ id: "Touched" });
export const revokedSchema = z
  .strictObject({
    revoked: z.boolean().meta({ description: "`false`: there was no such grant, or it had ended." }),
    after: shownUsage,
  })
  .meta({ id: "Revoked" });
export const emptiedSchema = z.strictObject({ before: shownUsage, after: shownUsage }).meta({ id: "Emptied" });
export const settlementSchema = z
  .strictObject({
    status: z.enum(["settled", "late", "unknown-hold"]),
    replayed: z.boolean(),
    usages: z.array(usageSchema),
  })
  .meta({ id: "Settlement" });
export const extendedSchema = z
  .strictObject({ extended: z.boolean().meta({ description: "`false`: the hold has expired." }) })
  .meta({ id: "Extended" });
export const policyAnswerSchema = z
  .strictObject({ version: z.string(), source: z.string().meta({ description: "As it was written." }) })
  .meta({ id: "PolicyAnswer" });
export const healthSchema = z.strictObject({ status: z.literal("up") }).meta({ id: "Health" });
export const readySchema = z
  .strictObject({
    status: z.enum(["ready", "degraded", "away", "stopping"]),
    reason: z.string().nullable().meta({ description: "The store's error code." }),
    awayMs: distanceMs.nullable(),
  })
  .meta({ id: "Readiness" });

const CODES = [...new Set([...PROBLEM_CODES, ...MISUSE_CODES, ...STORE_ERROR_CODES])].sort();

/** RFC 9457, with the words of a misuse. */
export const problemSchema = z
  .strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: `One of ${CODES.join(", ")}.` }),
    detail: z.string().meta({ description: "The first fault: where, what was expected, and what was there." }),
    faults: z.array(z.strictObject({ path: z.string(), expected: z.string(), got: z.string() })).optional(),
  })
  .meta({ id: "Problem" });

export type ConsumeBody = Call & { readonly maxWaitMs?: number | undefined };
export type ReserveBody = ConsumeBody & { readonly leaseMs?: number | undefined };
export interface HoldBody {
  readonly hold: string;
  readonly call: Call;
}
export type SettleBody = HoldBody & { readonly cost?: Cost | undefined; readonly failed?: boolean | undefined };
export type ExtendBody = HoldBody & { readonly leaseMs?: number | undefined };
export interface ReportBody {
  readonly call: Call;
  readonly outcome: { readonly error: true } | { readonly result: unknown };
}
export interface BucketBody {
  readonly limit: string;
  readonly dimensions: BucketDimensions;
}
export type GrantBody = BucketBody & {
  readonly grant: { readonly id: string; readonly units: number; readonly lastsMs: number; readonly reason: string };
};
export type RevokeBody = BucketBody & { readonly id: string; readonly reason?: string | undefined };
export type ResetBody = BucketBody & { readonly reason?: string | undefined };

function isDeep(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => isDeep(inner, left - 1));
}
