// A store that wraps the one that the program gave: a reply with a time or a count that is not a whole number is an error
// before any layer computes with it. It changes no valid answer.

import type { Store } from "../store/store.ts";
import { validBeat, validReplies } from "../store/check.ts";

/** What is told whether the store answers. */
export interface Watch {
  answered(): void;
  failed(): void;
}

/**
 * Checks what a store replies, and tells a watch whether it does. It has no `answer`: the replies of a store that is asked
 * without layers are checked there.
 */
export function checkedLayer(store: Store, watch: Watch | null = null): Store {
  const { batching, clock, deadlineMs, checkPolicy, beat, lastFault } = store;
  const watched = <Answer>(asked: Promise<Answer>): Promise<Answer> => {
    if (watch !== null) {
      asked.then(
        () => watch.answered(),
        () => watch.failed(),
      );
    }
    return asked;
  };
  return {
    ...(batching === undefined ? {} : { batching }),
    ...(clock === undefined ? {} : { clock }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    apply: async (requests, terms, leftMs) =>
      validReplies(requests, await watched(store.apply(requests, terms, leftMs))),
    ...(checkPolicy === undefined ? {} : { checkPolicy: (policy) => checkPolicy.call(store, policy) }),
    ...(beat === undefined ? {} : { beat: async (member) => validBeat(await watched(beat.call(store, member))) }),
    ...(lastFault === undefined ? {} : { lastFault: () => lastFault.call(store) }),
    close: (withinMs) => store.close(withinMs),
  };
}
