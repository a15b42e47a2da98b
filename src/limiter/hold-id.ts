// The ids of holds, and the names that stores know them by. An id says whether a limit is per the arguments, and which limits
// hold `calls` of a running call: after a reload the policy may say otherwise.

import { randomId } from "../ids.ts";
import { type Call, dimensionsOf } from "../kernel/call.ts";
import { argsOf, type Bucket } from "../kernel/charge.ts";
import { invalidOption } from "../kernel/errors.ts";
import { digest } from "../kernel/key.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";

/** The prefix of ids of running calls: such a hold has other charges than a reservation. */
const RUN = "run-";
/** The suffix of ids whose names depend on the arguments, too. */
const OF_ARGS = "-a";
/** The id of a running call some of whose `calls` are held: random digits, and marks of the limits that hold them. */
const MARKED = /^run-[0-9a-f]{24}-([0-9a-f]+|all)(?:-a)?$/;
const RANDOM_LENGTH = 24;
const MARK_LENGTH = 3;
/** With more marks than this an id has `ALL`. */
const MAX_MARKS = 4;
const ALL = "all";
/** A name has at most 64 characters: of the id (`run-`, 24 digits, `-`, 4 marks, `-a` are 43), a hyphen, and of the digest. */
const ID_LENGTH = 43;
const DIGEST_LENGTH = 20;

export interface HoldNames {
  /** The id of the hold, for the program. */
  readonly id: string;
  /** The name of the hold, in the store. */
  readonly name: string;
}

/**
 * Names the holds of a new call.
 *
 * @param callsHeldBy buckets that hold `calls` of a running call
 */
export function newHold(
  policy: CompiledPolicy,
  call: Call,
  isRun: boolean,
  callsHeldBy: readonly Bucket[] = [],
): HoldNames {
  const id = `${newHoldId(isRun, isRun ? marksOf(callsHeldBy) : "")}${isPerArgs(policy, call) ? OF_ARGS : ""}`;
  return { id, name: holdNameOf(policy, id, call) };
}

/** Makes an id for a call without limits per arguments. */
export function newHoldId(isRun: boolean, marks = ""): string {
  const random = randomId();
  if (marks !== "") return `${RUN}${random.replaceAll("-", "").slice(0, RANDOM_LENGTH)}-${marks}`;
  return isRun ? `${RUN}${random}` : random;
}

/**
 * The marks of limits in an id; a mark of all when there are too many. Another limit with the same mark by chance holds its
 * `calls`, too: it charges the same in the end.
 */
export function marksOf(buckets: readonly Bucket[]): string {
  const marks = new Set(buckets.map(({ limit }) => markOf(limit)));
  return marks.size > MAX_MARKS ? ALL : [...marks].join("");
}

export function marksIn(id: string): string {
  return MARKED.exec(id)?.[1] ?? "";
}

export function isMarked(marks: string, limit: Limit): boolean {
  if (marks === "" || marks === ALL) return marks === ALL;
  const mark = markOf(limit);
  for (let i = 0; i < marks.length; i += MARK_LENGTH) if (marks.startsWith(mark, i)) return true;
  return false;
}

function markOf({ name }: Limit): string {
  return digest(name).slice(0, MARK_LENGTH);
}

/** Whether a limit of a call's tool is per its arguments. */
function isPerArgs({ limits }: CompiledPolicy, { tool }: Call): boolean {
  return limits.some(({ per, matches }) => per.includes("args") && matches(String(tool)));
}

/**
 * The name of a hold in the store. It depends on the dimensions of the call, and on its arguments where a limit was per them. So
 * an id that is sent with another call than its own names no hold, not even in buckets that both calls share.
 */
export function holdNameOf(policy: CompiledPolicy, id: string, call: Call): string {
  const suffix = digest([id, dimensionsOf(call), id.endsWith(OF_ARGS) ? argsOf(policy, call) : null]);
  return `${id.slice(0, ID_LENGTH)}-${suffix.slice(0, DIGEST_LENGTH)}`;
}

/** The id in the name of a hold that a limiter made. */
export function holdIdOf(name: string): string {
  return name.slice(0, -DIGEST_LENGTH - 1);
}

/** Whether a hold belongs to a running call. */
export function isRunHold(id: string): boolean {
  return id.startsWith(RUN);
}

/** Throws `invalid-option` unless this can be a hold's id. */
export function checkHoldId(id: string): void {
  if (typeof id === "string" && /^[\w-]{1,64}$/.test(id)) return;
  throw invalidOption("id", "a hold's id: 1 to 64 letters, digits, _ or -", id);
}
