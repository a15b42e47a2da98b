// What a store remembers of those who ask, so that a batch whose answer was lost is neither lost nor booked twice: which
// requests of an instance's last batches were booked, and the mark by which it is known whether the store has lost it all.

/** Most batches of one instance that are remembered. */
export const MAX_RECEIPTS = 16;
/** How long they are, after the last one, at least: ms. */
export const RECEIPTS_KEPT_MS = 86_400_000;
/** They end at a multiple of it, ms: so most batches leave the end as it is, which stores write faster. */
export const RECEIPTS_STEP_MS = 3_600_000;
export const MARK_KEY = "tollgate:1:$incarnation";

/** When receipts end that are written now. */
export function receiptsEndMs(nowMs: number): number {
  return nowMs - (nowMs % RECEIPTS_STEP_MS) + RECEIPTS_STEP_MS + RECEIPTS_KEPT_MS;
}

export function receiptsKey(instance: string): string {
  return `tollgate:1:$receipts:${instance}`;
}
