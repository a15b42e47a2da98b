// While a run lasts, everything that code reads of its machine comes from the simulated machine on which it runs: the time,
// timers, random numbers and ids.

import type { Machine } from "./machine.ts";
import type { Event, World } from "./world.ts";

/** A timer as Node gives it to programs. */
class SimulatedTimer {
  event: Event | null = null;

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

type Run = (...args: unknown[]) => void;

/** Replaces what machines have, for the code that runs on a machine of the world. Returns a function that ends it. */
export function runOn(world: World): () => void {
  const on = (): Machine => {
    if (world.current === null) throw new Error("the code under test runs on no machine");
    return world.current;
  };
  const real = { now: Date.now, performanceNow: performance.now.bind(performance), random: Math.random };
  const undo = [
    replace(Date, "now", () => world.current?.wallMs() ?? real.now()),
    replace(performance, "now", () => world.current?.monotonicMs() ?? real.performanceNow()),
    replace(Math, "random", () => world.current?.random.next() ?? real.random()),
    replace(crypto, "randomUUID", () => on().randomId()),
    replace(AbortSignal, "timeout", (ms: number) => timeoutOn(on(), ms)),
    replace(globalThis, "setTimeout", (run: Run, ms = 0, ...args: unknown[]) => {
      const timer = new SimulatedTimer();
      timer.event = on().setTimer(ms, () => run(...args));
      return timer;
    }),
    replace(globalThis, "setInterval", (run: Run, ms = 0, ...args: unknown[]) => {
      const timer = new SimulatedTimer();
      const machine = on();
      const tick = () => {
        timer.event = machine.setTimer(ms, tick);
        run(...args);
      };
      timer.event = machine.setTimer(ms, tick);
      return timer;
    }),
    replace(globalThis, "setImmediate", (run: Run, ...args: unknown[]) => {
      const timer = new SimulatedTimer();
      timer.event = on().nextTurn(() => run(...args));
      return timer;
    }),
    ...(["clearTimeout", "clearInterval", "clearImmediate"] as const).map((name) =>
      replace(globalThis, name, (timer?: SimulatedTimer) => {
        if (timer?.event) timer.event.run = null;
      }),
    ),
  ];
  return () => {
    for (const each of undo) each();
  };
}

function timeoutOn(machine: Machine, ms: number): AbortSignal {
  const controller = new AbortController();
  const late = () => controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
  machine.setTimer(ms, late);
  return controller.signal;
}

function replace<Target extends object>(target: Target, name: keyof Target & string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, before);
  };
}
