// The Redis store on a cluster: its keys are in units, of which each is as one server.

import type { StoreRequest } from "../../kernel/request.ts";
import { dividedLayers } from "../../layers/divided.ts";
import type { DividedStore, Units } from "../../store/shared-store.ts";
import type { SetupCheck, StoreAnswer } from "../../store/store.ts";
import { decideInShards, ShardMemory } from "../../store/wide-request.ts";
import type { RedisLink } from "./link.ts";
import { Renewals } from "./renewals.ts";
import { BATCHING, RedisUnit } from "./unit.ts";
import { countsInstances, UNITS, unitOf, unitPlaces } from "./units.ts";

export class RedisCluster implements DividedStore {
  readonly layers = dividedLayers;
  readonly batching = BATCHING;
  readonly units: Units;
  readonly #link: RedisLink;
  readonly #units: readonly RedisUnit[];
  readonly #memory = new ShardMemory();
  /** Work that goes on after a decision. */
  readonly #unsettled = new Set<Promise<unknown>>();

  constructor(link: RedisLink) {
    this.#link = link;
    const renewals = new Renewals(() => Promise.all(this.#units.map((unit) => unit.renew())));
    this.#units = unitPlaces().map(
      (place, unit) => new RedisUnit(link, { ...place, counts: countsInstances(unit), renewAll: () => renewals.run() }),
    );
    this.units = { count: UNITS, of: unitOf, at: (unit) => this.#at(unit), countsAt: countsInstances };
  }

  get clock() {
    return this.#link.clock;
  }

  get deadlineMs() {
    return this.#link.deadlineMs;
  }

  get lastFault() {
    return this.#link.lastFault;
  }

  async apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    this.#link.checkOpen();
    const way = this.#link.within(leftMs);
    return decideInShards(requests, {
      of: (key) => String(unitOf(key)),
      decide: (unit, each) => this.#at(Number(unit)).runAll(each, way),
      settle: (unit, each) => this.#at(Number(unit)).runAll(each, this.#link.within(this.deadlineMs)),
      runLater: (settled) => this.#settleLater(settled),
      memory: this.#memory,
    });
  }

  setup(): Promise<readonly SetupCheck[]> {
    return this.#link.setup();
  }

  async close(): Promise<void> {
    this.#link.end();
    await Promise.all(this.#unsettled);
    this.#link.close();
  }

  #at(unit: number): RedisUnit {
    return this.#units[unit] as RedisUnit;
  }

  #settleLater(settled: Promise<unknown>): void {
    const ended = settled.finally(() => this.#unsettled.delete(ended));
    this.#unsettled.add(ended);
  }
}
