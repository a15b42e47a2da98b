// What a layer is: a store for the limiter, in front of another store. It asks that one, and changes some of the answers.

import { isShared, type SharedStore } from "../store/shared-store.ts";
import type { Store } from "../store/store.ts";

/** What a limiter and a layer ask: a store, or a layer in front of one. Policies and setup are the store's own. */
export interface Layer extends Pick<Store, "batching" | "deadlineMs" | "apply" | "answer"> {
  /** @param withinMs how long to go on trying to book what was admitted without the store; a store has nothing to book */
  close(withinMs?: number): Promise<void>;
}

/**
 * A store that asks another one everything through a function. It has `book`, `beat` and `setup` only where that one has, because a
 * member that is there says what a store can do; `answer` it never has, because it waits.
 */
export function forward(
  store: Store,
  through: <Answer>(ask: () => Promise<Answer>) => Promise<Answer>,
): Store | SharedStore {
  const { batching, clock, deadlineMs, setup } = store;
  const forwarding: Store = {
    ...(batching === undefined ? {} : { batching }),
    ...(clock === undefined ? {} : { clock }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(setup === undefined ? {} : { setup: () => setup.call(store) }),
    apply: (requests, leftMs) => through(() => store.apply(requests, leftMs)),
    checkPolicy: (policy) => store.checkPolicy?.(policy),
    lastFault: () => store.lastFault?.(),
    close: () => store.close(),
  };
  if (!isShared(store)) return forwarding;
  const shared: SharedStore = {
    ...forwarding,
    book: (requests, terms) => through(() => store.book(requests, terms)),
    beat: (member) => through(() => store.beat(member)),
  };
  return shared;
}
