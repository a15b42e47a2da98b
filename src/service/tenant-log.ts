// A decision log that also knows the tenants of changed buckets. Only the names of a bucket say its tenant where the limit is not per
// tenant, and only a service puts tenants into names.

import type { DecisionLog } from "../limiter.ts";
import { tenantNamed } from "./tenants.ts";

export function tenantLog(log: DecisionLog): DecisionLog {
  return {
    observe(first, emit) {
      let policy = first;
      const hooks = log.observe(first, emit);
      return {
        decided: (decided) => hooks.decided(decided),
        happened: (event) => hooks.happened(event, "after" in event ? tenantNamed(policy, event.after) : undefined),
        reloaded(next) {
          policy = next;
          hooks.reloaded(next);
        },
        close: (withinMs) => hooks.close(withinMs),
      };
    },
  };
}
