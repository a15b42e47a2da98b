// When the world is calm, the store has counted every unit that was admitted, once.

import type { LimitSpec } from "../../../src/kernel/algorithms/registry.ts";
import { decideBatch, type ReadState, StoreError } from "../../../src/store/api.ts";
import { expectedLosses } from "../losses.ts";
import type { Account, Oracle } from "../oracle.ts";

export function* count(oracle: Oracle): Generator<string> {
  const { store } = oracle.run;
  for (const account of oracle.accounts.values()) {
    if (!isLasting(account)) continue;
    const used = usedIn(oracle, account);
    if (used === null) continue;
    const { fewer, more } = expectedLosses(oracle, account);
    const least = account.bookings.reduce((sum, booking) => sum + booking.least, 0) - fewer;
    const most = account.bookings.reduce((sum, booking) => sum + booking.most, 0) + more;
    if (used >= least && used <= most) continue;
    const allowed = least === most ? `${least}` : `${Math.max(0, least)} to ${most}`;
    yield `the store counts ${used} in ${account.key}, expected ${allowed} (by ${store.of(account.key).nowMs()})`;
  }
}

const LONGER_THAN_RUN_MS = 600_000;

/** An instance that nothing asks gives back by itself what the store has lost. */
export function* idleCount(oracle: Oracle): Generator<string> {
  const { store, statesWhenCalm, schedule } = oracle.run;
  if (!oracle.isOneAlone || schedule.faults.some(({ type }) => type !== "restart" && type !== "reload")) return;
  for (const account of oracle.accounts.values()) {
    const isHeld = account.bookings.some(({ planned }) => planned.verb === "reserve" || planned.verb === "run");
    if (!isLasting(account) || isHeld || expectedLosses(oracle, account).fewer > 0) continue;
    const used = usedIn(oracle, account, (key) => statesWhenCalm.get(key));
    // A call that waits may have been decided since.
    const booked = account.bookings.filter(({ decided }) => decided !== null && decided.atMs < schedule.calmAtMs);
    const least = booked.reduce((sum, booking) => sum + booking.least, 0);
    if (used === null || used >= least) continue;
    yield `five seconds after the last fault the store counts ${used} in ${account.key}, expected ${least} (by ${store.of(account.key).nowMs()})`;
  }
}

/** Whether units of a bucket stay used as long as a run lasts. */
export function isLasting({ everySpec }: Account): boolean {
  return everySpec.every((spec) => {
    if (spec.algorithm === "budget") return spec.ttlMs >= LONGER_THAN_RUN_MS;
    return spec.algorithm === "fixed-window" && "windowMs" in spec && spec.windowMs >= LONGER_THAN_RUN_MS;
  });
}

/** What the store counts in a bucket; `null` for one that is damaged. */
export function usedIn(
  { run: { store } }: Oracle,
  { key, specs }: Account,
  read: (key: string) => ReadState = (each) => store.of(each).read(each),
): number | null {
  const spec = specs[0] as LimitSpec;
  const request = { mode: "peek", steps: [{ bucket: key, limit: spec, event: { type: "read" } }] } as const;
  const [reply] = decideBatch([request], read, store.of(key).nowMs()).replies;
  return reply === undefined || StoreError.isInstance(reply) ? null : (reply.steps[0]?.used ?? 0);
}
