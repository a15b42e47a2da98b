// How a call is told to the service, and how one is decided while that is away.

import type { Call } from "../kernel/call.ts";
import type { Allowed, Decision, Denied } from "../kernel/decision.ts";
import type { Away } from "./away.ts";
import type { Booking } from "./bookings.ts";
import { type Claims, type EndableHold, type Named, recordOf } from "./holds.ts";
import type { HeldAnswer } from "./replies.ts";
import type { Item } from "./wire.ts";

/** What came of asking for a hold, and what the service answered; `null` where this process did. */
export type Held =
  | { readonly decision: Allowed; readonly hold: EndableHold; readonly answer: object | null }
  | { readonly decision: Denied; readonly hold: null; readonly answer: object | null };

/** A hold that this process made. */
export type Made =
  | { readonly decision: Allowed; readonly made: EndableHold }
  | { readonly decision: Denied; readonly made: null };

/** A call at the price that it had when it was sent first, by which its hold is known. */
export function asFirst(call: Call, { verdicts }: Decision, heldUnits: readonly string[]): Call {
  const costs = new Map(verdicts.map(({ unit, cost }) => [unit, cost]));
  const units = [...Object.keys(call.cost ?? {}), ...heldUnits];
  return { ...call, cost: Object.fromEntries(units.map((unit) => [unit, costs.get(unit) ?? 0])) };
}

/** Decides a call here, and remembers to tell the service what was admitted. */
export async function decideAway(
  away: Away,
  op: "consume" | "record" | "peek",
  { call, sent, isRepeatable, claims }: Named,
  isDoubted: boolean,
): Promise<Decision> {
  const decision = await away.limiter[op](call, claims);
  if (op === "peek" || decision.replayed || !(decision.allowed || op === "record")) return decision;
  // Nobody would know whether it was charged before.
  if (isDoubted && !isRepeatable) return decision;
  const record: Booking = { item: () => recordOf(sent, claims) };
  away.book(
    {
      item: () => ({ op, body: { call: sent, ...claims }, isRepeatable }),
      answered: (answer) => (op === "record" || (answer as Decision).allowed ? null : record),
    },
    isDoubted,
  );
  return decision;
}

/** Frees what the service may hold for a call that was denied here. */
export function undoing(item: Item, call: Call, claims: Claims): Booking {
  return {
    item: () => item,
    answered: (answer) => {
      const { holdId } = answer as HeldAnswer;
      if (holdId === null) return null;
      return { item: () => ({ op: "release", body: { holdId, call, ...claims }, isRepeatable: true }) };
    },
  };
}
