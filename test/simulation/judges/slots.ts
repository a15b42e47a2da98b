// Never more calls run at once than a limit of concurrency has slots.

import { algorithmOf } from "../../../src/kernel/algorithms/registry.ts";
import type { Booking } from "../bookings.ts";
import type { Account, Oracle } from "../oracle.ts";

/** Clocks differ by a thousandth, and an answer takes a while. */
const SLACK_MS = 60;

interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

export function* slots(oracle: Oracle): Generator<string> {
  if (!areHoldsKnown(oracle)) return;
  for (const account of oracle.accounts.values()) {
    const { everySpec, key, capacity } = account;
    // An instance that has another policy may end a hold, and changes the bucket then.
    if (!everySpec.every((spec) => algorithmOf(spec).isHeldOnly) || !isEnforced(oracle, account)) continue;
    const spans = account.bookings.flatMap(spanOf);
    for (const { fromMs } of spans) {
      const running = spans.filter((span) => span.fromMs <= fromMs && fromMs < span.untilMs).length;
      if (running <= capacity) continue;
      yield `${running} calls run in ${key} at ${fromMs.toFixed(0)} ms, ${capacity} may`;
      break;
    }
  }
}

/** While the store is away, slots are shared out, and a process that dies or stands still cannot keep its slot. */
function areHoldsKnown({ run, away }: Oracle): boolean {
  const isHeld = run.schedule.faults.every(({ type }) => type === "reload" || type === "clock");
  const isReset = run.log.of("asked").some(({ planned }) => planned.verb === "reset");
  return isHeld && !isReset && away.length === 0;
}

function isEnforced({ policies }: Oracle, { limit }: Account): boolean {
  return policies.every(({ limits }) => limits.every(({ name, mode }) => name !== limit || mode === "enforce"));
}

/** How long a call ran for sure, with its slot. */
function spanOf({ planned, decided, admitted }: Booking): Span[] {
  if (decided === null || admitted === 0 || decided.decision.replayed || !("lastsMs" in planned)) return [];
  const { lastsMs } = planned;
  const heldMs = planned.verb === "reserve" ? Math.min(lastsMs, planned.leaseMs ?? lastsMs) : lastsMs;
  return [{ fromMs: decided.atMs, untilMs: decided.atMs + heldMs - SLACK_MS }];
}
