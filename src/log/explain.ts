// Says in words why a call was decided as it was: what it was, by which rule, what stood there, when it opens again, and what would have
// helped. It is pure: the entries and the policy are given.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import { amount, durationInWords, grouped, isMoney, listed, periodInWords, type Rounding } from "../kernel/words.ts";
import { changesOf } from "./explain-changes.ts";
import { grantCommandOf } from "./explain-grant.ts";
import { MAX_BEFORE, usesBefore, usesOf } from "./explain-used.ts";
import type { DecisionEntry, LogEntry, LoggedVerdict } from "./entry.ts";
import type { LogReader, Tenants } from "./storage.ts";

/** Why a call was decided as it was. Texts are sentences. */
export interface Explanation {
  readonly entry: DecisionEntry;
  /** What the call was, and when. */
  readonly what: string;
  /** What the limit that denied says; `null`: the call was allowed. */
  readonly rule: string | null;
  /** How its limits stood. */
  readonly stood: readonly string[];
  /** When the call can pass; `null`: it was allowed. */
  readonly opens: string | null;
  /** What would have helped, the cheapest first: sentences and commands. */
  readonly helps: readonly Help[];
}

export interface Help {
  readonly text: string;
  /** A command that does it. */
  readonly command: string | null;
}

export interface ExplainOptions {
  /** An instant for people. Default: in ISO 8601, UTC. */
  readonly timeOf?: (ms: number) => string;
}

/** The unit of limits that count time. */
const TIME = "ms";
/** Of a limit that is not known. */
const KNOWN_QUOTA = { amountKey: "quota", grantFault: null } as const;

/**
 * Explains an entry of a log; `null`: there is none with this id, or it is no decision.
 *
 * @throws what the storage fails with
 */
export async function explain(
  read: LogReader,
  id: string,
  tenants: Tenants,
  options?: ExplainOptions,
): Promise<Explanation | null> {
  const entry = await read.entry(id, tenants);
  if (entry === null || entry.kind !== "decision") return null;
  const source = await read.policy(entry.policy);
  const binding = entry.verdicts.find(({ limit }) => limit === entry.deniedBy);
  if (binding === undefined) return explained(entry, [], source, options);
  const query = { kind: "event", limit: binding.limit, tenants, toMs: entry.atMs + 1, pageSize: MAX_BEFORE } as const;
  const changes = (await read.entries(query)).items;
  return explained(entry, [...(await usesBefore(read, entry, binding, tenants)), ...changes], source, options);
}

/**
 * Finds the last decision of a session, or its last denial.
 *
 * @throws what the storage fails with
 */
export async function lastDecision(
  read: LogReader,
  query: { readonly session: string; readonly tenants: Tenants; readonly allowed?: boolean },
): Promise<DecisionEntry | null> {
  const { items } = await read.entries({ ...query, kind: "decision", pageSize: 1 });
  return (items[0] as DecisionEntry | undefined) ?? null;
}

/**
 * @param before entries that are not newer: calls that may have used the bucket, and changes of the limit's buckets
 * @param source the policy in JSON; `null`: the log does not have it
 */
export function explained(
  entry: DecisionEntry,
  before: readonly LogEntry[],
  source: string | null,
  { timeOf = (ms) => new Date(ms).toISOString() }: ExplainOptions = {},
): Explanation {
  const what = whatOf(entry, timeOf);
  const binding = entry.verdicts.find(({ limit }) => limit === entry.deniedBy);
  if (entry.allowed || binding === undefined) {
    const stood = entry.verdicts.map((verdict) => `${verdict.limit}: ${standingOf(verdict)}.`);
    return { entry, what, rule: null, stood, opens: null, helps: [] };
  }
  const limit = limitIn(source, binding.limit);
  return {
    entry,
    what,
    rule: ruleOf(binding, entry.detail),
    stood: stoodOf(entry, binding, limit, before, timeOf),
    opens: opensOf(binding, limit, entry.atMs, timeOf),
    helps: helpsOf(entry, binding, limit, timeOf),
  };
}

function whatOf(entry: DecisionEntry, timeOf: (ms: number) => string): string {
  const { tool, dimensions, atMs, id, policy, degraded, replayed, durationMs } = entry;
  const whose = Object.entries(dimensions).map(([name, value]) => `${name} ${value}`);
  const head = `${entry.allowed ? "Allowed" : "Denied"}: a call of ${tool}${whose.length === 0 ? "" : ` by ${whose.join(", ")}`}`;
  const notes = [
    replayed ? " It repeats the answer to an earlier call with the same idempotency key." : "",
    degraded === null ? "" : ` It was decided without the store (${degraded}).`,
    durationMs === null || durationMs < 1 ? "" : ` The decision took ${grouped(Math.round(durationMs))} ms.`,
  ];
  return `${head}, at ${timeOf(atMs)} (${id}, policy ${policy.slice(0, 8)}).${notes.join("")}`;
}

/** What the limit allows, from what the caller was told. When to retry and what is left stand elsewhere. */
function ruleOf({ limit, quota, unit, per, windowMs }: LoggedVerdict, detail: string | null): string {
  const [, allowance] =
    /^Limit reached: (.*?)(?:, \S+(?: \S+)* left, .*)?\.(?: (?:Retry|Resets) .*)?$/.exec(detail ?? "") ?? [];
  if (detail !== null && allowance === undefined) return `${limit}: ${detail.replace(/^(?:Blocked|Not \w+): /, "")}`;
  const whose = scopeOf(per);
  const period = windowMs === null ? "" : ` in ${periodInWords(windowMs)}`;
  const text = allowance ?? `${amount(quota ?? 0, unit)}${whose}${period}`;
  const others = per.filter((name) => name !== "args");
  if (others.length === per.length || !text.includes(whose)) return `${limit} allows ${text}.`;
  return `${limit} allows ${text.replace(whose, ` with the same arguments${scopeOf(others)}`)}.`;
}

function scopeOf(per: readonly string[]): string {
  return per.length === 0 ? "" : ` per ${listed(per)}`;
}

/** How a limit stood before the call. */
function standingOf({ remainingBefore, capacity, unit, cost }: LoggedVerdict): string {
  if (capacity === null || remainingBefore === null) return "unlimited";
  const took = cost === 0 ? "" : `, and the call took ${quantity(cost, unit, "up")}`;
  return `${usedOf(capacity - remainingBefore, capacity, unit)} before${took}`;
}

/** `2 of 3 calls were used`, `$4.50 of $5.00 was used`. */
function usedOf(used: number, capacity: number, unit: string, verb = "used"): string {
  const count = Math.max(0, used);
  const text = `${quantity(count, unit, "up")} of ${whole(capacity, unit)}`;
  if (unit === TIME) return `${text} had passed`;
  return `${text} ${isMoney(unit) || capacity === 1 ? "was" : "were"} ${verb}`;
}

/** Units beside their name elsewhere: `2`, `$4.50`, `3 minutes`. */
function quantity(units: number, unit: string, rounding: Rounding): string {
  if (unit === TIME) return durationInWords(units, rounding === "up" ? "up" : "down");
  return isMoney(unit) ? amount(units, unit, rounding) : grouped(units);
}

/** Units with their name: `3 calls`, `$5.00`, `1 hour`. */
function whole(units: number, unit: string): string {
  return unit === TIME ? quantity(units, unit, "exact") : amount(units, unit);
}

function stoodOf(
  entry: DecisionEntry,
  binding: LoggedVerdict,
  limit: Limit | null,
  before: readonly LogEntry[],
  timeOf: (ms: number) => string,
): string[] {
  const { capacity, remaining, unit, cost } = binding;
  if (capacity === null || remaining === null) return ["The limit is unlimited."];
  const used = usedOf(
    capacity - remaining,
    capacity,
    unit,
    isHeldOnly(limit) ? "running" : cost === 0 ? "counted" : "used",
  );
  const needed = cost === 0 ? "" : `, and this call needed ${quantity(cost, unit, "up")}`;
  const calls = usesOf(entry, binding, before, timeOf);
  return [`${used}${needed}.${calls}`, changesOf(entry, binding, before, timeOf), othersOf(entry)].filter(
    (text) => text !== "",
  );
}

/** What the other limits would have done. */
function othersOf({ verdicts, deniedBy }: DecisionEntry): string {
  const others = verdicts.filter(({ limit }) => limit !== deniedBy);
  const denying = others.filter(({ allowed }) => !allowed).map(({ limit }) => limit);
  if (others.length === 0) return "";
  if (denying.length > 0) return `${listed(denying)} would have denied it, too.`;
  return others.length === 1
    ? `${others[0]?.limit} would have allowed it.`
    : `The other ${others.length} limits would have allowed it.`;
}

function opensOf(
  { retryAfterMs, resetAfterMs, quota, capacity, cost, unit, per }: LoggedVerdict,
  limit: Limit | null,
  atMs: number,
  timeOf: (ms: number) => string,
): string {
  if (quota === 0) return "Never: the policy forbids such calls.";
  if (retryAfterMs !== null) {
    const at = `${timeOf(atMs + retryAfterMs)}, ${durationInWords(retryAfterMs, "up")} after the call`;
    return isHeldOnly(limit)
      ? `When one of them ends: at ${at}, at the latest.`
      : `At ${at}, if no other call uses it first.`;
  }
  if (capacity !== null && cost > capacity) {
    return `Never as it is: the call needs more than the whole limit, ${whole(capacity, unit)}.`;
  }
  const next = per.includes("turn")
    ? " The next turn starts from zero."
    : per.includes("session")
      ? " Another session starts from zero."
      : "";
  const empty =
    resetAfterMs > 0
      ? ` This bucket is empty again at ${timeOf(atMs + resetAfterMs)}, unless a call uses it before.`
      : "";
  return `Not by waiting.${next}${empty}`;
}

function helpsOf(
  entry: DecisionEntry,
  verdict: LoggedVerdict,
  limit: Limit | null,
  timeOf: (ms: number) => string,
): Help[] {
  const { quota, capacity, granted, cost, unit, remaining } = verdict;
  if (quota === null || capacity === null || remaining === null) return [];
  const missing = Math.max(1, cost - remaining);
  const { amountKey, grantFault } = limit === null ? KNOWN_QUOTA : algorithmOf(limit.allotment.spec).policy;
  // How much time is missing is not known: what is left ends at 0.
  const isGrantable = limit !== null && quota > 0 && grantFault === null && unit !== TIME;
  const grant = isGrantable ? grantCommandOf(entry, verdict, missing) : null;
  const wait =
    verdict.retryAfterMs === null
      ? []
      : [{ text: againOf(timeOf(entry.atMs + verdict.retryAfterMs), limit), command: null }];
  const byGrant =
    grant === null ? [] : [{ text: `Grant ${amount(missing, unit, "up")} to this bucket:`, command: grant }];
  // A burst or a pause is not mended by a quota.
  const isOfQuota = amountKey === "quota" && capacity - granted === quota && unit !== TIME;
  const raised = `With a quota of ${whole(quota + missing, unit)} instead of ${quantity(quota, unit, "exact")}, ${verdict.limit} would have allowed it.`;
  return [...wait, ...byGrant, ...(isOfQuota ? [{ text: raised, command: null }] : [])];
}

function againOf(time: string, limit: Limit | null): string {
  return isHeldOnly(limit) ? "Call again when one of them has ended." : `Call again at ${time}.`;
}

/** Whether what a limit counts are calls that run now. */
function isHeldOnly(limit: Limit | null): boolean {
  return limit !== null && algorithmOf(limit.allotment.spec).isHeldOnly;
}

/** A limit of the policy that the log has; `null`: it is not known. */
function limitIn(source: string | null, name: string): Limit | null {
  if (source === null) return null;
  try {
    const policy: CompiledPolicy = compiledPolicy(JSON.parse(source));
    return policy.limits.find((limit) => limit.name === name) ?? null;
  } catch {
    return null;
  }
}
