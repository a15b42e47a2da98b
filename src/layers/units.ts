// The layer in front of a store of several units. A request whose keys are all in one unit, as nearly all are, goes to what stands
// before that unit (units/fronts.ts). How a request over several is decided is in store/wide-request.ts.

import type { Step, StoreRequest } from "../kernel/request.ts";
import { countdown } from "../clock.ts";
import { asStoreError, tooFewReplies } from "../store/error.ts";
import type { Units } from "../store/shared-store.ts";
import type { Layer, StoreAnswer } from "../store/store.ts";
import { type AskShard, decideInShards, ShardMemory } from "../store/wide-request.ts";
import { askOne } from "./layer.ts";
import type { Fronts } from "./units/fronts.ts";

/** The keys of a request are in several units. */
const SEVERAL = -1;

export class UnitsLayer implements Layer {
  readonly deadlineMs?: number;
  readonly #units: Units;
  readonly #fronts: Fronts;
  readonly #memory = new ShardMemory();
  /** Work that goes on after a decision. */
  readonly #later = new Set<Promise<unknown>>();

  /** @param deadlineMs how long a call may take; `undefined`: there is no deadline */
  constructor(units: Units, fronts: Fronts, deadlineMs: number | undefined) {
    this.#units = units;
    this.#fronts = fronts;
    if (deadlineMs !== undefined) this.deadlineMs = deadlineMs;
  }

  apply(requests: readonly StoreRequest[], leftMs?: number): Promise<readonly StoreAnswer[]> {
    const answers = requests.map(async (request) => this.answer(request, leftMs));
    // A unit that fails concerns its own requests alone.
    return Promise.all(answers.map((answer) => answer.catch(asStoreError)));
  }

  answer(request: StoreRequest, leftMs?: number): StoreAnswer | Promise<StoreAnswer> {
    const unit = this.#unitOf(request);
    return unit === SEVERAL ? this.#decideWide(request, leftMs) : askOne(this.#fronts.at(unit).asked, request, leftMs);
  }

  /** Waits until all units count again that have something to be booked, or until the time is over. */
  async recovered(withinMs: number, hasMore: boolean): Promise<void> {
    await Promise.all(this.#fronts.all().map(({ failing }) => failing?.recovered(withinMs, hasMore)));
  }

  async close(withinMs?: number): Promise<void> {
    await Promise.allSettled(this.#later);
    await this.#fronts.close(withinMs);
  }

  /** The unit of all keys of a request; `SEVERAL`. */
  #unitOf({ steps, once }: StoreRequest): number {
    const [first] = steps;
    const unit = this.#units.of(once === undefined ? (first?.bucket ?? "") : once.key);
    for (let i = once === undefined ? 1 : 0; i < steps.length; i++) {
      if (this.#units.of((steps[i] as Step).bucket) !== unit) return SEVERAL;
    }
    return unit;
  }

  /** Takes back what no call needs, each part in its unit. */
  giveBack(requests: readonly StoreRequest[]): Promise<readonly StoreAnswer[]> {
    return this.#decideInUnits(requests, this.#giveBackIn);
  }

  async #decideWide(request: StoreRequest, givenMs = this.deadlineMs): Promise<StoreAnswer> {
    const leftMs = givenMs === undefined ? () => undefined : countdown(givenMs);
    const decide: AskShard = (unit, requests) => this.#fronts.at(Number(unit)).asked.apply(requests, leftMs());
    const [answer] = await this.#decideInUnits([request], decide);
    return answer ?? tooFewReplies();
  }

  readonly #giveBackIn: AskShard = (unit, requests) => this.#fronts.at(Number(unit)).givesBack.apply(requests);

  #decideInUnits(requests: readonly StoreRequest[], decide: AskShard): Promise<readonly StoreAnswer[]> {
    return decideInShards(requests, {
      of: (key) => String(this.#units.of(key)),
      decide,
      settle: this.#giveBackIn,
      runLater: (work) => this.#runLater(work),
      isAway: (unit) => this.#fronts.at(Number(unit)).failing?.isAway === true,
      memory: this.#memory,
    });
  }

  #runLater(work: Promise<unknown>): void {
    const ended = work.finally(() => this.#later.delete(ended));
    this.#later.add(ended);
  }
}
