// What a store remembers of those who ask, so that a batch whose answer was lost is neither lost nor booked twice: which
// requests of an instance's last batches were booked, and the mark by which it is known whether the store has lost it all.

/** Most batches of one instance that are remembered. */
export const MAX_RECEIPTS = 16;
/** How long they are, after the last one: ms. */
export const RECEIPTS_KEPT_MS = 86_400_000;
export const MARK_KEY = "tollgate:1:$incarnation";

export function receiptsKey(instance: string): string {
  return `tollgate:1:$receipts:${instance}`;
}
