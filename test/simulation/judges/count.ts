// When the world is calm, the store has counted every unit that was admitted, once.

import { countsAt } from "../cluster/connection.ts";
import { expectedLosses } from "../losses.ts";
import type { Oracle } from "../oracle.ts";
import { isLasting, usedIn } from "../used.ts";

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

/** An instance that nothing asks gives back by itself what the store has lost. */
export function* idleCount(oracle: Oracle): Generator<string> {
  const { store, statesWhenCalm, schedule } = oracle.run;
  if (!oracle.isOneAlone || schedule.faults.some(({ type }) => type !== "restart" && type !== "reload")) return;
  for (const account of oracle.accounts.values()) {
    const isHeld = account.bookings.some(({ planned }) => planned.verb === "reserve" || planned.verb === "run");
    // A shard that does not count the instances is looked after less often.
    if (
      !countsAt(store.shardOf(account.key)) ||
      !isLasting(account) ||
      isHeld ||
      expectedLosses(oracle, account).fewer > 0
    )
      continue;
    const used = usedIn(oracle, account, (key) => statesWhenCalm.get(key));
    // A call that waits may have been decided since.
    const booked = account.bookings.filter(({ decided }) => decided !== null && decided.atMs < schedule.calmAtMs);
    const least = booked.reduce((sum, booking) => sum + booking.least, 0);
    if (used === null || used >= least) continue;
    yield `five seconds after the last fault the store counts ${used} in ${account.key}, expected ${least} (by ${store.of(account.key).nowMs()})`;
  }
}
