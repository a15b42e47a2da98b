// A remote limiter for a program that begins calls, and takes them over after an interruption, as the MCP gateway does. The service has
// no such route, so a call is taken over in the process that began it alone: for a program that is the only one of its clients.

import type { HostedLimiter, Limiter, RunningCall } from "../limiter.ts";
import type { ServiceLimiter } from "./service-limiter.ts";

/** Most calls that can be taken over; the oldest are forgotten first, and have ended then. */
const MOST_CALLS = 1_000;

/** A call that was begun and has not been settled, and the marks under which it was taken over. */
interface Kept {
  readonly running: RunningCall;
  readonly marks: Set<string>;
}

/** @param limiter from `createRemoteLimiter` */
export function callsOf(limiter: Limiter): Pick<HostedLimiter, "begin" | "resume" | "close"> {
  const remote = limiter as ServiceLimiter;
  const kept = new Map<string, Kept>();
  const keep = (id: string, running: RunningCall): RunningCall => {
    const [oldest] = kept.keys();
    if (kept.size >= MOST_CALLS && oldest !== undefined) kept.delete(oldest);
    const keptUntil = <Args extends unknown[], Answer>(end: (...args: Args) => Answer) => {
      return (...args: Args) => {
        kept.delete(id);
        return end(...args);
      };
    };
    const { settle, settleWith } = running;
    const watched = { ...running, settle: keptUntil(settle), settleWith: keptUntil(settleWith) };
    kept.set(id, { running: watched, marks: new Set() });
    return watched;
  };
  return {
    async begin(call, options) {
      const begun = await remote.begin(call, options);
      if (begun.running === null) return begun;
      // The service may give the hold another id later: the program knows this one.
      return { ...begun, running: keep(begun.running.hold.id, begun.running) };
    },
    async resume(id, _call, { mark, leaseMs, signal }) {
      const found = kept.get(id);
      if (found === undefined) return { status: "ended", running: null };
      const { running, marks } = found;
      if (marks.has(mark)) return { status: "taken", running: null };
      marks.add(mark);
      const isAlive = running.leaseMs === null || (await running.hold.extend({ leaseMs, signal }));
      if (isAlive) return { status: "resumed", running };
      kept.delete(id);
      return { status: "ended", running: null };
    },
    close: (options) => remote.close(options),
  };
}
