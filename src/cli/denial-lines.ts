// Lines of a gateway's log for denied calls: the model reads another text, and a person only sees that a tool failed.

import { inBackground, type Timer } from "../clock.ts";
import type { CallLimiter } from "../gateway/contract.ts";
import type { Begun } from "../limiter.ts";

/** How denials are written. */
export interface DenialLines {
  one(tool: string, decision: Begun["decision"]): void;
  /** Those that had no line of their own. */
  others(count: number): void;
}

/** Lines in a second: a client in a loop must not fill a disk. */
const MOST_LINES = 10;
const SPAN_MS = 1_000;

export function withDenialLines(limiter: CallLimiter, write: DenialLines): CallLimiter {
  let denials = 0;
  let span: Timer | null = null;
  const end = () => {
    if (denials > MOST_LINES) write.others(denials - MOST_LINES);
    denials = 0;
    span = null;
  };
  return {
    async begin(call, options) {
      const begun = await limiter.begin(call, options);
      if (begun.decision.allowed) return begun;
      span ??= inBackground(SPAN_MS, end);
      if (++denials <= MOST_LINES) write.one(String(call.tool), begun.decision);
      return begun;
    },
    resume: (...args) => limiter.resume(...args),
    close(...args) {
      span?.cancel();
      end();
      return limiter.close(...args);
    },
  };
}
