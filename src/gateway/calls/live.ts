// The calls of this process that have not ended, by what their ids are unique in. How they end is not known here.

import type { Clock } from "../../clock.ts";
import type { Outcome, RunningCall } from "../../limiter.ts";
import type { OpenCall, Origin } from "../contract.ts";
import { idKey } from "../message.ts";

/** Why units are charged or not: the call worked, failed, or was never made. */
export type Unnamed = Parameters<RunningCall["settle"]>[1];

/** A call that has not ended. The first of its methods that ends it counts. */
export interface LiveCall extends OpenCall {
  readonly origin: Origin;
  /** The clock of its limiter. */
  readonly clock: Clock;
  /** Ends it by what the server said of it. */
  endBy(hasFailed: boolean, result: () => unknown): Promise<void>;
  end(unnamed: Unnamed, outcome: Outcome | null): Promise<void>;
}

/** Most calls that are followed at a time, and most tasks. */
export const MOST_CALLS = 10_000;

/** The name of a call among all that are open. */
export function callKey({ transport, server, scope }: Origin, rawId: string): string {
  return JSON.stringify([transport, server, scope, idKey(rawId)]);
}

/** A map with a bound. A second value under a key replaces the first. */
export class Bounded<Value> {
  readonly #most: number;
  readonly #values = new Map<string, Value>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#values.size;
  }

  get isFull(): boolean {
    return this.#values.size >= this.#most;
  }

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  /** Whether there was room. */
  add(key: string, value: Value): boolean {
    if (this.isFull && !this.#values.has(key)) return false;
    this.#values.set(key, value);
    return true;
  }

  /** Removes a value, unless another one has replaced it. */
  remove(key: string, value: Value): void {
    if (this.#values.get(key) === value) this.#values.delete(key);
  }

  values(): readonly Value[] {
    return [...this.#values.values()];
  }
}
