// What a program hears of a store whose shards fail one by one: the store is unreachable from when the first shard leaves until the
// last one is back. It decides nothing.

import { type Clock, monotonicClock } from "../../clock.ts";
import type { FailoverEvent } from "../failover/options.ts";

type Tell = (event: FailoverEvent) => void;

export class Outages {
  readonly #tell: Tell;
  readonly #clock: Clock;
  readonly #away = new Set<number>();
  #sinceMs = 0;
  #done = { booked: 0, dropped: 0, raised: 0 };
  #lost = 0;

  constructor(tell: Tell, clock: Clock = monotonicClock) {
    this.#tell = tell;
    this.#clock = clock;
  }

  /** How many shards are away now. */
  get awayCount(): number {
    return this.#away.size;
  }

  /** Takes what one shard says. */
  of(shard: number): Tell {
    return (event) => {
      if (event.type === "store.unreachable") this.#left(shard, event);
      else if (event.type === "store.recovered") this.#returned(shard, event);
      else if (event.type === "failover.lost") this.#lost += event.bookings;
      else this.#tell(event);
    };
  }

  /** All shards are closed. */
  close(): void {
    if (this.#lost > 0) this.#tell({ type: "failover.lost", bookings: this.#lost });
  }

  #left(shard: number, event: FailoverEvent): void {
    if (this.#away.size === 0) {
      this.#sinceMs = this.#clock.nowMs();
      this.#tell(event);
    }
    this.#away.add(shard);
  }

  #returned(shard: number, { booked, dropped, raised }: Extract<FailoverEvent, { type: "store.recovered" }>): void {
    const before = this.#done;
    const done = {
      booked: before.booked + booked,
      dropped: before.dropped + dropped,
      raised: before.raised + raised,
    };
    this.#done = done;
    this.#away.delete(shard);
    if (this.#away.size > 0) return;
    this.#done = { booked: 0, dropped: 0, raised: 0 };
    const awayMs = Math.round(this.#clock.nowMs() - this.#sinceMs);
    this.#tell({ type: "store.recovered", awayMs, ...done });
  }
}
