// Which units of a bucket calls could still use: those that are free, and those that instances hold without using them. It
// asks the store at most once in a tick for each bucket.

import type { Clock } from "../../clock.ts";
import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import type { Step } from "../../kernel/request.ts";
import type { Layer } from "../../store/store.ts";
import { StoreError } from "../../store/error.ts";
import { askOne } from "../layer.ts";
import { borrowedStep } from "./requests.ts";

/** Most buckets that are remembered. One more, and all are forgotten. */
const MAX_LOOKS = 10_000;

/** What the store said of a bucket, and when it was asked. */
interface Look {
  readonly atMs: number;
  /** Units that calls had used: a promise until the store has answered. */
  used: Promise<number> | number;
}

/** The units that calls had used of buckets that have denied a call. */
export class FreeUnits {
  readonly #store: Layer;
  readonly #clock: Clock;
  readonly #keptMs: number;
  readonly #isShared: boolean;
  readonly #looks = new Map<string, Look>();

  /** @param isShared whether one call may wait for the answer to what another one has asked */
  constructor(store: Layer, clock: Clock, keptMs: number, isShared: boolean) {
    this.#store = store;
    this.#clock = clock;
    this.#keptMs = keptMs;
    this.#isShared = isShared;
  }

  /** Units that are free or that instances hold unused. */
  async of({ bucket, limit }: Step): Promise<number> {
    const nowMs = this.#clock.nowMs();
    let look = this.#looks.get(bucket);
    const isUsable = look !== undefined && (this.#isShared || typeof look.used === "number");
    if (look === undefined || !isUsable || nowMs - look.atMs >= this.#keptMs) {
      if (this.#looks.size >= MAX_LOOKS) this.#looks.clear();
      look = this.#look(bucket, limit, nowMs);
      this.#looks.set(bucket, look);
    }
    return algorithmOf(limit).capacity(limit) - (await look.used);
  }

  #look(bucket: string, limit: Step["limit"], atMs: number): Look {
    const used = this.#usedOf(bucket, limit).catch(() => Number.POSITIVE_INFINITY);
    const look: Look = { atMs, used };
    used.then((units) => {
      look.used = units;
    });
    return look;
  }

  /** Units of a bucket that calls have used. */
  async #usedOf(bucket: string, limit: Step["limit"]): Promise<number> {
    // Both at one instant: units may have come back since the denial.
    const steps = [{ bucket, limit, event: { type: "read" } } as const, borrowedStep(bucket, 0, { type: "read" })];
    const found = await askOne(this.#store, { mode: "peek", steps });
    if (StoreError.isInstance(found)) throw found;
    const [whole, borrowed] = found?.steps ?? [];
    // A grant is free on top of the capacity.
    return (whole?.used ?? Number.POSITIVE_INFINITY) - (whole?.granted ?? 0) - (borrowed?.used ?? 0);
  }
}
