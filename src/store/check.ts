// What enters the kernel and what comes back from a store is checked here: a time, a count or a state that is no whole
// number is a StoreError, never a decision. Every comparison with NaN is false, so that a limit would let all calls pass.

import { decide as decideChecked } from "../kernel/decide.ts";
import { formatGot } from "../kernel/errors.ts";
import type { GrantReply, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Outcome, States, StoredState } from "../kernel/state.ts";
import { decodeState as decodeText } from "../kernel/encoding/state.ts";
import { StoreError } from "./error.ts";
import type { Beat } from "./shared-store.ts";

/** The latest instant that a `Date` can hold. A window that begins then still ends below 2^53. */
const MAX_TIME_MS = 8_640_000_000_000_000;

/** Whether a value is a time: whole milliseconds since 1970. */
export function isTime(value: unknown): value is number {
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
  throw invalid("time", "whole milliseconds since 1970, as a number", nowMs);
}

/** A whole number that a client may give as a number, a bigint, a text or bytes; NaN for anything else. */
export function wholeIn(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  const text = value instanceof Uint8Array ? new TextDecoder().decode(value) : value;
  return typeof text === "string" && /^-?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
}

/**
 * Decides one request, as the kernel does.
 *
 * @param request what is asked
 * @param states what the store holds for each of the request's keys, in the order of `keysOf`; expired states are fine
 * @param nowMs the store's time, an integer, read once for all requests of a batch
 * @throws StoreError `invalid-reply` when the time is not a whole number
 */
export function decide(request: StoreRequest, states: States, nowMs: number): Outcome {
  return decideChecked(request, states, validTime(nowMs));
}

/**
 * The state that `encodeState` wrote, or `null` when it is damaged: also when one of the columns that it was read from
 * holds another type than it was written with.
 */
export function decodeState(text: string, expiresAtMs: number): StoredState | null {
  return typeof text === "string" && Number.isSafeInteger(expiresAtMs) ? decodeText(text, expiresAtMs) : null;
}

/** A store's reply, or the error that says what is wrong with it. */
export function validReply(reply: StoreReply | StoreError | undefined): StoreReply | StoreError {
  if (StoreError.isInstance(reply)) return reply;
  if (reply === undefined) return tooFew();
  return isValid(reply) ? reply : faultIn(reply);
}

/** The replies for some requests: one for each, of which those that are not valid are errors. */
export function validReplies(
  requests: readonly StoreRequest[],
  replies: readonly (StoreReply | StoreError | undefined)[],
): (StoreReply | StoreError)[] {
  if (!Array.isArray(replies)) throw invalid("replies", "a list", replies);
  return requests.map((_, i) => validReply(replies[i]));
}

/**
 * What a store knows of the instances that share it.
 *
 * @throws StoreError `invalid-reply`
 */
export function validBeat(beat: Beat): Beat {
  const { nowMs, instances, rank } = beat ?? {};
  if (!isTime(nowMs)) throw invalid("nowMs", "whole milliseconds since 1970", nowMs);
  if (!isCount(instances) || instances === 0) throw invalid("instances", "a whole number from 1", instances);
  if (!isCount(rank)) throw invalid("rank", "a whole number from 0", rank);
  return beat;
}

const COUNT = "a whole number from 0 to 2^53 - 1";

/** Asked for each decision: what is wrong is looked for only where something is. */
function isValid(reply: StoreReply): boolean {
  if (typeof reply !== "object" || reply === null) return false;
  const { allowed, nowMs, waitMs, steps, replay } = reply;
  if (typeof allowed !== "boolean" || !isTime(nowMs) || !Array.isArray(steps)) return false;
  if (waitMs !== undefined && !isCount(waitMs)) return false;
  for (let i = 0; i < steps.length; i++) if (!isValidStep(steps[i])) return false;
  return replay === undefined || (Array.isArray(replay.units) && replay.units.every(isCount));
}

function isValidStep(step: StepReply | undefined): boolean {
  return (
    typeof step?.allowed === "boolean" &&
    isCount(step.used) &&
    isCount(step.resetAfterMs) &&
    (step.retryAfterMs === null || isCount(step.retryAfterMs)) &&
    (step.granted === undefined || isCount(step.granted)) &&
    (step.grants === undefined || (Array.isArray(step.grants) && step.grants.every(isValidGrant))) &&
    (step.hold === undefined || isFinding(step.hold))
  );
}

function isValidGrant(grant: GrantReply): boolean {
  return typeof grant?.id === "string" && isCount(grant.units) && isCount(grant.endsAfterMs);
}

function isFinding(hold: unknown): boolean {
  return hold === "live" || hold === "late" || hold === "unknown";
}

function faultIn(reply: StoreReply): StoreError {
  if (typeof reply !== "object" || reply === null) return invalid("reply", "an object", reply);
  const { allowed, nowMs, waitMs, steps, replay } = reply;
  if (typeof allowed !== "boolean") return invalid("allowed", "true or false", allowed);
  if (!isTime(nowMs)) return invalid("nowMs", "whole milliseconds since 1970", nowMs);
  if (!Array.isArray(steps)) return invalid("steps", "a list", steps);
  if (waitMs !== undefined && !isCount(waitMs)) return invalid("waitMs", COUNT, waitMs);
  const step = steps.findIndex((each) => !isValidStep(each));
  if (step === -1) return invalid("replay.units", "whole numbers", replay?.units);
  const { allowed: fits, used, granted, grants, hold, resetAfterMs, retryAfterMs } = steps[step] ?? {};
  const at = `steps[${step}]`;
  if (typeof fits !== "boolean") return invalid(`${at}.allowed`, "true or false", fits);
  if (!isCount(used)) return invalid(`${at}.used`, COUNT, used);
  if (!isCount(resetAfterMs)) return invalid(`${at}.resetAfterMs`, COUNT, resetAfterMs);
  if (granted !== undefined && !isCount(granted)) return invalid(`${at}.granted`, COUNT, granted);
  if (retryAfterMs !== null && !isCount(retryAfterMs))
    return invalid(`${at}.retryAfterMs`, `${COUNT}, or null`, retryAfterMs);
  if (hold !== undefined && !isFinding(hold)) return invalid(`${at}.hold`, '"live", "late" or "unknown"', hold);
  return faultInGrants(`${at}.grants`, grants);
}

function faultInGrants(path: string, grants: StepReply["grants"]): StoreError {
  if (!Array.isArray(grants)) return invalid(path, "a list", grants);
  const grant = grants.findIndex((each) => !isValidGrant(each));
  const { id, units, endsAfterMs } = (grants as (Partial<GrantReply> | null)[])[grant] ?? {};
  const at = `${path}[${grant}]`;
  if (typeof id !== "string") return invalid(`${at}.id`, "a text", id);
  if (!isCount(units)) return invalid(`${at}.units`, COUNT, units);
  return invalid(`${at}.endsAfterMs`, COUNT, endsAfterMs);
}

function tooFew(): StoreError {
  return new StoreError("invalid-reply", "the store gave fewer replies than it was asked for", { transient: false });
}

function invalid(what: string, expected: string, got: unknown): StoreError {
  return new StoreError("invalid-reply", `the store's ${what}: expected ${expected}, got ${formatGot(got)}`, {
    transient: false,
  });
}
