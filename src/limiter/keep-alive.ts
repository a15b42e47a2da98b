// Keeps the hold of a running call alive: extended at a third of its lease, and ended at a limit, so that a call that
// never ends cannot keep its units for as long as the process lives.

import { setTimer, type Timer } from "../clock.ts";
import type { Cost } from "../kernel/call.ts";
import type { Begun, RunOptions } from "./begun.ts";
import type { HoldLimit } from "./events.ts";

/** A hold that is kept alive. */
export interface Alive {
  /** Emits that the hold is no longer kept alive. */
  tellLimit(reason: HoldLimit): void;
  /** Stops. Resolves to what was booked when the hold reached a limit, else to `null`. */
  stop(): Promise<Cost | null>;
}

/**
 * Extends a hold again and again, until it is stopped or reaches a limit.
 *
 * @param soFar what the call takes as far as it is known
 */
export function keepAlive(begun: Begun, { leaseMs, isActive }: RunOptions, soFar: () => Cost): Alive {
  const { call, hold, maxHoldMs, clock } = begun;
  const beganMs = clock.nowMs();
  const forMs = () => clock.nowMs() - beganMs;
  const tellLimit = (reason: HoldLimit) => {
    begun.tell({ type: "hold.limit_reached", call, holdId: hold.id, reason, heldMs: Math.round(forMs()) });
  };
  if (begun.leaseMs === null) return { tellLimit, stop: async () => null };

  const livesMs = begun.leaseMs;
  const eachMs = Math.ceil(livesMs / 3);
  // A call that becomes active again must be seen before its lease has ended.
  const againMs = Math.ceil(livesMs / 20);
  let extendedForMs = 0;
  let timer: Timer;
  let isStopped = false;
  let booking: Promise<Cost | null> = Promise.resolve(null);
  const wait = (ms: number) => {
    timer = setTimer(clock, Math.max(1, Math.min(ms, maxHoldMs - forMs())), tick);
  };
  const tick = () => {
    if (forMs() >= maxHoldMs) reach("max-hold");
    else if (isStillActive(isActive)) void extend();
    else if (forMs() - extendedForMs >= livesMs) reach("unread");
    else wait(againMs);
  };
  const reach = (reason: HoldLimit) => {
    isStopped = true;
    tellLimit(reason);
    booking = bookEstimate(begun, soFar());
  };
  const extend = async () => {
    const atMs = forMs();
    let error: unknown = null;
    let isAlive = true;
    try {
      isAlive = await hold.extend({ leaseMs });
    } catch (thrown) {
      error = thrown;
    }
    if (isStopped) return;
    if (!isAlive || error !== null) begun.tell({ type: "hold.lost", call, holdId: hold.id, error });
    if (error === null) extendedForMs = atMs;
    if (isAlive) wait(eachMs);
  };
  wait(eachMs);
  return {
    tellLimit,
    async stop() {
      isStopped = true;
      timer.cancel();
      return booking;
    },
  };
}

function isStillActive(isActive: RunOptions["isActive"]): boolean {
  try {
    return isActive?.() !== false;
  } catch {
    // A fault of the program's own function: to end its call would be worse.
    return true;
  }
}

/** Charges what was held, or what was reported where that is more, and ends the hold. `null` when that failed. */
async function bookEstimate(begun: Begun, soFar: Cost): Promise<Cost | null> {
  const booked: Record<string, number> = { ...begun.prices, ...soFar };
  for (const [unit, price] of Object.entries(begun.prices)) booked[unit] = Math.max(price, soFar[unit] ?? 0);
  try {
    await begun.settle(booked, "held");
    return booked;
  } catch (error) {
    begun.tell({ type: "hold.unsettled", call: begun.call, holdId: begun.hold.id, error });
    return null;
  }
}
