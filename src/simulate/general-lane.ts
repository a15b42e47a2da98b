// Calls that run for some time, and whose end matters: they hold units while they run, are refunded when they fail, or their
// outcomes count. A limiter runs them as it would run the real ones, and its clock is moved from timer to timer.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { createHostedLimiter, type HostedLimiter } from "../limiter.ts";
import type { Store } from "../store/store.ts";
import type { SteppedClock } from "../testing/fake-clock.ts";
import { type OpenCall, OpenCalls } from "./open-calls.ts";
import { unknownResult } from "./plain-lane.ts";
import type { TracedCall } from "./traced-call.ts";

/** What a call that failed throws. */
class CallFailed extends Error {}

export class GeneralLane {
  readonly #clock: SteppedClock;
  readonly #limiter: HostedLimiter;
  readonly #open = new OpenCalls();
  #decision: Decision | null = null;

  constructor(policy: CompiledPolicy, prefix: string, store: Store, clock: SteppedClock) {
    this.#clock = clock;
    this.#limiter = createHostedLimiter({
      policy,
      prefix,
      store,
      onDecision: (decision) => {
        this.#decision = decision;
      },
    });
  }

  /** Whether time must not pass without `pass`. */
  get isRunning(): boolean {
    return this.#open.size > 0;
  }

  async decide(call: Call, traced: TracedCall): Promise<Decision> {
    this.#decision = null;
    const { durationMs, hasFailed, result, line } = traced;
    const { promise: ending, resolve: end } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const ran = this.#limiter.run(call, async () => {
      begin();
      if (durationMs > 0) await ending;
      if (hasFailed === true) throw new CallFailed();
      return result === undefined ? unknownResult(line) : result;
    });
    const ended = ran.then(doNothing, throwUnlessCallFailed);
    await (durationMs > 0 ? Promise.race([begun, ended]) : ended);
    const decision = this.#decision as unknown as Decision;
    if (durationMs > 0 && decision.allowed) this.#open.add({ endsAtMs: this.#clock.nowMs() + durationMs, ended, end });
    return decision;
  }

  /** Lets time pass: calls extend their holds, and end. */
  async pass(untilMs: number): Promise<void> {
    for (;;) {
      const nextEnd = this.#open.first;
      const endsAtMs = nextEnd?.endsAtMs ?? Number.POSITIVE_INFINITY;
      const nextMs = Math.min(this.#clock.nextAtMs() ?? Number.POSITIVE_INFINITY, endsAtMs);
      if (nextMs > untilMs) break;
      this.#clock.advance(nextMs - this.#clock.nowMs());
      if (nextEnd !== undefined && nextMs === endsAtMs) await this.#end(nextEnd);
      else await turns();
    }
    this.#clock.advance(untilMs - this.#clock.nowMs());
  }

  /** Ends what still runs. */
  async close(): Promise<void> {
    for (let open = this.#open.first; open !== undefined; open = this.#open.first) await this.#end(open);
    await this.#limiter.close();
  }

  async #end(open: OpenCall): Promise<void> {
    this.#open.removeFirst();
    open.end();
    await open.ended;
  }
}

function doNothing(): void {}

function throwUnlessCallFailed(error: unknown): void {
  if (!(error instanceof CallFailed)) throw error;
}

/** Lets everything go on that waits for no timer. */
function turns(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
