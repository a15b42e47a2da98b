// Ends a running call that another process may have begun.

import type { LimiterContext } from "./context.ts";
import { type FoundHold, pricesOf } from "./held-call.ts";
import type { Ending } from "./hosted.ts";
import { emitEvent } from "./listener.ts";
import { countedOutcomes } from "./report.ts";
import { type Settlement, settle } from "./settle.ts";
import { UsageSum } from "./usage-sum.ts";

export function endCall(context: LimiterContext, { held, matches }: FoundHold, ending: Ending): Promise<Settlement> {
  // `pricesOf` also has units that were charged at once: `unitsAtEnd` subtracts them again.
  const sum = new UsageSum(held.policy.units, pricesOf(held), (unusable) =>
    emitEvent(context, { type: "usage.unusable", call: held.call, holdId: held.id, ...unusable }),
  );
  sum.add(ending.usage);
  const { outcome, hasFailed } = ending;
  const outcomes = outcome === null ? [] : countedOutcomes(context, held.call, matches, outcome);
  return settle(context, held, { usage: sum.end(), unnamed: hasFailed ? "onError" : "held", outcomes });
}
