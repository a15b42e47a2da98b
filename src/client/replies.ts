// What the service may answer. An answer that is anything else is `invalid-reply`, and nothing of it goes further. Fields that
// are not known here are left alone: a later service may have more.

import type { Decision, Usage } from "../kernel/decision.ts";
import { MAX_LEASE_MS } from "../kernel/policy-schema.ts";
import type { Settlement } from "../limiter/hold.ts";
import type { About, HeldAnswer } from "./decide.ts";
import { invalidReply } from "./problems.ts";

type Check = (value: unknown) => boolean;

const isBoolean: Check = (value) => typeof value === "boolean";
const isText: Check = (value) => typeof value === "string";
const isWhole: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const isHoldId: Check = (value) => typeof value === "string" && /^[\w-]{1,64}$/.test(value);
const isLease: Check = (value) => isWhole(value) && Number(value) >= 1 && Number(value) <= MAX_LEASE_MS;
const oneOf = (...values: readonly unknown[]): Check => {
  return (value) => values.includes(value);
};
const orNull = (check: Check): Check => {
  return (value) => value === null || check(value);
};
const listOf = (check: Check): Check => {
  return (value) => Array.isArray(value) && value.every(check);
};

/** An object with at least these fields. */
function object<Name extends string>(fields: Readonly<Record<Name, Check>>): Check {
  const checks = Object.entries<Check>(fields);
  return (value) =>
    isObject(value) && checks.every(([name, check]) => check(Object.hasOwn(value, name) ? value[name] : undefined));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const verdict = object({
  limit: isText,
  allowed: isBoolean,
  shadow: isBoolean,
  unit: isText,
  cost: isWhole,
  quota: isWhole,
  remaining: isWhole,
  resetAfterMs: isWhole,
  retryAfterMs: orNull(isWhole),
  retryable: isBoolean,
});
const decisionFields = {
  allowed: isBoolean,
  verdicts: listOf(verdict),
  retryAfterMs: orNull(isWhole),
  message: orNull(isText),
  notice: orNull(isText),
  degraded: orNull(object({ reason: isText, worstCaseOver: orNull(isWhole) })),
  replayed: isBoolean,
  decidedAtMs: isWhole,
};
const decision = object(decisionFields);
const aboutFields: Record<keyof About, Check> = {
  held: listOf(isText),
  leaseMs: orNull(isLease),
  onError: oneOf("charge", "refund"),
  reports: isBoolean,
};
/** An allowed call has a hold, a denied one has none. */
const isHeld: Check = (value) => isObject(value) && value.allowed === isHoldId(value.hold);
const reserved = object({ ...decisionFields, hold: orNull(isHoldId) });
const begun = object({ ...decisionFields, ...aboutFields, hold: orNull(isHoldId) });
const usage = object({
  limit: isText,
  dimensions: (value) => isObject(value) && Object.values(value).every(isText),
  unit: isText,
  quota: isWhole,
  used: isWhole,
  remaining: isWhole,
  resetAfterMs: isWhole,
});
const settlement = object({
  late: isBoolean,
  problem: oneOf("hold-unknown", null),
  replayed: isBoolean,
  usages: listOf(usage),
});

/** What each of these asks for. */
export interface Replies {
  readonly consume: Decision;
  readonly record: Decision;
  readonly peek: Decision;
  readonly reserve: Decision & Pick<HeldAnswer, "hold">;
  readonly begin: Decision & HeldAnswer;
  readonly settle: Settlement;
  readonly release: Settlement;
  readonly extend: { readonly extended: boolean };
  readonly report: null;
  readonly usage: { readonly usages: readonly Usage[] };
  readonly reset: { readonly usage: Usage | null };
  readonly grant: { readonly usage: Usage | null };
}

const CHECKS: Readonly<Record<keyof Replies, Check>> = {
  consume: decision,
  record: decision,
  peek: decision,
  reserve: (value) => reserved(value) && isHeld(value),
  begin: (value) => begun(value) && isHeld(value),
  settle: settlement,
  release: settlement,
  extend: object({ extended: isBoolean }),
  report: (value) => value === null,
  usage: object({ usages: listOf(usage) }),
  reset: object({ usage: orNull(usage) }),
  grant: object({ usage: orNull(usage) }),
};

/**
 * The body of an answer, as what was asked for.
 *
 * @throws StoreError `invalid-reply`
 */
export function replyTo<Op extends keyof Replies>(op: Op, body: unknown): Replies[Op] {
  if (CHECKS[op](body)) return body as Replies[Op];
  throw invalidReply(`something else than an answer to ${op}`);
}

/** One answer of a batch. */
export interface ItemReply {
  readonly status: number;
  readonly body: unknown;
}

const item = object({
  status: (value) => isWhole(value) && Number(value) >= 200 && Number(value) < 600,
  body: () => true,
});

/**
 * The answers of a batch of so many items.
 *
 * @throws StoreError `invalid-reply`
 */
export function itemsIn(body: unknown, count: number): readonly ItemReply[] {
  const items = isObject(body) ? body.items : undefined;
  if (!listOf(item)(items)) throw invalidReply("something else than a batch of answers");
  const { length } = items as readonly unknown[];
  if (length !== count) throw invalidReply(`${length} items of a batch of ${count}`);
  return items as readonly ItemReply[];
}
