// The borrowing layer for a program whose limits may have no `borrow: auto`: it is loaded with the first request of such a limit.

import type { StoreRequest } from "../kernel/request.ts";
import { partOf } from "../store/part.ts";
import type { Layer, StoreAnswer } from "../store/store.ts";
import type { BorrowLayer } from "./borrow.ts";
import { askEach, askOne, isBorrowing } from "./layer.ts";

const loadBorrowing = partOf("the part that borrows units", () => import("./borrow.ts"));

export class BorrowWhenNeeded implements Layer {
  readonly #store: Layer;
  readonly #make: ConstructorParameters<typeof BorrowLayer>;
  readonly #load: typeof loadBorrowing;
  #layer: BorrowLayer | null = null;
  #isClosed = false;

  /** @param make what the layer is made of, once it is loaded */
  constructor(make: ConstructorParameters<typeof BorrowLayer>, load = loadBorrowing) {
    this.#make = make;
    this.#load = load;
    [this.#store] = make;
  }

  async apply(requests: readonly StoreRequest[], leftMs?: number): Promise<readonly StoreAnswer[]> {
    return askEach(this, requests, leftMs);
  }

  answer(request: StoreRequest, leftMs?: number): StoreAnswer | Promise<StoreAnswer> {
    if (this.#layer !== null) return this.#layer.answer(request, leftMs);
    return request.steps.some(isBorrowing)
      ? this.#loaded().then((layer) => askOne(layer, request, leftMs))
      : askOne(this.#store, request, leftMs);
  }

  /** Whether there are borrowed units to give back. */
  get owes(): boolean {
    return this.#layer?.owes === true;
  }

  close(withinMs?: number): Promise<void> {
    this.#isClosed = true;
    return (this.#layer ?? this.#store).close(withinMs);
  }

  /** The layer that answers. Without borrowing the store decides each call, which is as right, and slower. */
  async #loaded(): Promise<Layer> {
    const part = await this.#load().catch(() => null);
    if (part === null || this.#isClosed) return this.#store;
    this.#layer ??= new part.BorrowLayer(...this.#make);
    return this.#layer;
  }
}
