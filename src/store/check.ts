// What enters the kernel and what comes back from a store is checked here: a time, a count or a state that is no whole
// number is a StoreError, never a decision. Every comparison with NaN is false, so that a limit would let all calls pass.

import { decide as decideUnchecked } from "../kernel/decide.ts";
import { formatGot } from "../kernel/errors.ts";
import { FOUND, type StepReply, type StoreReply, type StoreRequest } from "../kernel/request.ts";
import type { Outcome, States, StoredState } from "../kernel/state.ts";
import { decodeState as decodeText } from "../kernel/encoding/state.ts";
import { StoreError, tooFewReplies } from "./error.ts";
import type { Beat, Member } from "./shared-store.ts";
import type { StoreAnswer } from "./store.ts";

/** The latest instant that a `Date` can hold. A window that begins then still ends below 2^53. */
const MAX_TIME_MS = 8_640_000_000_000_000;

const TIME = "whole milliseconds since 1970";
const COUNT = "a whole number from 0 to 2^53 - 1";
const FINDINGS: ReadonlySet<unknown> = new Set(FOUND);

/** Whether a value is a time: whole milliseconds since 1970. */
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TIME_MS;
}

/** Whether a value is a number of units, or of milliseconds: a whole number from 0 to 2^53 - 1. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * A time, as it came from a clock or a database.
 *
 * @throws StoreError `invalid-reply`
 */
export function validTime(nowMs: unknown): number {
  if (isTime(nowMs)) return nowMs;
  throw invalid("time", `${TIME}, as a number`, nowMs);
}

/** The JSON value that a client or a port may give as text or as bytes; anything else as it is. */
export function jsonIn(value: unknown): unknown {
  const text = value instanceof Uint8Array ? new TextDecoder().decode(value) : value;
  if (typeof text !== "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * `decide` of the kernel, with the time checked.
 *
 * @throws StoreError `invalid-reply` when the time is not a whole number
 */
export function decide(request: StoreRequest, states: States, nowMs: number): Outcome {
  return decideUnchecked(request, states, validTime(nowMs));
}

/** What was read for a key: `undefined` where it holds nothing, `null` for a text that no version writes. */
export type ReadState = StoredState | undefined | null;

/**
 * The state that `encodeState` wrote, or `null` when it is damaged: also when one of the columns that it was read from
 * holds another type than it was written with.
 *
 * @param nowMs the store's time: what is damaged holds nothing from its end on. Absent: it has no end
 */
export function decodeState(text: string, expiresAtMs: number, nowMs?: number): ReadState {
  if (typeof text !== "string" || !Number.isSafeInteger(expiresAtMs)) return null;
  // A negative end is damage, too.
  const isOver = nowMs !== undefined && expiresAtMs >= 0 && expiresAtMs <= nowMs;
  return decodeText(text, expiresAtMs) ?? (isOver ? undefined : null);
}

/** A store's answer, or the error that says what is wrong with it. */
export function validReply(reply: StoreAnswer | undefined): StoreAnswer {
  if (StoreError.isInstance(reply)) return reply;
  return reply === undefined ? tooFewReplies() : (faultIn(reply) ?? reply);
}

/**
 * The answers to some requests: one for each, of which those that are not valid are errors.
 *
 * @throws StoreError `invalid-reply` when the answers are no list
 */
export function validReplies(requests: readonly StoreRequest[], replies: readonly StoreAnswer[]): StoreAnswer[] {
  if (!Array.isArray(replies)) throw invalid("replies", "a list", replies);
  return requests.map((_, i) => validReply(replies[i]));
}

/**
 * A store's answer to a beat. An instance that leaves is not counted: there may be no other one, and its rank says nothing.
 *
 * @throws StoreError `invalid-reply`
 */
export function validBeat(beat: Beat, { livesMs }: Pick<Member, "livesMs">): Beat {
  const { nowMs, instances, rank, incarnation, lost } = beat ?? {};
  if (!isTime(nowMs)) throw invalid("nowMs", TIME, nowMs);
  if (!isCount(instances)) throw invalid("instances", COUNT, instances);
  const others = livesMs === 0 ? instances : instances - 1;
  if (others < 0) throw invalid("instances", "a whole number from 1", instances);
  if (!isCount(rank) || rank > others) throw invalid("rank", "a whole number from 0, below instances", rank);
  if (typeof incarnation !== "string") throw invalid("incarnation", "a text", incarnation);
  if (lost !== "all" && lost !== "some") throw invalid("lost", '"all" or "some"', lost);
  return beat;
}

/** What is wrong with a reply; `null` where nothing is. Every decision asks this: texts are made only for an error. */
function faultIn(reply: StoreReply): StoreError | null {
  if (typeof reply !== "object" || reply === null) return invalid("reply", "an object", reply);
  const { allowed, nowMs, waitMs, steps, replay } = reply;
  if (typeof allowed !== "boolean") return invalid("allowed", "true or false", allowed);
  if (!isTime(nowMs)) return invalid("nowMs", TIME, nowMs);
  if (!Array.isArray(steps)) return invalid("steps", "a list", steps);
  if (waitMs !== undefined && !isCount(waitMs)) return invalid("waitMs", COUNT, waitMs);
  for (let i = 0; i < steps.length; i++) {
    const fault = faultInStep(steps[i]);
    if (fault !== null) return invalid(`steps[${i}].${fault[0]}`, fault[1], fault[2]);
  }
  if (replay === undefined || (Array.isArray(replay.units) && replay.units.every(isCount))) return null;
  return invalid("replay.units", "whole numbers", replay.units);
}

function faultInStep(step: Partial<StepReply> | undefined): [name: string, expected: string, got: unknown] | null {
  const { allowed, used, granted, grants, found, resetAfterMs, retryAfterMs } = step ?? {};
  if (typeof allowed !== "boolean") return ["allowed", "true or false", allowed];
  if (!isCount(used)) return ["used", COUNT, used];
  if (!isCount(resetAfterMs)) return ["resetAfterMs", COUNT, resetAfterMs];
  if (granted !== undefined && !isCount(granted)) return ["granted", COUNT, granted];
  if (retryAfterMs !== null && !isCount(retryAfterMs)) return ["retryAfterMs", `${COUNT}, or null`, retryAfterMs];
  if (found !== undefined && !FINDINGS.has(found)) return ["found", '"live", "late" or "unknown"', found];
  if (grants === undefined) return null;
  if (!Array.isArray(grants)) return ["grants", "a list", grants];
  for (const [n, grant] of grants.entries()) {
    if (typeof grant?.id !== "string") return [`grants[${n}].id`, "a text", grant?.id];
    if (!isCount(grant.units)) return [`grants[${n}].units`, COUNT, grant.units];
    if (!isCount(grant.endsInMs)) return [`grants[${n}].endsInMs`, COUNT, grant.endsInMs];
  }
  return null;
}

function invalid(what: string, expected: string, got: unknown): StoreError {
  const message = `the store's ${what}: expected ${expected}, got ${formatGot(got)}`;
  return new StoreError("invalid-reply", message, { transient: false });
}
