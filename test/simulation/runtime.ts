// While a run lasts, everything that src asks of its runtime comes from the simulated machine on which the code runs: the time, timers,
// random numbers and ids.

import { runOn, type Timer } from "../../src/clock.ts";
import { drawFrom } from "../../src/ids.ts";
import type { Machine } from "./machine.ts";
import type { Event, World } from "./world.ts";

/** Puts the world's machines under src. Returns a function that gives src its runtime back. */
export function runInWorld(world: World): () => void {
  const on = (): Machine => {
    if (world.current === null) throw new Error("the code under test runs on no machine");
    return world.current;
  };
  runOn({
    wallMs: () => on().wallMs(),
    monotonicMs: () => on().monotonicMs(),
    startTimer: (ms, run) => timerOf({ event: on().setTimer(ms, run) }),
    startInterval(ms, run) {
      const machine = on();
      const next = () => {
        timer.event = machine.setTimer(ms, next);
        run();
      };
      const timer = { event: machine.setTimer(ms, next) };
      return timerOf(timer);
    },
    nextTurn: (run) => void on().nextTurn(run),
    afterReads: (run) => void on().nextTurn(run),
  });
  drawFrom({ random: () => on().random.next(), randomId: () => on().randomId() });
  return () => {
    runOn(null);
    drawFrom(null);
  };
}

/** A simulated process lives on without timers. */
function timerOf(timer: { readonly event: Event }): Required<Timer> {
  return {
    cancel() {
      timer.event.run = null;
    },
    ref() {},
    unref() {},
  };
}
