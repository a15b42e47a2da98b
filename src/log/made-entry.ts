// Makes entries of what a limiter decided and of what happened to it. Arguments of calls and results never get into one.

import { argsDigest } from "../kernel/args.ts";
import { type Call, dimensionsOf } from "../kernel/call.ts";
import type { Verdict } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { LoggedCall, LimiterEvent } from "../limiter.ts";
import { capacityOf } from "./near.ts";
import type { DecisionEntry, EventEntry, LoggedVerdict } from "./entry.ts";
import { isBooked } from "./spent.ts";
import { storable, textOf } from "./text.ts";

/** Most characters of arguments that are hashed, names of fields included, and most values. */
const MAX_ARGS = 65_536;
/** Longest text in the data of an event. */
const MAX_DATA_TEXT = 500;

/** What an entry says of where it comes from. */
export interface Origin {
  readonly id: string;
  readonly instance: string;
  readonly policy: string;
}

/** The entry of a decision. Its `argsHash` is not salted yet. */
export function decisionEntry(
  origin: Origin,
  decided: LoggedCall,
  weight: number,
  policy: CompiledPolicy,
): DecisionEntry {
  const { verb, call, decision, via, durationMs } = decided;
  const { allowed, deniedBy, retryAfterMs, detail, replayed, decidedAtMs } = decision;
  const isCharged = isBooked(decided);
  const { tool, ...dimensions } = textsOf(call);
  return {
    kind: "decision",
    ...origin,
    atMs: decidedAtMs,
    verb,
    tool: tool ?? "",
    dimensions,
    argsHash: digestOfArgs(call, policy),
    allowed,
    deniedBy,
    retryAfterMs,
    detail,
    verdicts: decision.verdicts.map((verdict) => loggedVerdict(verdict, isCharged, policy)),
    degraded: decision.degraded?.reason ?? null,
    replayed,
    via,
    durationMs,
    weight,
  };
}

function loggedVerdict(verdict: Verdict, isCharged: boolean, policy: CompiledPolicy): LoggedVerdict {
  const { limit, unit, mode, allowed, exceeded, cost, quota, granted = 0, remaining } = verdict;
  const { windowMs, resetAfterMs, retryAfterMs } = verdict;
  // Where a call was booked past the quota, nothing is left, and how much there was before is not known.
  const before = isCharged && !exceeded && remaining !== null ? remaining + cost : remaining;
  const per = policy.limits.find(({ name }) => name === limit)?.per ?? [];
  const units = { cost, quota, capacity: capacityOf(verdict), granted, remainingBefore: before, remaining };
  return { limit, unit, mode, allowed, exceeded, ...units, windowMs, resetAfterMs, retryAfterMs, per };
}

/** The dimensions that a call says, as the log has them. */
export function textsOf(call: Call): Record<string, string> {
  return Object.fromEntries(dimensionsOf(call).map(([name, value]) => [name, textOf(value)]));
}

/** Whose bucket of a limit a call charges. Arguments are left out. */
export function bucketOf(limit: string, call: Call, policy: CompiledPolicy): Record<string, string> {
  const per = policy.limits.find(({ name }) => name === limit)?.per ?? [];
  const valueIn = (dimension: string) =>
    dimension === "group" ? policy.toolNamed(textOf(call.tool))?.group : (call as Record<string, unknown>)[dimension];
  return Object.fromEntries(per.filter((name) => name !== "args").map((name) => [name, textOf(valueIn(name))]));
}

/** The hash of a call's arguments; `null`: there are none, or they are too large. */
function digestOfArgs({ tool, args }: Call, policy: CompiledPolicy): string | null {
  if (args === undefined || args === null) return null;
  try {
    return sizeOf(args, MAX_ARGS) > MAX_ARGS ? null : argsDigest(args, policy.toolNamed(String(tool))?.ignoreArgs);
  } catch {
    return null;
  }
}

/** About how many characters a value has as JSON. It stops behind `max`. */
function sizeOf(value: unknown, max: number): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 8;
  let size = 2;
  for (const [key, inner] of Object.entries(value)) {
    size += key.length + 4 + sizeOf(inner, max - size);
    if (size > max) break;
  }
  return size;
}

/**
 * The entry of an event.
 *
 * @param tenant whose bucket it is about, where its dimensions do not say it
 */
export function eventEntry(origin: Origin, event: LimiterEvent, atMs: number, tenant?: string): EventEntry {
  const { type, reason, actor, call, before, after, limit, dimensions, ...others } = event as LimiterEvent &
    EventFields;
  const usage = after ?? before;
  const data = Object.entries({ ...others, before, after }).filter(([, value]) => value !== undefined);
  const said = usage?.dimensions ?? dimensions ?? (call === undefined ? {} : textsOf(call));
  const whose = tenant === undefined ? said : { tenant, ...said };
  return {
    kind: "event",
    ...origin,
    atMs,
    type,
    limit: usage?.limit ?? (typeof limit === "string" ? limit : null),
    dimensions: Object.fromEntries(Object.entries(whose).map(([name, value]) => [name, textOf(value)])),
    data: Object.fromEntries(data.map(([name, value]) => [name, plainOf(value)])),
    actor: typeof actor === "string" ? shortened(actor) : null,
    reason: typeof reason === "string" ? shortened(reason) : null,
  };
}

/** Fields that some event has. */
interface EventFields {
  readonly reason?: unknown;
  readonly actor?: unknown;
  readonly call?: Call;
  readonly before?: { readonly limit: string; readonly dimensions: Readonly<Record<string, string>> };
  readonly after?: EventFields["before"];
  readonly limit?: unknown;
  readonly dimensions?: Readonly<Record<string, unknown>>;
}

function shortened(text: string): string {
  return storable(text.slice(0, MAX_DATA_TEXT));
}

/** A value of an event as JSON has one, with short texts. What cannot be written is left out. */
function plainOf(value: unknown): unknown {
  if (value instanceof Error) {
    const { code } = value as { readonly code?: unknown };
    return { code: typeof code === "string" ? code : value.name, message: shortened(value.message) };
  }
  try {
    const text = JSON.stringify(value, (_, inner) => (typeof inner === "string" ? shortened(inner) : inner));
    if (text === undefined) return null;
    return text.length <= 8 * MAX_DATA_TEXT ? JSON.parse(text) : shortened(text);
  } catch {
    return null;
  }
}
