// No call takes longer than its deadline and its wait. Time in which the process stood still is added once.

import type { Decided, Oracle } from "../oracle.ts";
import type { PlannedCall } from "../schedule.ts";

/** Where there is no failover, the store's own deadline. */
const WITHOUT_FAILOVER_MS = 1_000;

export function* deadline(oracle: Oracle): Generator<string> {
  const { run } = oracle;
  const { deadlineMs, hasFailover, jitterMs } = run.schedule.settings;
  const mostMs = hasFailover ? deadlineMs : WITHOUT_FAILOVER_MS;
  // Timers may be late, and a call has a few of them.
  const slackMs = 5 * (jitterMs + 2);
  for (const entry of run.log.entries) {
    if (entry.type !== "decided" && entry.type !== "failed" && entry.type !== "done") continue;
    const { planned, tookMs, pausedMs, on } = entry;
    // The end of its function is part of it.
    if (planned.verb === "run" && entry.type !== "decided") continue;
    const waitMs = Math.max(waitOf(planned), entry.type === "decided" ? waitOfCopies(oracle, entry) : 0);
    // A wait ends with one more look, and each look has a deadline.
    const looks = waitMs > 0 ? 2 : 1;
    if (tookMs <= waitMs + looks * mostMs + 2 * pausedMs + slackMs) continue;
    yield `the call ${planned.id} (${planned.verb}) on ${on} took ${tookMs.toFixed(1)} ms`;
  }
}

function waitOf(planned: PlannedCall): number {
  return ("maxWaitMs" in planned ? planned.maxWaitMs : 0) ?? 0;
}

/** How long a call may wait that is sent again: until the turn of any other call under its key. */
function waitOfCopies(oracle: Oracle, { planned, decision, askedAtMs }: Decided): number {
  if (!decision.replayed || !oracle.comesTwice(planned)) return 0;
  const turns = oracle.triesOf(planned).map((other) => other.askedAtMs + waitOf(other.planned));
  return Math.max(...turns) - askedAtMs;
}
