// When the world is calm, the store has counted every unit that was admitted, once.

import { decideBatch, StoreError } from "../../../src/store/api.ts";
import { expectedLosses } from "../losses.ts";
import type { Account, Oracle } from "../oracle.ts";

export function* count(oracle: Oracle): Generator<string> {
  const { server } = oracle.run;
  for (const account of oracle.accounts.values()) {
    if (!isLasting(account)) continue;
    const used = usedIn(oracle, account);
    if (used === null) continue;
    const { fewer, more } = expectedLosses(oracle, account);
    const least = account.bookings.reduce((sum, booking) => sum + booking.least, 0) - fewer;
    const most = account.bookings.reduce((sum, booking) => sum + booking.most, 0) + more;
    if (used >= least && used <= most) continue;
    const allowed = least === most ? `${least}` : `${Math.max(0, least)} to ${most}`;
    yield `the store counts ${used} in ${account.key}, expected ${allowed} (by ${server.nowMs()})`;
  }
}

/** Whether units of a bucket stay used as long as a run lasts. */
export function isLasting({ spec }: Account): boolean {
  if (spec.algorithm === "budget") return spec.ttlMs >= 600_000;
  return spec.algorithm === "fixed-window" && "windowMs" in spec && spec.windowMs >= 600_000;
}

/** What the store counts in a bucket; `null` for one that is damaged. */
export function usedIn({ run: { server } }: Oracle, { key, spec }: Account): number | null {
  const request = { mode: "peek", steps: [{ bucket: key, limit: spec, event: { type: "read" } }] } as const;
  const [reply] = decideBatch([request], (each) => server.read(each), server.nowMs()).replies;
  return reply === undefined || StoreError.isInstance(reply) ? null : (reply.steps[0]?.used ?? 0);
}
