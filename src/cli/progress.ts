// A progress bar on stderr, where that is a terminal.

import { monotonicClock } from "../clock.ts";

const WIDTH = 40;
const EVERY_MS = 50;

/** Counts to `total`. */
export function createProgress(total: number): { tick(): void; end(): void } {
  const isShown = process.stderr.isTTY === true && total > 0;
  let done = 0;
  let shownAtMs = 0;
  const show = () => {
    const full = Math.floor((WIDTH * done) / total);
    process.stderr.write(`\r${"█".repeat(full)}${"░".repeat(WIDTH - full)} ${done}/${total}`);
  };
  return {
    tick() {
      done++;
      if (!isShown || monotonicClock.nowMs() - shownAtMs < EVERY_MS) return;
      shownAtMs = monotonicClock.nowMs();
      show();
    },
    end() {
      if (isShown) process.stderr.write("\r\u001b[K");
    },
  };
}
