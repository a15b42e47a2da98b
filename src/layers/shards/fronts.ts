// What stands before each shard of a store: batches, and failover where the limiter has it. The parts for a shard are made when the
// shard is first asked. Which requests go there is decided in shards.ts.

import type { LayerSettings, Layer, Store } from "../../store/store.ts";
import { type DividedStore, isShared, TermsError } from "../../store/shared-store.ts";
import { BatchLayer } from "../batch.ts";
import { checkedLayer, type Watch } from "../checked.ts";
import { FailoverLayer } from "../failover.ts";
import type { FailoverEvent, FailoverOptions } from "../failover/options.ts";
import { type InstanceParts, instanceParts, type ShardTerms } from "../failover/instance-parts.ts";
import { ShardJournals } from "./journals.ts";
import { Outages } from "./outages.ts";

/** What stands before a shard. */
export interface Front {
  readonly asked: Layer;
  /** Takes units back for calls that were denied elsewhere, in batches of their own. */
  readonly givesBack: Layer;
  /** `null` without failover. */
  readonly failing: FailoverLayer | null;
}

export class Fronts {
  readonly #store: DividedStore;
  readonly #watch: Watch | null;
  readonly #group: string;
  readonly #failover: FailoverOptions | false;
  readonly #parts: InstanceParts | null;
  readonly #outages: Outages;
  readonly #journals: ShardJournals | null;
  readonly #fronts = new Map<number, Front>();
  /** Whether a shard was asked. */
  #isBegun = false;
  /** Whether all shards are being asked whether they still have what they held, and whether that has to be done once more. */
  #checking: "no" | "once" | "again" = "no";

  /** @throws StoreError `invalid-reply` where the journal is damaged */
  constructor(
    store: DividedStore,
    watch: Watch | null,
    { group, failover }: Pick<LayerSettings, "group" | "failover">,
    tell: (event: FailoverEvent) => void,
  ) {
    this.#store = store;
    this.#watch = watch;
    this.#group = group;
    this.#failover = failover;
    this.#parts = failover === false ? null : instanceParts(group, failover);
    this.#outages = new Outages(tell);
    const journal = failover === false ? undefined : failover.journal;
    this.#journals = journal === undefined ? null : new ShardJournals(journal, store.shards.count);
    // A damaged journal is refused at once.
    for (const shard of this.#journals?.shards ?? []) this.#open(shard);
  }

  at(shard: number): Front {
    const known = this.#fronts.get(shard);
    if (known !== undefined && this.#isBegun) return known;
    this.#begin();
    return this.#fronts.get(shard) ?? this.#open(shard);
  }

  all(): readonly Front[] {
    return [...this.#fronts.values()];
  }

  async close(withinMs?: number): Promise<void> {
    const closed = this.all().map(async ({ asked, givesBack }) => {
      await givesBack.close(0);
      await asked.close(withinMs);
    });
    await Promise.allSettled(closed);
    this.#outages.close();
    this.#journals?.close();
    await this.#store.close();
    await Promise.all(closed);
  }

  /** Opens the shards that no call need ask: those that count instances, and those for which an earlier process has left something. */
  #begin(): void {
    this.#isBegun = true;
    if (this.#failover === false) return;
    const { shards } = this.#store;
    for (let shard = 0; shard < shards.count; shard++) {
      if (shards.countsAt(shard) && !this.#fronts.has(shard)) this.#open(shard);
    }
    for (const { failing } of this.#fronts.values()) failing?.wake();
  }

  #open(shard: number): Front {
    const store = checkedLayer(this.#store.shards.at(shard), this.#watch);
    const failing = this.#failingAt(shard, store);
    const layer = failing ?? store;
    const { deadlineMs, batching } = layer;
    const giving: Layer = {
      deadlineMs,
      batching,
      apply: (requests, leftMs) => failing?.giveBack(requests, leftMs) ?? store.apply(requests, leftMs),
      async close() {},
    };
    const front = { asked: batched(layer), givesBack: batched(giving), failing };
    this.#fronts.set(shard, front);
    return front;
  }

  #failingAt(shard: number, store: Store): FailoverLayer | null {
    if (this.#failover === false || this.#parts === null || !isShared(store)) return null;
    const { journal: _, ...options } = this.#failover;
    const own = this.#journals === null ? options : { ...options, journal: this.#journals.of(shard) };
    const terms: ShardTerms = {
      parts: this.#parts,
      counts: this.#store.shards.countsAt(shard),
      awayCount: () => this.#outages.awayCount,
    };
    const tell = this.#outages.of(shard);
    const heard = (event: FailoverEvent) => {
      tell(event);
      // Shards of the same server may be back too, or have lost what they held.
      if (event.type === "store.recovered") for (const { failing } of this.all()) failing?.lookSoon();
      if (event.type === "store.unreachable" && TermsError.refusalOf(event.error) === "other-incarnation")
        this.#check();
    };
    return new FailoverLayer(store, this.#group, own, heard, undefined, terms);
  }

  #check(): void {
    if (this.#checking !== "no") {
      this.#checking = "again";
      return;
    }
    this.#checking = "once";
    void Promise.allSettled(this.all().map(({ failing }) => failing?.check())).then(() => {
      const mustAgain = this.#checking === "again";
      this.#checking = "no";
      if (mustAgain) this.#check();
    });
  }
}

function batched(layer: Layer): Layer {
  return layer.batching === undefined ? layer : new BatchLayer(layer, layer.batching);
}
