// The layer in front of the store that the program gave: a reply with a time or a count that is not a whole number becomes an
// error before any other layer computes with it. It changes no valid answer.

import { validBeat, validReplies } from "../store/check.ts";
import { isShared, type SharedStore } from "../store/shared-store.ts";
import type { Store } from "../store/store.ts";
import { forward } from "./layer.ts";

/** Learns whether the store answers. */
export interface Watch {
  answered(): void;
  failed(): void;
}

/**
 * Checks what a store replies, and tells a watch whether it does. It has no `answer`: a store that answers at once gets no such
 * layer, and the limiter checks its replies (limiter/ask.ts).
 */
export function checkedLayer(store: Store, watch: Watch | null = null): Store | SharedStore {
  const asked = forward(store, (ask) => ask());
  async function checkedAnswer<Answer>(answer: Promise<Answer>, check: (answer: Answer) => Answer): Promise<Answer> {
    let found: Answer;
    try {
      found = await answer;
    } catch (error) {
      watch?.failed();
      throw error;
    }
    watch?.answered();
    return check(found);
  }
  const checked: Store = {
    ...asked,
    apply: (requests, leftMs) => checkedAnswer(asked.apply(requests, leftMs), (found) => validReplies(requests, found)),
  };
  if (!isShared(asked)) return checked;
  return {
    ...checked,
    layers: asked.layers,
    book: (requests, terms) => checkedAnswer(asked.book(requests, terms), (found) => validReplies(requests, found)),
    beat: (member) => checkedAnswer(asked.beat(member), (found) => validBeat(found, member)),
  };
}
