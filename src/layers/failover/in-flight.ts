// Requests that were under way when an outage began: the store may book as many of them as fit. Their units are kept from calls that
// are decided here until it is known what became of them.

import type { StoreRequest } from "../../kernel/request.ts";
import type { Fallback } from "./fallback.ts";

export class InFlight {
  readonly #fallback: Pick<Fallback, "expect" | "arrived">;
  /** Of each batch: which of its requests the fallback expects to be booked. Equal calls share one request. */
  readonly #expected = new Map<readonly StoreRequest[], Set<number>>();

  constructor(fallback: Pick<Fallback, "expect" | "arrived">) {
    this.#fallback = fallback;
  }

  /** Expects that the store books a batch. */
  expect(requests: readonly StoreRequest[], nowMs: number): void {
    this.#expected.set(requests, new Set());
    this.#expectAll(nowMs);
  }

  /**
   * It is known what became of a batch.
   *
   * @param count counts here what the store has booked of it
   */
  end(requests: readonly StoreRequest[], nowMs: number, count: () => void = () => {}): void {
    const expected = this.#expected.get(requests);
    this.#expected.delete(requests);
    for (const [i, request] of requests.entries()) if (expected?.has(i) === true) this.#fallback.arrived(request);
    count();
    // What these did not get, the store may give to the others that are under way.
    this.#expectAll(nowMs);
  }

  clear(): void {
    this.#expected.clear();
  }

  /** Expects of all requests as many as fit. */
  #expectAll(nowMs: number): void {
    for (const [requests, expected] of this.#expected) {
      for (const [i, request] of requests.entries()) {
        if (expected.has(i) || request.mode === "peek") continue;
        if (this.#fallback.expect(request, nowMs)) expected.add(i);
      }
    }
  }
}
