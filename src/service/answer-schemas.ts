// The schemas of answers, from which the OpenAPI document is made.

import { z } from "zod";
import { PROBLEM_CODES } from "./problem-table.ts";
import { units } from "./request-schemas.ts";

/** A page of a list. */
function listOf<Item extends z.ZodType>(item: Item) {
  const nextCursor = z.string().nullable().meta({ description: "Asks for the next page. `null`: this is the last." });
  return z.strictObject({ items: z.array(item), nextCursor });
}

const distanceMs = z.int().min(0);
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
