// Keeps the hold of a running call alive: extended at a third of its lease, and ended at a limit, so that a call that
// never ends cannot keep its units for as long as the process lives.

import { setTimer, type Timer } from "../clock.ts";
import type { Cost } from "../kernel/call.ts";
import type { HoldLimit } from "./events.ts";
import type { RunOptions } from "./hold.ts";
import type { RunningCall } from "./running-call.ts";

export interface KeptAlive {
  /** Emits that the hold is no longer kept alive. */
  emitLimit(reason: HoldLimit): void;
  /** Stops. Resolves to what was booked when the hold reached a limit, else to `null`. */
  stop(): Promise<Cost | null>;
}

/** Extends a hold at a third of its lease, until it is stopped or reaches a limit. */
export function keepAlive(running: RunningCall, { leaseMs, isActive }: RunOptions, usageSoFar: () => Cost): KeptAlive {
  const { call, hold, maxHoldMs, clock } = running;
  const beganMs = clock.nowMs();
  const heldMs = () => clock.nowMs() - beganMs;
  const emitLimit = (reason: HoldLimit) => {
    running.emit({ type: "hold.limit_reached", call, holdId: hold.id, reason, heldMs: Math.round(heldMs()) });
  };
  if (running.leaseMs === null) return { emitLimit, stop: async () => null };

  const lastsMs = running.leaseMs;
  const extendEachMs = Math.ceil(lastsMs / 3);
  // A call that becomes active again must be noticed before its lease has ended.
  const lookAgainMs = Math.ceil(lastsMs / 20);
  let lastExtendedMs = 0;
  let timer: Timer;
  let isStopped = false;
  let booking: Promise<Cost | null> = Promise.resolve(null);
  const wait = (ms: number) => {
    timer = setTimer(clock, Math.max(1, Math.min(ms, maxHoldMs - heldMs())), tick);
  };
  const tick = () => {
    if (heldMs() >= maxHoldMs) reach("max-hold");
    else if (isStillActive(isActive)) void extend();
    else if (heldMs() - lastExtendedMs >= lastsMs) reach("unread");
    else wait(lookAgainMs);
  };
  const reach = (reason: HoldLimit) => {
    isStopped = true;
    emitLimit(reason);
    booking = bookEstimate(running, usageSoFar());
  };
  const extend = async () => {
    const atMs = heldMs();
    let error: unknown = null;
    let isAlive = true;
    try {
      isAlive = await hold.extend({ leaseMs });
    } catch (thrown) {
      error = thrown;
    }
    if (isStopped) return;
    if (!isAlive || error !== null) running.emit({ type: "hold.lost", call, holdId: hold.id, error });
    if (error === null) lastExtendedMs = atMs;
    if (isAlive) wait(extendEachMs);
  };
  wait(extendEachMs);
  return {
    emitLimit,
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
    // The program's own function failed: ending its call would be worse.
    return true;
  }
}

/** Charges the larger of held and reported units, and ends the hold. Returns `null` when that failed. */
async function bookEstimate(running: RunningCall, soFar: Cost): Promise<Cost | null> {
  const booked: Record<string, number> = { ...soFar };
  for (const [unit, price] of Object.entries(running.prices)) booked[unit] = Math.max(price, soFar[unit] ?? 0);
  try {
    await running.settle(booked, "held");
    return booked;
  } catch (error) {
    running.emit({ type: "hold.unsettled", call: running.call, holdId: running.hold.id, error });
    return null;
  }
}
