// Plays a trace on a real store, call by call, through the public interface alone: what a simulation must equal.

import { createLimiter, type Decision, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import type { TracedCall } from "../../src/simulate/traced-call.ts";
import type { SteppedClock } from "../../src/testing/fake-clock.ts";

interface Running {
  readonly endsAtMs: number;
  readonly ended: Promise<unknown>;
  end(): void;
}

class CallFailed extends Error {}

/** Decides the calls one after the other. Calls that last go on until the time of a later call is behind their end. */
export async function playOn(
  store: Store,
  clock: SteppedClock,
  policy: PolicyInput,
  calls: readonly TracedCall[],
  prefix = "rate",
): Promise<Decision[]> {
  const decisions: Decision[] = [];
  const limiter = createLimiter({
    policy,
    store,
    prefix,
    failover: false,
    denyCacheMs: 0,
    onDecision: (decision) => void decisions.push(decision),
  });
  let running: Running[] = [];

  /** Moves the clock from timer to timer, so that holds are extended at the instants at which they have to be. */
  async function passTo(atMs: number): Promise<void> {
    for (let next = clock.nextAtMs(); next !== null && next <= atMs; next = clock.nextAtMs()) {
      clock.advance(next - clock.nowMs());
      await settled();
    }
    clock.advance(atMs - clock.nowMs());
  }

  try {
    await playAll();
  } finally {
    for (const { end } of running) end();
    await Promise.allSettled(running.map(({ ended }) => ended));
    await limiter.close();
  }
  return decisions;

  async function playAll(): Promise<void> {
    for (const { call, atMs, durationMs, hasFailed, result, line } of calls) {
      const nowMs = atMs ?? clock.nowMs();
      for (const { endsAtMs, end, ended } of running.toSorted((one, other) => one.endsAtMs - other.endsAtMs)) {
        if (endsAtMs > nowMs) break;
        await passTo(endsAtMs);
        end();
        await ended;
      }
      running = running.filter(({ endsAtMs }) => endsAtMs > nowMs);
      await passTo(nowMs);
      const { promise: ending, resolve: end } = Promise.withResolvers<void>();
      const ended = limiter
        .run(call, async () => {
          if (durationMs > 0) await ending;
          if (hasFailed === true) throw new CallFailed();
          return result ?? `unknown ${line}`;
        })
        .catch((error: unknown) => {
          if (!(error instanceof CallFailed)) throw error;
        });
      const before = decisions.length;
      if (durationMs === 0) await ended;
      else {
        while (decisions.length === before) await settled();
        if (decisions.at(-1)?.allowed === true) running.push({ endsAtMs: nowMs + durationMs, ended, end });
      }
    }
  }
}

/** A turn of the event loop: what a store in this process answers has come by then. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
