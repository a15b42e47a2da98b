// What goes over the wire: one schema for each request and answer, from which the OpenAPI document is made, too.
// Whether a policy knows a dimension or a unit, the limiter says.

import { z } from "zod";
import type { BucketDimensions, Call, Cost } from "../kernel/call.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema-values.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";
import { PROBLEM_CODES } from "./problem-table.ts";

/** An object of a request: words that it does not know are refused with those that it knows. */
export function words<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = `only ${Object.keys(shape).join(", ")}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? known : undefined) });
}

/** A page of a list. */
function listOf<Item extends z.ZodType>(item: Item) {
  const nextCursor = z.string().nullable().meta({ description: "Asks for the next page. `null`: this is the last." });
  return z.strictObject({ items: z.array(item), nextCursor });
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

const maxWaitMs = z.int().min(0).optional().meta({
  description: "How long the call may wait until it is allowed, at most the bound of the service (30,000 unless set).",
});

const claimed = z.union([units, z.literal("unlimited")], { error: "a whole number from 0, or unlimited" });
const quotas = z.record(z.string(), claimed).optional().meta({
  description: "Quotas by the name of a limit with `quota: { from: call }`. The key needs the scope `quotas`.",
});

export const consumeSchema = words({ call: callSchema, quotas, maxWaitMs }).meta({ id: "Consume" });
/** Of a batch, which waits for none of its items. */
export const consumeItemSchema = words({ call: callSchema, quotas });
/** Of a call alone. */
export const callBodySchema = words({ call: callSchema, quotas }).meta({ id: "CallBody" });
export const reserveSchema = words({ call: callSchema, quotas, leaseMs: leaseMs.optional(), maxWaitMs }).meta({
  id: "Reserve",
});
/** Of a batch, likewise. */
export const reserveItemSchema = words({ call: callSchema, quotas, leaseMs: leaseMs.optional() });

const usage = cost.optional().meta({ description: "What the call used, by unit, such as { tokens: 3127 }." });
const outcome = {
  error: z.literal(true).optional().meta({ description: "The call failed." }),
  result: anything.optional().meta({ description: "What the call returned, of which only a hash is kept." }),
};

export const settleSchema = words({
  holdId,
  call: callSchema,
  quotas,
  usage,
  failed: z.boolean().optional().meta({
    description:
      "Of a call that was begun, and whose outcome is not reported: units that `usage` does not name take what `onError` says.",
  }),
}).meta({ id: "Settle" });
export const releaseSchema = words({ holdId, call: callSchema, quotas }).meta({ id: "Release" });
export const extendSchema = words({ holdId, call: callSchema, quotas, leaseMs: leaseMs.optional() }).meta({
  id: "Extend",
});
export const reportSchema = words({ call: callSchema, ...outcome }).meta({
  id: "Report",
  description: "What came of a call: either `error` or `result`.",
});
export const endSchema = words({ holdId, call: callSchema, quotas, usage, ...outcome }).meta({
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
      ...["tenant", "user", "session", "turn", "agent", "model", "tool", "group", "args"].map((name) => [
        name,
        queryText,
      ]),
      ["asTenant", queryText.meta({ description: "Answers as to a key that is bound to this tenant." })],
      ["cursor", queryText.meta({ description: "Where the page begins: `nextCursor` of the page before." })],
      ["pageSize", queryText.meta({ description: `Most items of a page, 1 to ${MAX_PAGE}. Default: ${MAX_PAGE}.` })],
    ]),
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
    .meta({ description: "All of the limit's dimensions, and no other." }),
  asTenant: z.string().min(1).optional().meta({
    description: "Names the bucket as a key does that is bound to this tenant.",
  }),
};
const reason = z.string().min(1).max(500).meta({ description: "Why, for the audit log." });

export const grantSchema = words({
  ...bucketWords,
  grant: words({
    id: holdId.meta({ description: "The same grant twice on one bucket is one grant." }),
    units: z.int().min(1),
    durationMs: z.int().min(1).max(MAX_DURATION_MS),
  }),
  reason: reason.optional(),
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
  .strictObject({ ...decisionWords, holdId: z.string().nullable().meta({ description: "`null` when denied." }) })
  .meta({ id: "Reserved" });

export const begunSchema = z
  .strictObject({
    ...decisionWords,
    holdId: z.string().nullable().meta({ description: "Ends the call. `null` when denied." }),
    heldUnits: z.array(z.string()).meta({ description: "Units of which some are held." }),
    units: z.array(z.string()).meta({ description: "Units that some limit of the policy counts." }),
    leaseMs: distanceMs
      .nullable()
      .meta({ description: "Extend the hold within this time while the call runs. `null`: nothing is held." }),
    maxHoldMs: distanceMs.meta({ description: "Extend the hold for no longer than this, then settle it." }),
    wantsOutcome: z
      .boolean()
      .meta({ description: "Whether some limit counts outcomes: end the call with `error` or `result`." }),
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
export const usagesSchema = listOf(bucketUsageSchema).meta({ id: "Usages" });
const shownUsage = bucketUsageSchema.nullable().meta({ description: "`null`: the limit does not apply to them." });
export const grantedSchema = z.strictObject({ after: shownUsage }).meta({ id: "Granted" });
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

/** RFC 9457, with the words of a misuse. */
export const problemSchema = z
  .strictObject({
    type: z.string().meta({ description: "The page of the problem, as a path with a fragment: /problems#<code>." }),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: `One of ${PROBLEM_CODES.toSorted().join(", ")}.` }),
    detail: z.string().meta({ description: "The first fault: where, what was expected, and what was there." }),
    faults: z
      .array(
        z.strictObject({
          path: z.string(),
          expected: z.string(),
          got: z.string(),
          hint: z.string().optional().meta({ description: "What was probably meant, or what to do." }),
        }),
      )
      .optional(),
  })
  .meta({ id: "Problem" });

export interface CallBody {
  readonly call: Call;
  readonly quotas?: ClaimedQuotas | undefined;
}
export interface ConsumeBody extends CallBody {
  readonly maxWaitMs?: number | undefined;
}
export interface ReserveBody extends ConsumeBody {
  readonly leaseMs?: number | undefined;
}
export interface HoldBody extends CallBody {
  readonly holdId: string;
}
export interface SettleBody extends HoldBody {
  readonly usage?: Cost | undefined;
  readonly failed?: boolean | undefined;
}
export interface ExtendBody extends HoldBody {
  readonly leaseMs?: number | undefined;
}
export interface OutcomeWords {
  readonly error?: true | undefined;
  readonly result?: unknown;
}
export type ReportBody = CallBody & OutcomeWords;
export type EndBody = HoldBody & OutcomeWords & { readonly usage?: Cost | undefined };
export interface BucketBody {
  readonly limit: string;
  readonly dimensions: BucketDimensions;
  readonly asTenant?: string | undefined;
}
export type GrantBody = BucketBody & {
  readonly grant: { readonly id: string; readonly units: number; readonly durationMs: number };
  readonly reason?: string | undefined;
};
export type RevokeBody = BucketBody & { readonly id: string; readonly reason?: string | undefined };
export type ResetBody = BucketBody & { readonly reason?: string | undefined };

function isDeep(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => isDeep(inner, left - 1));
}
