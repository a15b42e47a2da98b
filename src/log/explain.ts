// Says in words why a call was decided as it was: what it was, by which rule, what stood there, when it opens again, and what would have
// helped. It is pure: the entries and the policy are given.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import { formatDuration } from "../kernel/duration.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import { quantityOf } from "../kernel/quantity.ts";
import { amount, durationInWords, grouped, isMoney, listed, periodInWords } from "../kernel/words.ts";
import { grantCommandOf } from "./explain-grant.ts";
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

/** How many entries of the session before it are looked at. */
const MAX_BEFORE = 50;
/** Most calls that are named. */
const MAX_NAMED = 5;

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
  const { session } = entry.dimensions;
  const query = { kind: "decision", tenants, toMs: entry.atMs + 1, pageSize: MAX_BEFORE } as const;
  const before = session === undefined ? [] : (await read.entries({ ...query, session })).items;
  const source = await read.policy(entry.policy);
  return explained(entry, before, source, options);
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
 * @param before entries of the same session that are not newer
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
    rule: `${binding.limit}: ${entry.detail ?? ruleOf(binding)}`,
    stood: stoodOf(entry, binding, before, timeOf),
    opens: opensOf(binding, entry.atMs, timeOf),
    helps: helpsOf(entry, binding, limit),
  };
}

function whatOf(entry: DecisionEntry, timeOf: (ms: number) => string): string {
  const { tool, dimensions, atMs, id, policy, degraded, replayed, durationMs } = entry;
  const whose = Object.entries(dimensions).map(([name, value]) => `${name} ${value}`);
  const head = `${entry.allowed ? "Allowed" : "Denied"}: the call ${tool}${whose.length === 0 ? "" : ` of ${whose.join(", ")}`}`;
  const notes = [
    replayed ? " It repeats the answer to an earlier call with the same idempotency key." : "",
    degraded === null ? "" : ` It was decided without the store (${degraded}).`,
    durationMs === null || durationMs < 1 ? "" : ` The decision took ${grouped(Math.round(durationMs))} ms.`,
  ];
  return `${head}, at ${timeOf(atMs)} (${id}, policy ${policy.slice(0, 8)}).${notes.join("")}`;
}

function ruleOf({ quota, unit, per, windowMs }: LoggedVerdict): string {
  const whose = per.length === 0 ? "" : ` per ${listed(per)}`;
  const period = windowMs === null ? "" : ` in ${periodInWords(windowMs)}`;
  return `at most ${amount(quota ?? 0, unit)}${whose}${period}.`;
}

/** How a limit stood before the call. */
function standingOf({ remainingBefore, capacity, unit, cost }: LoggedVerdict): string {
  if (capacity === null || remainingBefore === null) return "unlimited";
  const used = usedOf(capacity - remainingBefore, capacity, unit);
  return `${used} used before, and the call took ${amount(cost, unit, "up")}`;
}

/** `2 of 3 calls`, `$4.50 of $5.00`. */
function usedOf(used: number, capacity: number, unit: string): string {
  const count = Math.max(0, used);
  return `${isMoney(unit) ? amount(count, unit, "up") : grouped(count)} of ${amount(capacity, unit)}`;
}

function stoodOf(
  entry: DecisionEntry,
  binding: LoggedVerdict,
  before: readonly LogEntry[],
  timeOf: (ms: number) => string,
): string[] {
  const { capacity, remaining, unit, cost } = binding;
  if (capacity === null || remaining === null) return ["The limit is unlimited."];
  const used = usedOf(capacity - remaining, capacity, unit);
  const needed = cost === 0 ? "" : `, and the call needs ${amount(cost, unit, "up")}`;
  const by = usedBy(entry, binding, before);
  const times = by.slice(0, MAX_NAMED).map(({ atMs }) => timeOf(atMs));
  const more = by.length > times.length ? ` and ${by.length - times.length} more` : "";
  const calls =
    by.length === 0
      ? ""
      : ` In this session by ${by.length === 1 ? "the call" : "the calls"} at ${more === "" ? listed(times) : `${times.join(", ")}${more}`}.`;
  return [`${used} used${needed}.${calls}`, othersOf(entry)].filter((text) => text !== "");
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

/** The calls that used the same bucket, the newest first. */
function usedBy(entry: DecisionEntry, { limit, per }: LoggedVerdict, before: readonly LogEntry[]): DecisionEntry[] {
  return before.filter((other): other is DecisionEntry => {
    if (other.kind !== "decision" || other.id === entry.id || other.atMs > entry.atMs) return false;
    const isCharged = other.allowed || other.verb === "record";
    const charged = other.verdicts.find((verdict) => verdict.limit === limit);
    return (
      isCharged &&
      charged !== undefined &&
      charged.cost > 0 &&
      per.every((name) => partOf(other, name) === partOf(entry, name))
    );
  });
}

function partOf({ tool, argsHash, dimensions }: DecisionEntry, name: string): string | null | undefined {
  if (name === "tool") return tool;
  return name === "args" ? argsHash : dimensions[name];
}

function opensOf(
  { retryAfterMs, resetAfterMs, quota, per }: LoggedVerdict,
  atMs: number,
  timeOf: (ms: number) => string,
): string {
  if (quota === 0) return "Never: the policy forbids such calls.";
  if (retryAfterMs !== null) {
    return `At ${timeOf(atMs + retryAfterMs)}, ${durationInWords(retryAfterMs, "up")} after the call, if nothing else uses it.`;
  }
  const next = per.includes("turn")
    ? "The next turn starts from zero"
    : per.includes("session")
      ? "Another session starts from zero"
      : "";
  const empty =
    resetAfterMs > 0 ? `its bucket is empty again at ${timeOf(atMs + resetAfterMs)} if nothing uses it until then` : "";
  const both = [next, empty].filter((text) => text !== "").join("; ");
  return `Not by waiting.${both === "" ? "" : ` ${both.charAt(0).toUpperCase()}${both.slice(1)}.`}`;
}

function helpsOf(entry: DecisionEntry, verdict: LoggedVerdict, limit: Limit | null): Help[] {
  const { quota, capacity, cost, unit, remaining } = verdict;
  if (quota === null || capacity === null || remaining === null) return [];
  const missing = Math.max(1, cost - remaining);
  const isGrantable = limit !== null && quota > 0 && algorithmOf(limit.allotment.spec).policy.grantFault === null;
  const grant = isGrantable ? grantCommandOf(entry, verdict, missing) : null;
  const raised = `A quota of ${quantityOf(quota + missing, unit)} instead of ${quantityOf(quota, unit)} in ${verdict.limit} would have allowed it.`;
  const wait =
    verdict.retryAfterMs === null
      ? []
      : [{ text: `Call again in ${formatDuration(verdict.retryAfterMs)}.`, command: null }];
  const granted =
    grant === null ? [] : [{ text: `Grant ${amount(missing, unit, "up")} to this bucket:`, command: grant }];
  return [...wait, ...granted, { text: raised, command: null }];
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
