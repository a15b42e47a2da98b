// A store that wraps the one that the program gave: a reply with a time or a count that is not a whole number is an error
// before any layer computes with it. It changes no valid answer.

import type { Store } from "../store.ts";
import { validBeat, validReplies } from "../store-check.ts";

/** Checks what a store replies. It has no `answer`: the replies of a store that is asked without layers are checked there. */
export function checkedLayer(store: Store): Store {
  const { batching, clock, checkPolicy, beat } = store;
  return {
    ...(batching === undefined ? {} : { batching }),
    ...(clock === undefined ? {} : { clock }),
    apply: async (requests, terms) => validReplies(requests, await store.apply(requests, terms)),
    ...(checkPolicy === undefined ? {} : { checkPolicy: (policy) => checkPolicy.call(store, policy) }),
    ...(beat === undefined ? {} : { beat: async (member) => validBeat(await beat.call(store, member)) }),
    close: () => store.close(),
  };
}
