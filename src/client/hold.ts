// A hold that the service made.

import type { Call, Cost } from "../kernel/call.ts";
import { checkHoldOptions } from "../limiter/hold.ts";
import { checkHoldId } from "../limiter/hold-id.ts";
import type { CallOptions, Hold, HostedLimiter, Outcome, Settlement } from "../limiter.ts";
import { askOr, checkReady, checkSendable } from "./ask.ts";
import type { ClientContext } from "./context.ts";
import type { SentQuotas } from "./keyed-call.ts";
import type { SentOutcome } from "./outcome.ts";
import type { BatchItem } from "./wire.ts";

/** A hold, perhaps of a call that runs and may fail. */
export interface EndableHold extends Hold {
  /** Settles a failed call: units that are not named are charged as the `onError` of each limit says. */
  fail(usage: Cost): Promise<Settlement>;
  /** Settles a call, and reports its outcome: `outcome` in this process, `sent` to the service, perhaps only as a hash. */
  end(usage: Cost, outcome: Outcome, sent: SentOutcome): Promise<unknown>;
}

/** The hold of an id. Throws `invalid-option`. */
export function serviceHold(context: ClientContext, id: string, call: Call, quotas: SentQuotas): EndableHold {
  checkHoldId(id);
  const endBy = async (
    op: "settle" | "release" | "end",
    more: object,
    endLocally: (limiter: HostedLimiter) => Promise<Settlement>,
    options?: CallOptions,
  ) => {
    checkSendable(context, options);
    const item: BatchItem<typeof op> = { op, body: { holdId: id, call, ...quotas, ...more }, isRepeatable: true };
    return askOr(context, item, async (away, isInDoubt) => {
      const settlement = await endLocally(away.limiter);
      away.book({ item: () => item }, isInDoubt);
      return settlement;
    });
  };
  return {
    id,
    settle(usage = {}, options) {
      return endBy("settle", { usage }, (limiter) => limiter.getHold(id, call, quotas).settle(usage), options);
    },
    fail(usage) {
      const ending = { usage, hasFailed: true, outcome: null };
      return endBy("settle", { usage, failed: true }, (limiter) => limiter.end(id, call, ending, quotas));
    },
    end(usage, outcome, sent) {
      const ending = { usage, hasFailed: "error" in outcome, outcome };
      return endBy("end", { usage, ...sent }, (limiter) => limiter.end(id, call, ending, quotas));
    },
    release(options) {
      return endBy("release", {}, (limiter) => limiter.getHold(id, call, quotas).release(), options);
    },
    async extend(options = {}) {
      checkHoldOptions(options);
      const { signal, leaseMs } = options;
      checkReady(context, signal);
      const body = { holdId: id, call, ...quotas, leaseMs };
      const { extended } = await askOr(context, { op: "extend", body, isRepeatable: true }, async (away) => {
        return { extended: await away.limiter.getHold(id, call, quotas).extend({ leaseMs }) };
      });
      return extended;
    },
  };
}

/** A hold for the program. The id of a hold that was made here changes when the service makes the hold, hence the getter. */
export function publicHold(hold: EndableHold): Hold {
  return {
    get id() {
      return hold.id;
    },
    settle: (...args) => hold.settle(...args),
    release: (...args) => hold.release(...args),
    extend: (...args) => hold.extend(...args),
  };
}
