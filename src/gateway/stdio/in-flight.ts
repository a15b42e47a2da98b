// The requests of a client that have no answer yet, by their ids.

import type { Message, OpenCall } from "../contract.ts";
import { idKey } from "../message.ts";

/** One request. */
export interface Pending {
  readonly rawId: string;
  /** The request, where its answer is to be read; else `null`. */
  readonly watched: Message | null;
  /** Ends the judging of the call. */
  readonly abort: AbortController | null;
  /** The call, once it was let through. */
  call: OpenCall | null;
}

export class InFlight {
  /** Several only where the client uses an id again before it has an answer. */
  readonly #byKey = new Map<string, Pending[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(pending: Pending): void {
    const key = idKey(pending.rawId);
    const others = this.#byKey.get(key);
    if (others === undefined) this.#byKey.set(key, [pending]);
    else others.push(pending);
    this.#size++;
  }

  /** Removes the request that was sent first under an id. */
  take(rawId: string, matches: (pending: Pending) => boolean): Pending | null {
    const first = this.#byKey.get(idKey(rawId))?.find(matches) ?? null;
    if (first !== null) this.remove(first);
    return first;
  }

  /** Removes one request. Whether it was there. */
  remove(pending: Pending): boolean {
    const key = idKey(pending.rawId);
    const all = this.#byKey.get(key) ?? [];
    const others = all.filter((each) => each !== pending);
    if (others.length === all.length) return false;
    if (others.length === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, others);
    this.#size--;
    return true;
  }

  /** Removes all. */
  takeAll(): Pending[] {
    const all = [...this.#byKey.values()].flat();
    this.#byKey.clear();
    this.#size = 0;
    return all;
  }
}
