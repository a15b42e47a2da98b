// What a call asks of each limit that matches it: to spend its price at once, or to hold it until the call has ended.

import { algorithmOf, type SpentState } from "../kernel/algorithms/registry.ts";
import { type Call, dimensionsOf } from "../kernel/call.ts";
import { argsOf, type Bucket, type Charge, type Match } from "../kernel/charge.ts";
import { MisuseError } from "../kernel/errors.ts";
import { digest } from "../kernel/key.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { OnError } from "../kernel/policy/input.ts";

/** A charge, and whether its units are spent at once or held. */
export interface Part extends Charge {
  readonly event: "charge" | "hold";
}

/**
 * For a call that nobody ends.
 *
 * @throws MisuseError `needs-reserve`
 */
export function spentParts(matches: readonly Match[]): Part[] {
  const endless = matches.find((match) => isHeldOnly(match) && match.allotment.isCounted && match.price !== 0);
  if (endless === undefined) return partsOf(matches, () => "charge");
  const expected = `reserve or run, because the limit ${endless.limit.name} counts calls until they end`;
  throw new MisuseError("needs-reserve", { path: "call", expected, got: "a call that nobody ends" });
}

/** For a call that is only looked at. */
export function shownParts(matches: readonly Match[]): Part[] {
  return partsOf(matches, (match) => (isHeldOnly(match) ? "hold" : "charge"));
}

/**
 * For a call that is settled or released.
 *
 * @throws MisuseError `missing-cost`
 */
export function reservedParts(matches: readonly Match[]): Part[] {
  return pricedParts(matches, ({ name, unit }) => `how many ${unit} to hold, because the limit ${name} counts them`);
}

function pricedParts(matches: readonly Match[], expectedOf: (limit: Limit) => string): Part[] {
  const unknown = matches.find(({ price, limit }) => price === undefined && limit.isPriced);
  if (unknown === undefined) return partsOf(matches, () => "hold");
  const { limit } = unknown;
  throw new MisuseError("missing-cost", { path: `cost.${limit.unit}`, expected: expectedOf(limit), got: "nothing" });
}

/**
 * For a call that runs here. It has taken its `calls` once it has begun, but where a failed call gets them back they are held
 * until its end; so is whatever else it is priced at.
 */
export function runParts(matches: readonly Match[], policy: CompiledPolicy, call: Call): Part[] {
  const isRefund = (match: Match) => isOfCalls(match) && onErrorOf(policy, call, match.limit) === "refund";
  const marks = marksOf(matches.filter((match) => match.price !== 0 && isRefund(match)));
  return partsOf(matches, (match) => runEventOf(match, marks));
}

/** What a failed call costs in a limit: what the limit says, else its tool, else the policy. */
export function onErrorOf(policy: CompiledPolicy, { tool }: Call, limit: Limit): OnError {
  return limit.onError ?? policy.toolNamed(String(tool))?.onError ?? policy.onError;
}

/** Whether the units of a running call are held in a limit, or charged when it begins. */
function runEventOf(bucket: Bucket, marks: string): Part["event"] {
  return !isOfCalls(bucket) || isMarked(marks, bucket.limit) ? "hold" : "charge";
}

/** Whether it counts calls that have begun. */
function isOfCalls(bucket: Bucket): boolean {
  return bucket.limit.unit === "calls" && bucket.limit.isPriced && !isHeldOnly(bucket);
}

/** What the ids of holds of calls that run begin with: such a hold is about other parts than one that was reserved. */
const RUN = "run-";

/** What the ids of holds end with whose names depend on the arguments, too. */
const OF_ARGS = "-a";

/** The id of a running call some of whose `calls` are held: random digits, and marks of the limits that hold them. */
const MARKED = /^run-[0-9a-f]{24}-([0-9a-f]+|all)(?:-a)?$/;
const [RANDOM_LENGTH, MARK_LENGTH, MAX_MARKS, ALL] = [24, 3, 4, "all"];

/**
 * An id for the holds of a new call. It says whether a limit is per the arguments, and which limits hold `calls` of a running
 * call: after a reload the policy may say otherwise.
 *
 * @param parts what is asked for the call
 */
export function newHoldId(isRun: boolean, isPerArgs = false, parts: readonly Part[] = []): string {
  const end = isPerArgs ? OF_ARGS : "";
  const marks = isRun ? marksOf(parts.filter((part) => isOfCalls(part) && part.event === "hold")) : "";
  if (marks === "") return `${isRun ? RUN : ""}${crypto.randomUUID()}${end}`;
  return `${RUN}${crypto.randomUUID().replaceAll("-", "").slice(0, RANDOM_LENGTH)}-${marks}${end}`;
}

/**
 * Marks of limits, as they are kept in an id; for more than there is room for, a mark of all. Another limit that happens to
 * have the same mark holds its `calls`, too: what it charges in the end is the same.
 */
function marksOf(buckets: readonly Bucket[]): string {
  const marks = new Set(buckets.map(({ limit }) => markOf(limit)));
  return marks.size > MAX_MARKS ? ALL : [...marks].join("");
}

function markOf({ name }: Limit): string {
  return digest(name).slice(0, MARK_LENGTH);
}

function isMarked(marks: string, limit: Limit): boolean {
  if (marks === "" || marks === ALL) return marks === ALL;
  const mark = markOf(limit);
  for (let i = 0; i < marks.length; i += MARK_LENGTH) if (marks.startsWith(mark, i)) return true;
  return false;
}

/** Whether a limit of a call's tool is per its arguments. */
export function isPerArgs({ limits }: CompiledPolicy, { tool }: Call): boolean {
  return limits.some(({ per, matches }) => per.includes("args") && matches(String(tool)));
}

/** Of a hold's id and its digest, so that a name has at most 64 characters. */
const [ID_LENGTH, DIGEST_LENGTH] = [43, 20];

/**
 * What stores call a hold. The name depends on the dimensions of the call, and on its arguments where a limit was per them.
 * So an id that comes with another call than its own names no hold in any bucket, also not in those that both calls share.
 */
export function holdNameOf(policy: CompiledPolicy, id: string, call: Call): string {
  const bound = digest([id, dimensionsOf(call), id.endsWith(OF_ARGS) ? argsOf(policy, call) : null]);
  return `${id.slice(0, ID_LENGTH)}-${bound.slice(0, DIGEST_LENGTH)}`;
}

/** The id in the name of a hold that a limiter made. */
export function holdIdOf(name: string): string {
  return name.slice(0, -DIGEST_LENGTH - 1);
}

/** Whether a hold is of a call that runs. */
export function isRunHold(id: string): boolean {
  return id.startsWith(RUN);
}

/**
 * What a hold is about that was made before.
 *
 * @throws MisuseError `missing-cost`
 */
export function partsOfHold(id: string, matches: readonly Match[]): Part[] {
  if (isRunHold(id)) return partsOf(matches, (match) => runEventOf(match, marksIn(id)));
  return pricedParts(
    matches,
    ({ name, unit }) =>
      `how many ${unit} the hold has, as the call that was reserved said: the limit ${name} counts them`,
  );
}

/** The parts of a running call that is sent again: what it held then, by its first id. */
export function partsHeldBy(id: string | null, parts: readonly Part[]): Part[] {
  const marks = id === null ? "" : marksIn(id);
  return parts.map((part) => (isOfCalls(part) ? { ...part, event: runEventOf(part, marks) } : part));
}

function marksIn(id: string): string {
  return MARKED.exec(id)?.[1] ?? "";
}

/** Whether a limit counts calls that have not ended: its units can only be held. */
export function isHeldOnly({ allotment }: Bucket): boolean {
  return algorithmOf(allotment.spec).isHeldOnly;
}

/**
 * Whether a call begins without taking anything of a bucket that is unlimited: nothing has to be set aside there, and no number
 * of calls is too many. What would be held is booked when the call ends.
 */
export function isOnlyRead({ allotment, event }: Pick<Part, "allotment" | "event">): boolean {
  return allotment.quota === null && (event === "hold" || !allotment.isCounted);
}

/** Whether the buckets of a limit are those of one of another policy, and keep another kind of state. */
export function isRestarted({ limits }: CompiledPolicy, limit: Limit): boolean {
  const other = limits.find(({ name, per }) => name === limit.name && per.join() === limit.per.join());
  return other !== undefined && kindOf(limit) !== kindOf(other);
}

/** The names of limits that a policy brings, and of those that it lacks. */
export function changedBy(before: CompiledPolicy, after: CompiledPolicy) {
  const lackingIn = (policy: CompiledPolicy, other: CompiledPolicy) =>
    policy.limits.map(({ name }) => name).filter((name) => !other.limits.some((limit) => limit.name === name));
  return { added: lackingIn(after, before), removed: lackingIn(before, after) };
}

function kindOf({ allotment }: Limit): SpentState["kind"] {
  return algorithmOf(allotment.spec).kind;
}

/** Nothing where the price is 0. An unknown price takes nothing, and is denied when nothing is left. */
function partsOf(matches: readonly Match[], eventOf: (match: Match) => Part["event"]): Part[] {
  const parts: Part[] = [];
  for (const match of matches) {
    const { key, limit, partitionKey, allotment, price, tool, seen } = match;
    if (price === 0) continue;
    // What has been seen, or has elapsed, is not given back when the call has ended.
    const event = price === undefined || !limit.isPriced ? "charge" : eventOf(match);
    const part = { key, limit, partitionKey, allotment, cost: price ?? 0, tool, event };
    parts.push(seen === undefined ? part : { ...part, seen });
  }
  return parts;
}
