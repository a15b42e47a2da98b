// The cluster as a limiter has it: the units of the Redis store, each with a simulated way to its server.

import { within } from "../../../src/deadlines.ts";
import { dividedLayers } from "../../../src/layers/divided.ts";
import { FORGOTTEN_AFTER_MS } from "../../../src/layers/failover/heartbeat.ts";
import {
  type Batching,
  type Beat,
  type Member,
  networkLayers,
  type SharedStore,
  type StoreAnswer,
  type StoreRequest,
  type Terms,
} from "../../../src/store/api.ts";
import type { DividedStore, Units } from "../../../src/store/shared-store.ts";
import { type AskShard, decideInShards, ShardMemory } from "../../../src/store/wide-request.ts";
import { Renewals } from "../../../src/stores/redis/renewals.ts";
import { RedisUnit } from "../../../src/stores/redis/unit.ts";
import type { Census } from "../census.ts";
import type { Machine } from "../machine.ts";
import type { Network } from "../network.ts";
import type { SimulatedStore } from "../store.ts";
import { prefixOf } from "./beat-script.ts";
import { DEADLINE_MS, type Renewed, SimulatedLink } from "./link.ts";

/** What is at the other end. */
interface ClusterSide {
  readonly network: Network;
  readonly store: SimulatedStore;
  readonly census: Census;
}

/** So many units count the instances. */
const HOMES = 3;

export class ClusterConnection implements DividedStore {
  readonly layers = dividedLayers;
  readonly batching: Batching;
  readonly deadlineMs = DEADLINE_MS;
  readonly units: Units;
  readonly #units: readonly UnitConnection[];
  readonly #of: (key: string) => string;
  readonly #memory = new ShardMemory();

  constructor(machine: Machine, { network, store, census }: ClusterSide, batching: Batching) {
    this.batching = batching;
    const renewed: Renewed = { beganMs: null, endedMs: null };
    const renewals = new Renewals(async () => {
      const beganMs = machine.world.nowMs;
      await Promise.all(this.#units.map((unit) => unit.renew()));
      Object.assign(renewed, { beganMs, endedMs: machine.world.nowMs });
    });
    this.#units = store.servers.map((_, unit) => {
      const link = new SimulatedLink(machine, network, store, unit, renewed);
      const place = { prefix: prefixOf(unit), slot: unit, counts: countsAt(unit), renewAll: () => renewals.run() };
      const redis = new RedisUnit(link, place);
      return new UnitConnection(redis, link, machine, countsAt(unit) ? census : null, batching);
    });
    this.#of = (key) => String(store.unitOf(key));
    this.units = {
      count: this.#units.length,
      of: (key) => store.unitOf(key),
      at: (unit) => this.#at(unit),
      countsAt,
    };
  }

  apply(requests: readonly StoreRequest[], leftMs: number = DEADLINE_MS): Promise<readonly StoreAnswer[]> {
    const decide =
      (ms: number): AskShard =>
      (unit, each) =>
        this.#at(Number(unit)).apply(each, ms);
    return decideInShards(requests, {
      of: this.#of,
      decide: decide(leftMs),
      settle: decide(DEADLINE_MS),
      runLater: () => {},
      memory: this.#memory,
    });
  }

  async close(): Promise<void> {
    for (const unit of this.#units) await unit.end();
  }

  #at(unit: number): UnitConnection {
    return this.#units[unit] as UnitConnection;
  }
}

/** Whether a unit counts the instances. */
export function countsAt(unit: number): boolean {
  return unit < HOMES;
}

class UnitConnection implements SharedStore {
  readonly layers = networkLayers;
  readonly batching: Batching;
  readonly deadlineMs = DEADLINE_MS;
  readonly #redis: RedisUnit;
  readonly #link: SimulatedLink;
  readonly #machine: Machine;
  /** `null`: the unit does not count the instances. */
  readonly #census: Census | null;

  constructor(redis: RedisUnit, link: SimulatedLink, machine: Machine, census: Census | null, batching: Batching) {
    this.#redis = redis;
    this.#link = link;
    this.#machine = machine;
    this.#census = census;
    this.batching = batching;
  }

  apply(requests: readonly StoreRequest[], leftMs: number = DEADLINE_MS): Promise<readonly StoreAnswer[]> {
    return this.#link.ask({ requests, terms: {} }, () => this.#redis.apply(requests, leftMs));
  }

  book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly StoreAnswer[]> {
    return this.#link.ask({ requests, terms }, () => this.#redis.book(requests, terms));
  }

  async beat(member: Member): Promise<Beat> {
    const asked = this.#redis.beat(member);
    if (this.#census === null) return asked;
    const { name, world } = this.#machine;
    // An instance learns from no later answer: when that is, its own clock says, and how long it stood still.
    const beat = await this.#census.whileAsked(name, within(FORGOTTEN_AFTER_MS, asked));
    this.#census.learn(name, world.nowMs, beat);
    return beat;
  }

  renew(): Promise<void> {
    return this.#redis.renew();
  }

  /** The store closes its units. */
  async close(): Promise<void> {}

  async end(): Promise<void> {
    this.#link.end();
  }
}
