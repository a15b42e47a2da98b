// The schemas of answers. The OpenAPI document is made from them, and the client checks answers by them. They ignore unknown
// fields: a later service may send more.

import { z } from "zod";
import type { Decision } from "../kernel/decision.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema-values.ts";
import { PROBLEM_CODES } from "./problem-table.ts";
import { id64, units } from "./requests.ts";

function listOf<Item extends z.ZodType>(item: Item) {
  const nextCursor = z.string().nullable().meta({ description: "Asks for the next page. `null`: this is the last." });
  return z.object({ items: z.array(item), nextCursor });
}

const distanceMs = z.int().min(0);
const unitsOrNone = units.nullable().meta({ description: "`null`: unlimited." });
const retryAfterMs = z.int().min(1).max(2_147_483_647).nullable().meta({ description: "`null`: do not wait." });

const AGREE = { error: "fields that agree with each other" };

/** Whether an unlimited bucket has no numbers, and any other bucket all of them. */
const isCounted = ({ quota, ...numbers }: Record<"quota" | "capacity" | "remaining", number | null>) => {
  return [numbers.capacity, numbers.remaining].every((number) => (number === null) === (quota === null));
};

const verdictSchema = z
  .object({
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
  .refine(isCounted, AGREE)
  .meta({ id: "Verdict" });

const decisionFields = {
  allowed: z.boolean(),
  verdicts: z.array(verdictSchema),
  deniedBy: z.string().nullable().meta({ description: "The limit that keeps a denied call waiting longest." }),
  retryAfterMs,
  message: z.string().nullable().meta({ description: "What to tell the model when denied." }),
  detail: z.string().nullable().meta({ description: "What to tell programs and people when denied." }),
  notice: z.string().nullable().meta({ description: "What to tell the model when little is left." }),
  degraded: z.object({ reason: z.string(), maxOvershoot: units.nullable() }).nullable(),
  replayed: z.boolean(),
  decidedAtMs: z.int().min(0),
};

type Decided = Pick<Decision, "allowed" | "deniedBy" | "message" | "detail">;

/** Whether a denied call has its limit and its texts, and an allowed call none of them. */
const isDecided = ({ allowed, deniedBy, message, detail }: Decided) =>
  [deniedBy, message, detail].every((text) => (text === null) === allowed);

/** A decision is a value: a denied one is an answer like any other. */
export const decisionSchema = z.object(decisionFields).refine(isDecided, AGREE).meta({ id: "Decision" });

const heldFields = {
  ...decisionFields,
  holdId: id64.nullable().meta({ description: "Ends the call. `null` when denied." }),
};
/** Whether an allowed call has a hold, and a denied call none. */
const isHeld = (held: Decided & { readonly holdId: string | null }) =>
  isDecided(held) && (held.holdId !== null) === held.allowed;

export const reservedSchema = z.object(heldFields).refine(isHeld, AGREE).meta({ id: "Reserved" });

const runFields = {
  heldUnits: z.array(z.string()).meta({ description: "Units of which some are held." }),
  units: z.array(z.string()).meta({ description: "Units that some limit of the policy counts." }),
  leaseMs: z
    .int()
    .min(1)
    .max(MAX_LEASE_MS)
    .nullable()
    .meta({ description: "Extend the hold within this time while the call runs. `null`: nothing is held." }),
  maxHoldMs: z.int().min(1).meta({ description: "Extend the hold for no longer than this, then settle it." }),
  wantsOutcome: z
    .boolean()
    .meta({ description: "Whether some limit counts outcomes: end the call with `error` or `result`." }),
};
/** How a call that has started is run: what `begin` answers beside the decision and the hold. */
export type RunFacts = Readonly<z.infer<z.ZodObject<typeof runFields>>>;

/** What `begin` answers beside the decision. */
export interface BegunAnswer extends RunFacts {
  readonly holdId: string | null;
}

type Running = Omit<RunFacts, "units" | "heldUnits"> & Readonly<Record<"units" | "heldUnits", Iterable<string>>>;

export function runFactsOf({ heldUnits, units, leaseMs, maxHoldMs, wantsOutcome }: Running): RunFacts {
  return { heldUnits: [...heldUnits], units: [...units], leaseMs, maxHoldMs, wantsOutcome };
}

export const begunSchema = z
  .object({ ...heldFields, ...runFields })
  .refine(isHeld, AGREE)
  .meta({ id: "Begun" });

const usageFields = {
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
const usageSchema = z.object(usageFields).refine(isCounted, AGREE).meta({ id: "Usage" });
const bucketUsageSchema = z
  .object({
    ...usageFields,
    grants: z
      .array(z.object({ id: z.string(), units, endsInMs: distanceMs }))
      .meta({ description: "What `granted` is made of, the first that ends first." }),
  })
  .refine(isCounted, AGREE)
  .meta({ id: "BucketUsage" });
export const usagesSchema = listOf(bucketUsageSchema).meta({ id: "Usages" });
export const grantedSchema = z.object({ after: bucketUsageSchema }).meta({ id: "Granted" });
export const revokedSchema = z
  .object({
    revoked: z.boolean().meta({ description: "`false`: there was no such grant, or it had ended." }),
    after: bucketUsageSchema,
  })
  .meta({ id: "Revoked" });
export const emptiedSchema = z.object({ before: bucketUsageSchema, after: bucketUsageSchema }).meta({ id: "Emptied" });
export const settlementSchema = z
  .object({
    status: z.enum(["settled", "late", "unknown-hold"]),
    replayed: z.boolean(),
    usages: z.array(usageSchema),
  })
  .meta({ id: "Settlement" });
export const extendedSchema = z
  .object({ extended: z.boolean().meta({ description: "`false`: the hold has expired." }) })
  .meta({ id: "Extended" });
export const policyAnswerSchema = z
  .object({ version: z.string(), source: z.string().meta({ description: "As it was written." }) })
  .meta({ id: "PolicyAnswer" });
export const healthSchema = z.object({ status: z.literal("up") }).meta({ id: "Health" });
export const readySchema = z
  .object({
    status: z.enum(["ready", "degraded", "away", "stopping"]),
    reason: z.string().nullable().meta({ description: "The store's error code." }),
    awayMs: distanceMs.nullable(),
  })
  .meta({ id: "Readiness" });

/** RFC 9457, with the words of a misuse. */
export const problemSchema = z
  .object({
    type: z.string().meta({ description: "The page of the problem, as a path with a fragment: /problems#<code>." }),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: `One of ${PROBLEM_CODES.toSorted().join(", ")}.` }),
    detail: z.string().meta({ description: "The first fault: where, what was expected, and what was there." }),
    faults: z
      .array(
        z.object({
          path: z.string(),
          expected: z.string(),
          got: z.string(),
          hint: z.string().optional().meta({ description: "What was probably meant, or what to do." }),
        }),
      )
      .optional(),
  })
  .meta({ id: "Problem" });
