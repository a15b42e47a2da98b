// The store as a limiter has it: a connection through the simulated network, with the errors and the deadline of the Redis store.

import { within } from "../../src/deadlines.ts";
import {
  type Batching,
  type Beat,
  type Member,
  networkLayers,
  type SharedStore,
  type StoreAnswer,
  StoreError,
  type StoreRequest,
  type Terms,
} from "../../src/store/api.ts";
import { FORGOTTEN_AFTER_MS } from "../../src/layers/failover/heartbeat.ts";
import { asStoreError } from "../../src/store/error.ts";
import type { Census } from "./census.ts";
import type { Machine } from "./machine.ts";
import type { Network } from "./network.ts";
import type { StoreServer } from "./server.ts";
import type { SimulatedStore } from "./store.ts";

/** What is at the other end. */
interface StoreSide {
  readonly network: Network;
  readonly store: SimulatedStore;
  readonly census: Census;
}

/** How long a request may take that has no terms, as the Redis store has it. */
const DEADLINE_MS = 1_000;

export class Connection implements SharedStore {
  readonly layers = networkLayers;
  readonly batching: Batching;
  readonly deadlineMs = DEADLINE_MS;
  readonly #machine: Machine;
  readonly #network: Network;
  readonly #server: StoreServer;
  readonly #census: Census;
  #isClosed = false;

  constructor(machine: Machine, { network, store, census }: StoreSide, batching: Batching) {
    this.#machine = machine;
    this.#network = network;
    this.#server = store.at(0);
    this.#census = census;
    this.batching = batching;
  }

  apply(requests: readonly StoreRequest[], leftMs: number = DEADLINE_MS): Promise<readonly StoreAnswer[]> {
    return within(
      leftMs,
      this.#ask((server) => server.book(requests, {}, this.#machine.name), false),
    ).catch(this.#fail);
  }

  /** A client may send it again after it has lost its connection: receipts make that harmless. */
  book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly StoreAnswer[]> {
    return this.#ask((server) => server.book(requests, terms, this.#machine.name), true);
  }

  async beat(member: Member): Promise<Beat> {
    const { name, world } = this.#machine;
    const asked = this.#ask((server) => server.beat(member), true);
    // An instance learns from no later answer: when that is, its own clock says, and how long it stood still.
    const beat = await this.#census.whileAsked(name, within(FORGOTTEN_AFTER_MS, asked));
    this.#census.learn(name, world.nowMs, beat);
    return beat;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  async #ask<Answer>(answer: (server: StoreServer) => Answer, isRepeatable: boolean): Promise<Answer> {
    if (this.#isClosed) throw new StoreError("closed", "the connection was closed", { transient: false });
    const asked = this.#network.ask(this.#machine, this.#server.node, () => answer(this.#server), isRepeatable);
    return asked.catch(this.#fail);
  }

  readonly #fail = (error: unknown): never => {
    throw asStoreError(error, "the simulated server");
  };
}
