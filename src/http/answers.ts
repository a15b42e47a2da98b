// The schemas of answers. The OpenAPI document is made from them, and the client checks answers by them. They ignore unknown
// fields: a later service may send more.

import * as v from "valibot";
import type { Decision } from "../kernel/decision.ts";
import type { Output, Schema } from "../kernel/policy/schema-kinds.ts";
import { oneOf } from "../kernel/policy/schema-parts.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema-values.ts";
import { PROBLEM_CODES } from "./problem-table.ts";
import { id64, units } from "./requests.ts";
import { described, listOf, mapTo, named, open, text, truth, whole } from "./schema-parts.ts";

function pageOf<Item extends Schema>(item: Item) {
  const nextCursor = described(v.nullable(text), "Asks for the next page. `null`: this is the last.");
  return open({ items: listOf(item), nextCursor });
}

const distanceMs = whole(0);
export const unitsOrNone = described(v.nullable(units), "`null`: unlimited.");
const retryAfterMs = described(v.nullable(whole(1, 2_147_483_647)), "`null`: do not wait.");

/** An object whose fields must agree with each other. */
function agreeing<Of extends Schema>(schema: Of, agree: (value: Output<Of>) => boolean): Of {
  return v.pipe(schema as Schema, v.check(agree as () => boolean, "fields that agree with each other")) as Schema as Of;
}

/** Whether an unlimited bucket has no numbers, and any other bucket all of them. */
const isCounted = ({ quota, ...numbers }: Record<"quota" | "capacity" | "remaining", number | null>) => {
  return [numbers.capacity, numbers.remaining].every((number) => (number === null) === (quota === null));
};

const verdictSchema = named(
  "Verdict",
  agreeing(
    open({
      limit: text,
      allowed: described(truth, "Whether this limit lets the call pass."),
      exceeded: described(truth, "Whether the call did not fit, also where the limit only warns or counts."),
      mode: oneOf("enforce", "warn", "shadow"),
      unit: text,
      cost: units,
      quota: unitsOrNone,
      capacity: described(unitsOrNone, "Most units at once. `null`: unlimited."),
      granted: v.optional(described(units, "Units granted on top of the capacity. Absent: none.")),
      remaining: unitsOrNone,
      windowMs: described(v.nullable(distanceMs), "`null`: the window has no fixed length."),
      resetAfterMs: distanceMs,
      retryAfterMs,
    }),
    isCounted,
  ),
);

const textOrNone = v.nullable(text);
const decisionFields = {
  allowed: truth,
  verdicts: listOf(verdictSchema),
  deniedBy: described(textOrNone, "The limit that keeps a denied call waiting longest."),
  retryAfterMs,
  message: described(textOrNone, "What to tell the model when denied."),
  detail: described(textOrNone, "What to tell programs and people when denied."),
  notice: described(textOrNone, "What to tell the model when little is left."),
  degraded: v.nullable(open({ reason: text, maxOvershoot: v.nullable(units) })),
  replayed: truth,
  decidedAtMs: whole(0),
  id: described(v.optional(text), "Its entry in the decision log. Absent: the service has none."),
};

type Decided = Pick<Decision, "allowed" | "deniedBy" | "message" | "detail">;

/** Whether a denied call has its limit and its texts, and an allowed call none of them. */
const isDecided = ({ allowed, deniedBy, message, detail }: Decided) =>
  [deniedBy, message, detail].every((text) => (text === null) === allowed);

/** A decision is a value: a denied one is an answer like any other. */
export const decisionSchema = named("Decision", agreeing(open(decisionFields), isDecided));

const heldFields = {
  ...decisionFields,
  holdId: described(v.nullable(id64), "Ends the call. `null` when denied."),
};
/** Whether an allowed call has a hold, and a denied call none. */
const isHeld = (held: Decided & { readonly holdId: string | null }) =>
  isDecided(held) && (held.holdId !== null) === held.allowed;

export const reservedSchema = named("Reserved", agreeing(open(heldFields), isHeld));

const runSchema = open({
  heldUnits: described(listOf(text), "Units of which some are held."),
  units: described(listOf(text), "Units that some limit of the policy counts."),
  leaseMs: described(
    v.nullable(whole(1, MAX_LEASE_MS)),
    "Extend the hold within this time while the call runs. `null`: nothing is held.",
  ),
  maxHoldMs: described(whole(1), "Extend the hold for no longer than this, then settle it."),
  wantsOutcome: described(truth, "Whether some limit counts outcomes: end the call with `error` or `result`."),
});
/** How a call that has started is run: what `begin` answers beside the decision and the hold. */
export type RunFacts = Readonly<Output<typeof runSchema>>;

/** What `begin` answers beside the decision. */
export interface BegunAnswer extends RunFacts {
  readonly holdId: string | null;
}

type Running = Omit<RunFacts, "units" | "heldUnits"> & Readonly<Record<"units" | "heldUnits", Iterable<string>>>;

export function runFactsOf({ heldUnits, units, leaseMs, maxHoldMs, wantsOutcome }: Running): RunFacts {
  return { heldUnits: [...heldUnits], units: [...units], leaseMs, maxHoldMs, wantsOutcome };
}

export const begunSchema = named("Begun", agreeing(open({ ...heldFields, ...runSchema.entries }), isHeld));

const usageFields = {
  limit: text,
  dimensions: mapTo(text, "an object of texts"),
  unit: text,
  quota: unitsOrNone,
  capacity: described(unitsOrNone, "Most units at once. `null`: unlimited."),
  granted: described(units, "Units on top of the quota, until grants end; 0 while the quota is 0."),
  used: units,
  remaining: unitsOrNone,
  resetAfterMs: distanceMs,
};
const usageSchema = named("Usage", agreeing(open(usageFields), isCounted));
const grants = listOf(open({ id: text, units, endsInMs: distanceMs }));
const bucketUsageSchema = named(
  "BucketUsage",
  agreeing(
    open({
      ...usageFields,
      grants: described(grants, "What `granted` is made of while the quota is above 0, the first that ends first."),
    }),
    isCounted,
  ),
);
export const usagesSchema = named("Usages", pageOf(bucketUsageSchema));
export const grantedSchema = named("Granted", open({ after: bucketUsageSchema }));
export const revokedSchema = named(
  "Revoked",
  open({
    revoked: described(truth, "`false`: there was no such grant, or it had ended."),
    after: bucketUsageSchema,
  }),
);
export const emptiedSchema = named("Emptied", open({ before: bucketUsageSchema, after: bucketUsageSchema }));
export const settlementSchema = named(
  "Settlement",
  open({ status: oneOf("settled", "late", "unknown-hold"), replayed: truth, usages: listOf(usageSchema) }),
);
export const extendedSchema = named("Extended", open({ extended: described(truth, "`false`: the hold has expired.") }));
export const policyAnswerSchema = named(
  "PolicyAnswer",
  open({ version: text, source: described(text, "As it was written.") }),
);
export const healthSchema = named("Health", open({ status: oneOf("up") }));
export const readySchema = named(
  "Readiness",
  open({
    status: oneOf("ready", "degraded", "away", "stopping"),
    reason: described(textOrNone, "The store's error code."),
    awayMs: v.nullable(distanceMs),
  }),
);

const faultSchema = open({
  path: text,
  expected: text,
  got: text,
  hint: described(v.optional(text), "What was probably meant, or what to do."),
  line: described(v.optional(whole(1)), "Of a policy: where it stands."),
  column: v.optional(whole(1)),
});

/** RFC 9457, with the words of a misuse. */
export const problemSchema = named(
  "Problem",
  open({
    type: described(text, "The page of the problem, as a path with a fragment: /problems#<code>."),
    title: text,
    status: whole(),
    code: described(text, `One of ${PROBLEM_CODES.toSorted().join(", ")}.`),
    detail: described(text, "The first fault: where, what was expected, and what was there."),
    faults: v.optional(listOf(faultSchema)),
  }),
);
