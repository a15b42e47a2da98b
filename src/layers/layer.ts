// What a layer is: a store for the limiter, in front of another store. It asks that one, and changes some of the answers.

import type { Step, StoreRequest } from "../kernel/request.ts";
import { tooFewReplies } from "../store/error.ts";
import { isShared, type SharedStore } from "../store/shared-store.ts";
import type { Layer, Layers, Store, StoreAnswer } from "../store/store.ts";

/** Asks for one request: without a promise where the layer answers at once. A missing answer is an `invalid-reply`. */
export function askOne(
  store: Pick<Layer, "apply" | "answer">,
  request: StoreRequest,
  leftMs?: number,
): StoreAnswer | Promise<StoreAnswer> {
  if (store.answer !== undefined) return store.answer(request, leftMs);
  return store.apply([request], leftMs).then((answers) => answers?.[0] ?? tooFewReplies());
}

/** Whether nothing but its charges decides about a request. */
export function isPlainCall({ mode, once, wait, steps }: StoreRequest): boolean {
  return mode === "judge" && once === undefined && wait === undefined && onlyCharges(steps);
}

export function onlyCharges(steps: readonly Step[]): boolean {
  for (let i = 0; i < steps.length; i++) if (steps[i]?.event.type !== "charge") return false;
  return true;
}

/** Units that a step needs to be allowed: an unknown cost (0) needs one. */
export function unitsNeeded({ event }: Step): number {
  return Math.max(1, event.type === "charge" ? event.cost : event.type === "hold" ? event.units : 0);
}

/**
 * A store that asks another one through a function. It has the optional members that the other one has, because a member that is
 * there says what a store can do. It never has `answer`: `through` is asynchronous.
 */
export function forward(
  store: Store,
  through: <Answer>(ask: () => Promise<Answer>) => Promise<Answer>,
): Store | SharedStore {
  const { batching, clock, deadlineMs, layers, setup } = store;
  const forwarding: Store = {
    ...(layers === undefined ? {} : { layers }),
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
  return {
    ...forwarding,
    layers: layers as Layers,
    book: (requests, terms) => through(() => store.book(requests, terms)),
    beat: (member) => through(() => store.beat(member)),
  };
}
