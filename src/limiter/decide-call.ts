// One call: what it asks of each limit that matches, in one request, and the decision that comes of the answer.

import { decisionOf } from "../kernel/answer.ts";
import { type Call, dimensionsOf, dimensionValue } from "../kernel/call.ts";
import { argsOf, type Match, resolveMatches, stepOf, valueIn } from "../kernel/charge.ts";
import type { Decision } from "../kernel/decision.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { digest, keyPart, onceKey, tagOf } from "../kernel/key.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Once, Step, StepEvent, StepReply, StoreReply, StoreRequest, Wait } from "../kernel/request.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";
import type { CallOptions } from "./call-options.ts";
import { tell } from "./listener.ts";
import {
  holdIdOf,
  holdNameOf,
  isOnlyRead,
  isPerArgs,
  newHoldId,
  type Part,
  partsHeldBy,
  reservedParts,
  runParts,
  shownParts,
  spentParts,
} from "./parts.ts";
import { ask, type Shared } from "./shared.ts";

/** What is asked for a call. */
export interface Asked {
  /** What the caller wants: a call that is sent again must want the same. */
  readonly verb: "consume" | "record" | "peek" | "reserve" | "run";
  readonly call: Call;
  /** By which it is judged. */
  readonly policy: CompiledPolicy;
  readonly matches: readonly Match[];
  readonly parts: readonly Part[];
  /** Those that came with the call. */
  readonly quotas: ClaimedQuotas | undefined;
  /** Of the holds, instead of the limits' own. */
  readonly leaseMs?: number | undefined;
  /** Whether it may wait for its turn. */
  readonly wait?: Wait | undefined;
}

/** What came of it. */
export interface Decided {
  readonly asked: Asked;
  readonly decision: Decision;
  /** As they were decided: of a call that was sent again, with the units of the first one. */
  readonly parts: readonly Part[];
  /** The id of the holds, `null` when nothing was asked to be held. */
  readonly hold: string | null;
  /** What stores call them. */
  readonly holdName: string | null;
  /** Milliseconds until it is the call's turn. */
  readonly waitMs: number;
  /** What the store answered for each part. */
  readonly steps: readonly StepReply[];
}

const MODES = { consume: "judge", record: "force", peek: "peek", reserve: "judge", run: "judge" } as const;

/** What nearly every charge asks, for all of them. */
const CHARGE_ONE: StepEvent = { type: "charge", cost: 1 };

const CHARGE_NOTHING: StepEvent = { type: "charge", cost: 0 };

const PARTS = {
  consume: spentParts,
  record: spentParts,
  peek: shownParts,
  reserve: reservedParts,
  run: runParts,
} as const;

/** What is asked for a call, with the dimensions bound to it, by the policy in force. A promise where a quota is looked up. */
export function askedFor(
  { policy, prefix, quotas }: Shared,
  verb: Asked["verb"],
  call: Call,
  given: ClaimedQuotas | undefined,
): Asked | Promise<Asked> {
  const asked = (matches: readonly Match[]): Asked => {
    return { verb, call, policy, matches, parts: PARTS[verb](matches, policy, call), quotas: given };
  };
  const found = quotas.of(resolveMatches(policy, prefix, call), given);
  return found instanceof Promise ? found.then(asked) : asked(found);
}

/** Asks the store for a call. Nobody is told of the decision yet. */
export async function decideCall(shared: Shared, asked: Asked, options: CallOptions | undefined): Promise<Decided> {
  const { verb, call, policy, parts, wait } = asked;
  const id = parts.some(({ event }) => event === "hold")
    ? newHoldId(verb === "run", isPerArgs(policy, call), parts)
    : null;
  const name = id === null ? null : holdNameOf(policy, id, call);
  const once = onceOf(shared, asked);
  const say = (): StoreRequest => ({
    mode: MODES[verb],
    steps: stepsOf(shared, parts, name, asked.leaseMs),
    ...(once === null ? {} : { once }),
    ...(wait === undefined ? {} : { wait }),
  });
  const reply = await ask(shared, say, options);
  const first = { parts, hold: id, holdName: name };
  const decided = once === null ? first : firstOf(asked, reply, once.request, first);
  return {
    ...decided,
    asked,
    decision: decisionOf(decided.parts, reply),
    waitMs: reply.waitMs ?? 0,
    steps: reply.steps,
  };
}

/** What takes back what a call booked, the answer that is kept for it too. */
export function undoRequest(shared: Shared, asked: Asked, { decision, holdName }: Decided): StoreRequest {
  const once = onceOf(shared, asked);
  return {
    mode: "undo",
    atMs: decision.decidedAtMs,
    steps: stepsOf(shared, asked.parts, holdName),
    ...(once === null ? {} : { once }),
    ...(asked.wait === undefined ? {} : { wait: asked.wait }),
  };
}

/**
 * What is asked for a call that is consumed without a key or a wait; `null` where that is another thing as time goes by.
 */
export function lastingRequest(shared: Shared, parts: readonly Part[]): StoreRequest | null {
  if (parts.some(({ limit }) => limit.calendar !== null)) return null;
  return { mode: "judge", steps: stepsOf(shared, parts, null) };
}

function stepsOf({ calendar }: Shared, parts: readonly Part[], name: string | null, leaseMs?: number): Step[] {
  return parts.map((part) => stepOf(part, calendar.specOf(part), eventOf(part, name ?? "", leaseMs)));
}

/** Says a decision to `onDecision`, if anybody listens. */
export function tellDecision(
  { onDecision }: Shared,
  { verb, call }: Pick<Asked, "verb" | "call">,
  decision: Decision,
): void {
  if (verb === "peek" || onDecision === undefined) return;
  tell("onDecision", () => onDecision(decision, call, verb === "record"));
}

/** The tag of the partition that a call is in, else of its first bucket; `null` where it has neither. */
export function tagOfCall(
  policy: CompiledPolicy,
  call: Call,
  buckets: readonly { readonly key: string }[],
): string | null {
  const value = valueIn(call, policy.partition);
  if (value !== undefined && value !== null) return keyPart(dimensionValue(policy.partition, value));
  const [first] = buckets;
  return first === undefined ? null : tagOf(first.key);
}

function eventOf(part: Part, id: string, leaseMs = part.limit.leaseMs): StepEvent {
  const { event, cost, limit, seen } = part;
  if (isOnlyRead(part)) return CHARGE_NOTHING;
  if (event === "charge" && seen !== undefined) return { type: "charge", cost, seen };
  if (event === "charge") return cost === 1 ? CHARGE_ONE : { type: "charge", cost };
  return { type: "hold", id, units: cost, leaseMs, onExpiry: limit.onExpiry };
}

/**
 * How a retry is recognised: by the verb, every dimension of the call, its arguments, and its buckets. Not by its cost,
 * which a retry may estimate otherwise, nor by its id, which is a label.
 */
function onceOf({ prefix }: Shared, { verb, call, policy, parts }: Asked): Once | null {
  if (call.idempotencyKey === undefined || verb === "peek") return null;
  const tag = tagOfCall(policy, call, parts);
  if (tag === null) return null;
  const buckets = parts.map(({ key }) => key);
  const request = digest([verb, dimensionsOf(call), argsOf(policy, call), buckets]);
  return { key: onceKey(prefix, tag, "once", call.idempotencyKey), request };
}

function firstOf(
  { verb, call, parts }: Asked,
  reply: StoreReply,
  request: string,
  made: Pick<Decided, "parts" | "hold" | "holdName">,
) {
  const { replay } = reply;
  if (replay === undefined) return made;
  if (replay.request !== request) {
    const expected =
      "a key that was not used within the last ten minutes for another call: with another verb, tool, dimension or arguments";
    throw new MisuseError("idempotency-conflict", {
      path: "idempotencyKey",
      expected,
      got: formatGot(call.idempotencyKey),
    });
  }
  const hold = replay.hold === null ? null : holdIdOf(replay.hold);
  const first = parts.map((part, i) => (isOnlyRead(part) ? part : { ...part, cost: replay.units[i] ?? 0 }));
  return { parts: verb === "run" ? partsHeldBy(hold, first) : first, hold, holdName: replay.hold };
}
