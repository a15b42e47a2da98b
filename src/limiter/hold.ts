// Units that were set aside for a call, until it is known what it took.

import { usageOf } from "../kernel/answer.ts";
import type { Call, Cost } from "../kernel/call.ts";
import { type Bucket, checkCost, type Match, stepOf } from "../kernel/charge.ts";
import type { Allowed, Usage } from "../kernel/decision.ts";
import { checkWhole, formatGot, MisuseError } from "../kernel/errors.ts";
import { digest, onceKey } from "../kernel/key.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema.ts";
import type { Once, StepEvent, StepReply, StoreRequest } from "../kernel/request.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";
import { type CallOptions, checkCallOptions } from "./call-options.ts";
import { tagOfCall } from "./decide-call.ts";
import { holdNameOf, isHeldOnly, isPerArgs, isRestarted, newHoldId, onErrorOf, type Part } from "./parts.ts";
import type { OutcomeReport } from "./report.ts";
import { ask, type Shared, tellEvent } from "./shared.ts";
import { checkMaxWait, type WaitOptions } from "./wait.ts";

/** How a hold is made or extended. */
export interface HoldOptions extends CallOptions {
  /** How long the hold lives from now, 1 to 86,400,000 ms. Default: what each limit's `lease` says. */
  readonly leaseMs?: number | undefined;
}

/** How a hold is made for a call. Its lease begins when the call is allowed. */
export interface ReserveOptions extends HoldOptions, WaitOptions {}

/** Units that are set aside for a call. What nobody settles or releases expires, as each limit's `onExpiry` says. */
export interface Hold<Unit extends string = string, Limit extends string = string> {
  /** Names the hold, also for another process (`limiter.getHold`). */
  readonly id: string;

  /**
   * Books what the call took, whatever that is, and frees the rest. A unit that is not named took what was held. Sent
   * again with equal numbers, it is booked once.
   *
   * @throws MisuseError `invalid-cost`, `unknown-unit`, `already-settled` (with other numbers), `limiter-closed`
   * @throws StoreError when the store failed; settling once more is safe
   */
  settle(usage?: Cost<Unit>, options?: CallOptions): Promise<Settlement<Limit>>;

  /**
   * Frees all units.
   *
   * @throws MisuseError `already-settled`, `unknown-hold`, `limiter-closed`
   * @throws StoreError when the store failed; releasing once more is safe
   */
  release(options?: CallOptions): Promise<Settlement<Limit>>;

  /**
   * Lets the hold live longer. Resolves to `false` when it has expired.
   *
   * @throws MisuseError `invalid-option`, `unknown-hold`, `limiter-closed`
   * @throws StoreError when the store failed
   */
  extend(options?: HoldOptions): Promise<boolean>;
}

/** What settling came to. */
export interface Settlement<Limit extends string = string> {
  /**
   * `late`: the hold had expired; where it was charged then, only what went beyond that was booked. `unknown-hold`: there was no
   * such hold, or it ended ten minutes ago or longer; all of the usage was booked.
   */
  readonly status: "settled" | "late" | "unknown-hold";
  /** Whether this repeats an earlier answer. */
  readonly replayed: boolean;
  /** How the buckets stand. */
  readonly usages: readonly Usage<Limit>[];
}

/** The decision of a call that was allowed, and its hold. */
export type Reserved<Unit extends string = string, Limit extends string = string> = Allowed<Limit> & {
  readonly hold: Hold<Unit, Limit>;
};

/** One limit of a held call: units held there, and those that were spent at once. */
interface HeldPart extends Bucket {
  readonly held: number;
  readonly charged: number;
}

/** What units took that a settlement does not name: what was held, what the limit's `onError` says, or nothing. */
export type Rest = "held" | "onError" | "nothing";

/** What a hold is about. */
export interface HoldOf {
  /** What its callers know. */
  readonly id: string;
  /** What stores call it. */
  readonly name: string;
  /** The one that it began with. */
  readonly policy: CompiledPolicy;
  readonly call: Call;
  readonly parts: readonly HeldPart[];
  /** Of a hold that was found by its id: quotas that came with it. The others are looked up when it is used. */
  readonly quotas?: ClaimedQuotas;
}

/** All limits that match a call, with what was asked of each: one that had no price may get an actual. */
export function heldParts(matches: readonly Match[], parts: readonly Part[]): HeldPart[] {
  return matches.map((match) => {
    const part = parts.find(({ key }) => key === match.key);
    const units = part?.cost ?? 0;
    const isHeld = part?.event === "hold" && match.allotment.isCounted;
    return { ...match, held: isHeld ? units : 0, charged: part?.event === "charge" ? units : 0 };
  });
}

/** The hold as users know it. */
export function holdOf(shared: Shared, of: HoldOf): Hold {
  return {
    id: of.id,
    settle: (actual = {}, options) => settle(shared, of, actual, "held", options),
    async release(options) {
      const settlement = await settle(shared, of, {}, "nothing", options);
      if (settlement.status === "unknown-hold") throw unknownHold(of.id);
      return settlement;
    },
    extend: (options) => extend(shared, of, options),
  };
}

/**
 * Ends a hold.
 *
 * @param report what came of the call, for limits that count outcomes: booked together with the units, and once
 */
export async function settle(
  shared: Shared,
  hold: HoldOf,
  actual: Cost,
  rest: Rest,
  options: CallOptions = {},
  report: OutcomeReport | null = null,
): Promise<Settlement> {
  checkCallOptions(options);
  checkUsage(hold.policy, actual);
  const of = hold.quotas === undefined ? hold : await allotted(shared, hold);
  const unitsOf = (part: HeldPart) => actualOf(part, actual, rest === "onError" ? restOfFailed(of, part) : rest);
  const parts = partsOf(shared, of).filter((part) => part.held > 0 || unitsOf(part) > 0);
  const once = settledOnce(
    shared,
    of,
    parts.map((part) => [part.key, unitsOf(part)] as const),
    report,
  );
  const say = (): StoreRequest => {
    const steps = parts.map((part) => {
      const units = unitsOf(part);
      const event: StepEvent = part.held > 0 ? { type: "settle", id: of.name, units } : { type: "charge", cost: units };
      return stepOf(part, shared.calendar.specOf(part), event);
    });
    return { mode: "force", steps: [...steps, ...(report?.steps() ?? [])], ...(once === null ? {} : { once }) };
  };
  const reply = await ask(shared, say, options);
  for (const part of parts) if (isHeldOnly(part)) shared.slots.freed(part.key);
  if (reply.replay !== undefined && reply.replay.request !== once?.request) {
    throw rest === "nothing" ? settledBefore(of.id) : settledOtherwise(of.id, actual);
  }
  // Nothing was held where a quota is unlimited.
  const found = reply.steps.flatMap(({ hold = [] }, i) => (parts[i]?.allotment.quota === null ? [] : hold));
  const status = statusOf(found);
  const replayed = reply.replay !== undefined;
  // What is only released books nothing.
  if (status === "unknown-hold" && !replayed && rest !== "nothing") {
    const booked = bookedOf(parts.map((part) => [part, unitsOf(part)] as const));
    tellEvent(shared, { type: "hold.unknown", call: of.call, holdId: of.id, booked });
  }
  return {
    status,
    replayed,
    usages: parts.flatMap((part, i) => usageOf(part, { ...reply, steps: reply.steps.slice(i, i + 1) })),
  };
}

function settledOtherwise(id: string, actual: Cost): MisuseError {
  const expected = `what the hold ${id} was settled with before`;
  const hint = "A hold ends once. This one was settled with other numbers, or released: that stays.";
  return new MisuseError("already-settled", { path: "usage", expected, got: formatGot(actual), hint });
}

function settledBefore(id: string): MisuseError {
  const expected = "a hold that was not settled: what it used is booked, and nothing is left to release";
  return new MisuseError("already-settled", { path: "holdId", expected, got: formatGot(id) });
}

/** Refuses what was used where that is no cost: it is called usage then. */
function checkUsage(policy: CompiledPolicy, usage: Cost): void {
  try {
    checkCost(policy, usage);
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    const faults = error.faults.map((fault) => ({ ...fault, path: fault.path.replace(/^cost/, "usage") }));
    throw new MisuseError(error.code, faults);
  }
}

/** What became of a hold, by how each of its buckets found it. */
function statusOf(found: readonly NonNullable<StepReply["hold"]>[]): Settlement["status"] {
  if (found.includes("late")) return "late";
  return found.length > 0 && found.every((each) => each === "unknown") ? "unknown-hold" : "settled";
}

/** What was booked of each unit that is spent. */
function bookedOf(numbers: readonly (readonly [part: HeldPart, units: number])[]): Cost {
  const booked: Record<string, number> = {};
  for (const [part, units] of numbers) {
    const { unit } = part.limit;
    if (!isHeldOnly(part)) booked[unit] = Math.max(booked[unit] ?? 0, units);
  }
  return booked;
}

/** How much of each unit is held, or was charged when the hold was made. */
export function pricesOf({ parts }: HoldOf): Cost {
  const prices: Record<string, number> = {};
  for (const { held, charged, limit } of parts) {
    if (limit.isPriced && held + charged > 0) prices[limit.unit] = Math.max(prices[limit.unit] ?? 0, held + charged);
  }
  return prices;
}

/** The same call, under another id and with nothing held or charged: to settle it books all of the actual. */
export function bareHold(of: HoldOf): HoldOf {
  const id = newHoldId(true, isPerArgs(of.policy, of.call));
  return {
    ...of,
    id,
    name: holdNameOf(of.policy, id, of.call),
    parts: of.parts.map((part) => ({ ...part, held: 0, charged: 0 })),
  };
}

/** Without limits that count from zero since a reload: to end a hold there would write over what they have counted since. */
function partsOf({ policy }: Shared, of: HoldOf): readonly HeldPart[] {
  return policy === of.policy ? of.parts : of.parts.filter(({ limit }) => !isRestarted(policy, limit));
}

/** What a failed call has taken of a limit's unit when it did not report any. */
function restOfFailed({ policy, call }: HoldOf, { limit }: HeldPart): "held" | "nothing" {
  return onErrorOf(policy, call, limit) === "refund" ? "nothing" : "held";
}

/** What a limit is charged at the end, beyond what it was charged before. */
function actualOf(part: HeldPart, actual: Cost, rest: "held" | "nothing"): number {
  const { held, charged, limit, allotment } = part;
  if (!limit.isPriced || !allotment.isCounted) return 0;
  const named = Object.hasOwn(actual, limit.unit) ? actual[limit.unit] : undefined;
  // Nothing is spent there: what it took has no meaning, and must not make two equal settles differ.
  if (isHeldOnly(part)) return held;
  if (held > 0) return named ?? (rest === "held" ? held : 0);
  return Math.max(0, (named ?? charged) - charged);
}

/** What was settled is remembered under the hold's name. */
function settledOnce(
  { prefix }: Shared,
  { name, policy, call, parts }: HoldOf,
  numbers: readonly (readonly [bucket: string, units: number])[],
  report: OutcomeReport | null,
): Once | null {
  const tag = tagOfCall(policy, call, parts);
  if (tag === null) return null;
  const said = report === null ? numbers : [numbers, report.matches.map(({ key }, i) => [key, report.words[i]])];
  return { key: onceKey(prefix, tag, "settled", name), request: digest(said) };
}

/** A hold that was found by its id, with the quotas that its limits have. */
async function allotted({ quotas }: Shared, { quotas: given, ...hold }: HoldOf): Promise<HoldOf> {
  return { ...hold, parts: await quotas.of(hold.parts, given) };
}

async function extend(shared: Shared, hold: HoldOf, options: HoldOptions = {}): Promise<boolean> {
  checkHoldOptions(options);
  const of = hold.quotas === undefined ? hold : await allotted(shared, hold);
  const parts = partsOf(shared, of).filter(({ held, allotment }) => held > 0 && allotment.quota !== null);
  const say = (): StoreRequest => {
    const steps = parts.map((part) => {
      const event: StepEvent = { type: "extend", id: of.name, leaseMs: options.leaseMs ?? part.limit.leaseMs };
      return stepOf(part, shared.calendar.specOf(part), event);
    });
    return { mode: "force", steps };
  };
  const reply = await ask(shared, say, options);
  if (parts.length > 0 && reply.steps.every(({ hold }) => hold === "unknown")) throw unknownHold(of.id);
  // A bucket that does not know the hold was reset, or has a limit that came with a reload.
  return parts.length === 0 ? reply.allowed : reply.steps.every(({ hold }) => hold !== "late");
}

function unknownHold(id: string): MisuseError {
  return new MisuseError("unknown-hold", {
    path: "holdId",
    expected: "a hold that was made for this call (with the same tool and dimensions), and did not end ten minutes ago",
    got: formatGot(id),
  });
}

/**
 * Refuses options of a hold that are wrong.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkHoldOptions(options: HoldOptions): void {
  checkCallOptions(options, ["signal", "leaseMs"]);
  const { leaseMs } = options;
  if (leaseMs !== undefined) checkWhole("leaseMs", leaseMs, 1, MAX_LEASE_MS);
}

/**
 * Refuses options of a hold for a call that are wrong.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkReserveOptions(options: ReserveOptions): void {
  checkCallOptions(options, ["signal", "quotas", "leaseMs", "maxWaitMs"]);
  const { signal, leaseMs, maxWaitMs } = options;
  checkHoldOptions({ signal, leaseMs });
  checkMaxWait(maxWaitMs);
}
