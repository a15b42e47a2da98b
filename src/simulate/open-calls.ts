// Calls that run, the one that ends first in front.

export interface OpenCall {
  readonly endsAtMs: number;
  /** Settles when the call has ended. */
  readonly ended: Promise<void>;
  end(): void;
}

/** A heap. Of calls that end at the same instant, any may be the first. */
export class OpenCalls {
  readonly #heap: OpenCall[] = [];

  get size(): number {
    return this.#heap.length;
  }

  get first(): OpenCall | undefined {
    return this.#heap[0];
  }

  add(call: OpenCall): void {
    const heap = this.#heap;
    let place = heap.push(call) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (this.#endsAtMs(above) <= call.endsAtMs) break;
      heap[place] = heap[above] as OpenCall;
      place = above;
    }
    heap[place] = call;
  }

  removeFirst(): void {
    const heap = this.#heap;
    const call = heap.pop();
    if (call === undefined || heap.length === 0) return;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      const below = this.#endsAtMs(left + 1) < this.#endsAtMs(left) ? left + 1 : left;
      if (call.endsAtMs <= this.#endsAtMs(below)) break;
      heap[place] = heap[below] as OpenCall;
      place = below;
    }
    heap[place] = call;
  }

  #endsAtMs(place: number): number {
    return this.#heap[place]?.endsAtMs ?? Number.POSITIVE_INFINITY;
  }
}
