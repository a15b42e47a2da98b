// How a waiting call sleeps: until an instant, until it is woken, or until its caller or the limiter ends the wait.

import { setTimer } from "../clock.ts";
import { checkOpen } from "./ask.ts";
import type { LimiterContext } from "./context.ts";
import type { SlotWaiter } from "./slots.ts";
import type { AbandonableOptions } from "./call-options.ts";

/**
 * Sleeps until an instant of the limiter's clock.
 *
 * @param waiter may be woken earlier
 * @throws a signal's reason; MisuseError `limiter-closed`
 */
export function sleepUntil(
  context: LimiterContext,
  atMs: number,
  { signal, abandoned }: AbandonableOptions,
  waiter?: SlotWaiter,
): Promise<void> {
  const { clock, sleepers } = context;
  const ms = atMs - clock.nowMs();
  const signals = [signal, abandoned].filter((each) => each !== undefined);
  return new Promise((resolve, reject) => {
    for (const each of signals) each.throwIfAborted();
    checkOpen(context);
    if (ms <= 0) return resolve();
    const end = () => {
      timer.cancel();
      sleepers.delete(fail);
      waiter?.awake();
      for (const each of signals) each.removeEventListener("abort", stop);
    };
    const fail = (reason: unknown) => {
      end();
      reject(reason);
    };
    const stop = () => fail(signals.find((each) => each.aborted)?.reason);
    const wake = () => {
      end();
      resolve();
    };
    const timer = setTimer(clock, ms, wake);
    sleepers.add(fail);
    for (const each of signals) each.addEventListener("abort", stop, { once: true });
    waiter?.sleep(wake);
  });
}

/** Counts a call among those that sleep for some buckets, while it sleeps. */
export async function countedSleep(
  { sleeping }: LimiterContext,
  buckets: readonly string[],
  sleep: Promise<void>,
): Promise<void> {
  const add = (count: number) => {
    for (const bucket of buckets) {
      const calls = (sleeping.get(bucket) ?? 0) + count;
      if (calls === 0) sleeping.delete(bucket);
      else sleeping.set(bucket, calls);
    }
  };
  add(1);
  try {
    await sleep;
  } finally {
    add(-1);
  }
}

/** Remembers work until it has ended: closing the limiter waits for it. */
export function tracked<Value>({ waits }: LimiterContext, work: Promise<Value>): Promise<Value> {
  waits.add(work);
  const end = () => void waits.delete(work);
  work.then(end, end);
  return work;
}
