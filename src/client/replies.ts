// The answers of the service, and their checks. Any other answer throws `invalid-reply`, and none of it is used. Unknown fields are
// ignored: a later service may have more.

import type { BucketUsage, Decision, Verdict } from "../kernel/decision.ts";
import { formatGot } from "../kernel/errors.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema-values.ts";
import type { Reset, Revoked } from "../limiter/grant.ts";
import type { Settlement } from "../limiter/settle.ts";
import { isCount, isTime } from "../store/check.ts";
import { invalidReply } from "./problems.ts";

/** Returns the fault of a value, or `null`. */
type Check = (value: unknown, path: string) => string | null;

const check =
  (expected: string, isValid: (value: unknown) => boolean): Check =>
  (value, path) =>
    isValid(value) ? null : `${path}: expected ${expected}, got ${formatGot(value)}`;

const isBoolean = check("true or false", (value) => typeof value === "boolean");
const isText = check("a text", (value) => typeof value === "string");
const isWhole = check("a whole number from 0 to 2^53 - 1", isCount);
const isInstant = check("whole milliseconds since 1970", isTime);
const isHoldId = check("a hold's id", (value) => typeof value === "string" && /^[\w-]{1,64}$/.test(value));
const isLease = check(
  `a whole number from 1 to ${MAX_LEASE_MS}`,
  (value) => isCount(value) && value >= 1 && value <= MAX_LEASE_MS,
);
const oneOf = (...values: readonly unknown[]) => {
  return check(`one of ${values.join(", ")}`, (value) => values.includes(value));
};
const orNull =
  (of: Check): Check =>
  (value, path) =>
    value === null ? null : of(value, path);
const listOf =
  (of: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) return `${path}: expected a list, got ${formatGot(value)}`;
    return firstFault(value, (each, i) => of(each, `${path}[${i}]`));
  };

/** An object with at least these fields. */
function object<Name extends string>(fields: Readonly<Record<Name, Check>>): Check {
  const checks = Object.entries<Check>(fields);
  return (value, path) => {
    if (!isObject(value)) return `${path}: expected an object, got ${formatGot(value)}`;
    return firstFault(checks, ([name, of]) => {
      return of(Object.hasOwn(value, name) ? value[name] : undefined, `${path}.${name}`);
    });
  };
}

function firstFault<Each>(all: readonly Each[], faultOf: (each: Each, i: number) => string | null): string | null {
  for (let i = 0; i < all.length; i++) {
    const fault = faultOf(all[i] as Each, i);
    if (fault !== null) return fault;
  }
  return null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const both =
  (first: Check, second: Check): Check =>
  (value, path) =>
    first(value, path) ?? second(value, path);
/** An unlimited bucket has no numbers; any other has all of them. */
const isCounted: Check = (value, path) => {
  const { quota, ...others } = value as Pick<Verdict, "quota" | "capacity" | "remaining">;
  const of = quota === null ? oneOf(null) : isWhole;
  return firstFault(["capacity", "remaining"] as const, (name) => of(others[name], `${path}.${name}`));
};
const verdict = both(
  object({
    limit: isText,
    allowed: isBoolean,
    exceeded: isBoolean,
    mode: oneOf("enforce", "warn", "shadow"),
    unit: isText,
    cost: isWhole,
    quota: orNull(isWhole),
    capacity: orNull(isWhole),
    remaining: orNull(isWhole),
    windowMs: orNull(isWhole),
    resetAfterMs: isWhole,
    retryAfterMs: orNull(isWhole),
  }),
  isCounted,
);
const decisionFields = {
  allowed: isBoolean,
  verdicts: listOf(verdict),
  retryAfterMs: orNull(isWhole),
  notice: orNull(isText),
  degraded: orNull(object({ reason: isText, maxOvershoot: orNull(isWhole) })),
  replayed: isBoolean,
  decidedAtMs: isInstant,
};
/** A denied call has its limit and a message for the model; an allowed call has neither. */
const isDecided: Check = (value, path) => {
  const { allowed, ...fields } = value as Decision;
  const of = allowed ? oneOf(null) : isText;
  return firstFault(["deniedBy", "message", "detail"] as const, (name) => of(fields[name], `${path}.${name}`));
};
const decision = both(object(decisionFields), isDecided);
const runFields: Record<keyof RunFacts, Check> = {
  heldUnits: listOf(isText),
  units: listOf(isText),
  leaseMs: orNull(isLease),
  maxHoldMs: check("a whole number from 1", (value) => isCount(value) && value >= 1),
  wantsOutcome: isBoolean,
};
/** An allowed call has a hold; a denied call has none. */
const isHeld: Check = (value, path) => {
  const { allowed, holdId } = value as { readonly allowed: boolean; readonly holdId: unknown };
  return allowed ? isHoldId(holdId, `${path}.holdId`) : oneOf(null)(holdId, `${path}.holdId`);
};
const reserved = both(object({ ...decisionFields, holdId: orNull(isHoldId) }), isDecided);
const begun = both(object({ ...decisionFields, ...runFields, holdId: orNull(isHoldId) }), isDecided);
const areTexts: Check = (value, path) => {
  if (!isObject(value)) return `${path}: expected an object, got ${formatGot(value)}`;
  return firstFault(Object.entries(value), ([name, each]) => isText(each, `${path}.${name}`));
};
const usageFields = {
  limit: isText,
  dimensions: areTexts,
  unit: isText,
  quota: orNull(isWhole),
  capacity: orNull(isWhole),
  granted: isWhole,
  used: isWhole,
  remaining: orNull(isWhole),
  resetAfterMs: isWhole,
};
const usage = both(object(usageFields), isCounted);
const bucketUsage = both(
  object({
    ...usageFields,
    grants: listOf(object({ id: isText, units: isWhole, endsInMs: isWhole })),
  }),
  isCounted,
);
const settlement = object({
  status: oneOf("settled", "late", "unknown-hold"),
  replayed: isBoolean,
  usages: listOf(usage),
});

/** The answer to each operation. */
export interface Replies {
  readonly consume: Decision;
  readonly record: Decision;
  readonly peek: Decision;
  readonly reserve: Decision & Pick<StartedReply, "holdId">;
  readonly begin: Decision & StartedReply;
  readonly settle: Settlement;
  readonly release: Settlement;
  readonly extend: { readonly extended: boolean };
  readonly report: null;
  readonly end: Settlement;
  readonly usage: { readonly items: readonly BucketUsage[]; readonly nextCursor: string | null };
  readonly reset: Reset;
  readonly grant: { readonly after: BucketUsage };
  readonly revoke: Revoked;
}

const CHECKS: Readonly<Record<keyof Replies, Check>> = {
  consume: decision,
  record: decision,
  peek: decision,
  reserve: both(reserved, isHeld),
  begin: both(begun, isHeld),
  settle: settlement,
  release: settlement,
  extend: object({ extended: isBoolean }),
  report: oneOf(null),
  end: settlement,
  usage: object({ items: listOf(bucketUsage), nextCursor: orNull(isText) }),
  reset: object({ before: bucketUsage, after: bucketUsage }),
  grant: object({ after: bucketUsage }),
  revoke: object({ revoked: isBoolean, after: bucketUsage }),
};

/**
 * Validates the body of an answer to an operation.
 *
 * @throws StoreError `invalid-reply`
 */
export function replyTo<Op extends keyof Replies>(op: Op, body: unknown): Replies[Op] {
  const fault = CHECKS[op](body, op);
  if (fault !== null) throw invalidReply(`something else than an answer to ${op}: ${fault}`);
  return body as Replies[Op];
}

/** One answer of a batch. */
export interface ItemReply {
  readonly status: number;
  readonly body: unknown;
}

const item = object({
  status: check("an HTTP status", (value) => isCount(value) && value >= 200 && value < 600),
  body: () => null,
});

/**
 * Validates the answers of a batch.
 *
 * @throws StoreError `invalid-reply`
 */
export function itemsIn(body: unknown, count: number): readonly ItemReply[] {
  const items = isObject(body) ? body.items : undefined;
  const fault = listOf(item)(items, "items");
  if (fault !== null) throw invalidReply(`something else than a batch of answers: ${fault}`);
  const { length } = items as readonly unknown[];
  if (length !== count) throw invalidReply(`${length} items of a batch of ${count}`);
  return items as readonly ItemReply[];
}

/** How a call that has started is run. */
export interface RunFacts {
  /** Units of which some are held. */
  readonly heldUnits: readonly string[];
  /** Units that some limit of the policy counts. */
  readonly units: Iterable<string>;
  readonly leaseMs: number | null;
  readonly maxHoldMs: number;
  /** Whether some limit counts outcomes. */
  readonly wantsOutcome: boolean;
}

/** The service's answer to `begin`, beside the decision. */
export interface StartedReply extends RunFacts {
  readonly holdId: string | null;
}
