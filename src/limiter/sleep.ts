// How a waiting call sleeps: until an instant, until it is woken, or until its caller or the limiter ends the wait.

import { setTimer } from "../clock.ts";
import { checkOpen } from "./ask.ts";
import type { AbandonableOptions } from "./call-options.ts";
import type { LimiterContext } from "./context.ts";
import type { SlotWaiter } from "./slots.ts";

/** Sleeps until an instant of the limiter's clock, or until the waiter is woken. Throws a signal's reason, or `limiter-closed`. */
export function sleepUntil(
  context: LimiterContext,
  atMs: number,
  { signal, abandoned }: AbandonableOptions,
  waiter?: SlotWaiter,
): Promise<void> {
  const { clock, endSleeps } = context;
  const ms = atMs - clock.nowMs();
  const signals = [signal, abandoned].filter((each) => each !== undefined);
  return new Promise((resolve, reject) => {
    for (const each of signals) each.throwIfAborted();
    checkOpen(context);
    if (ms <= 0) return resolve();
    const end = () => {
      timer.cancel();
      endSleeps.delete(fail);
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
    endSleeps.add(fail);
    for (const each of signals) each.addEventListener("abort", stop, { once: true });
    waiter?.sleep(wake);
  });
}
