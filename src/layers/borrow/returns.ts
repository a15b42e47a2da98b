// Gives borrowed units back to the store, and ends loans. What the store cannot take now is kept and given back later.

import { type Clock, pauseAfter } from "../../clock.ts";
import type { Step, StoreRequest } from "../../kernel/request.ts";
import type { Layer, Store } from "../../store/store.ts";
import type { Loan, Returned } from "./account.ts";
import { isRetryable, settledLoans } from "./requests.ts";

/** Most buckets whose units are returned in one batch. */
const BUCKETS_IN_BATCH = 128;
/** How long to wait before units are returned again that the store could not take: the first time, and at most, ms. */
const RETRY_MS = { first: 1_000, most: 8_000 };

export class Returns {
  readonly #store: Layer;
  readonly #giveBack: Store["apply"];
  readonly #clock: Clock;
  /** What could not be returned yet, and when to try again. */
  #waiting: Returned[] = [];
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;

  /** @param giveBack asks once, and never again after an outage */
  constructor(store: Layer, giveBack: Store["apply"], clock: Clock) {
    this.#store = store;
    this.#giveBack = giveBack;
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Whether units wait, and not only loans to end. */
  get hasUnits(): boolean {
    return this.#waiting.some(({ units }) => units > 0);
  }

  add(returned: readonly Returned[]): void {
    this.#waiting.push(...returned);
  }

  takeAll(): Returned[] {
    return this.#waiting.splice(0);
  }

  /** Takes what it is time to return again. */
  takeDue(nowMs: number): Returned[] {
    return nowMs < this.#retryAtMs ? [] : this.takeAll();
  }

  /** Returns a loan that the store made at an instant, while a grant lasted: then it does not say when units end. */
  giveLoan({ bucket, limit }: Step, { id, units }: Loan, atMs: number): Promise<void> {
    return this.give([{ bucket, limit, units, atMs, endsAtMs: Number.POSITIVE_INFINITY, loans: [id] }]);
  }

  /** Returns units and ends loans. What the store cannot take now waits. */
  async give(all: readonly Returned[]): Promise<void> {
    for (let first = 0; first < all.length; first += BUCKETS_IN_BATCH) {
      await this.#giveSome(all.slice(first, first + BUCKETS_IN_BATCH));
    }
  }

  async #giveSome(all: readonly Returned[]): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const live = all.filter(({ units, endsAtMs }) => units > 0 && nowMs < endsAtMs);
    // When the answer to an undo is lost, the units stay used. So the store first has to show that it answers; by then it has also
    // booked loans that were decided while it was away.
    const reads = live.map(({ bucket, limit }): StoreRequest => {
      return { mode: "peek", steps: [{ bucket, limit, event: { type: "read" } }] };
    });
    const found = reads.length === 0 ? [] : await this.#store.apply(reads).catch(() => []);
    const refused = new Set(live.filter((_, i) => isRetryable(found[i])));
    if (refused.size > 0) {
      this.#waiting.push(...refused);
      this.#retryAtMs = nowMs + pauseAfter(this.#failures++, RETRY_MS.first, RETRY_MS.most);
    } else if (live.length > 0) this.#failures = 0;
    const requests = all
      .filter((each) => !refused.has(each))
      .flatMap(({ bucket, limit, units, atMs, endsAtMs, loans }): StoreRequest[] => {
        const steps: Step[] = [{ bucket, limit, event: { type: "charge", cost: units } }];
        const undo = { mode: "undo", atMs, steps } as const;
        return [...(units > 0 && nowMs < endsAtMs ? [undo] : []), ...settledLoans(bucket, loans)];
      });
    if (requests.length > 0) await this.#giveBack(requests).catch(() => []);
  }
}
