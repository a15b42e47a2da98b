// The layer in front of the store that the program gave: a reply with a time or a count that is not a whole number becomes an
// error before any other layer computes with it. It changes no valid answer.

import { validBeat, validReplies } from "../store/check.ts";
import { isShared, type SharedStore } from "../store/shared-store.ts";
import type { Store } from "../store/store.ts";
import { forward } from "./layer.ts";

/** What is told whether the store answers. */
export interface Watch {
  answered(): void;
  failed(): void;
}

/**
 * Checks what a store replies, and tells a watch whether it does. It has no `answer`: the replies of a store that is asked
 * without layers are checked there.
 */
export function checkedLayer(store: Store, watch: Watch | null = null): Store | SharedStore {
  const asked = forward(store, (ask) => {
    const answer = ask();
    if (watch !== null) {
      answer.then(
        () => watch.answered(),
        () => watch.failed(),
      );
    }
    return answer;
  });
  const checked: Store = {
    ...asked,
    apply: async (requests, leftMs) => validReplies(requests, await asked.apply(requests, leftMs)),
  };
  if (!isShared(asked)) return checked;
  const shared: SharedStore = {
    ...asked,
    ...checked,
    book: async (requests, terms) => validReplies(requests, await asked.book(requests, terms)),
    beat: async (member) => validBeat(await asked.beat(member)),
  };
  return shared;
}
