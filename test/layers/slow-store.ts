// A store like one behind a network: it takes a while, counts its requests, and several limiters share it.

import { networkLayers, type Store, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

export function slowStore(startMs = Date.UTC(2030, 0, 1)) {
  const clock = fakeClock(startMs);
  const inner = memoryStore({ clock });
  const asked = { times: 0, requests: [] as StoreRequest[] };
  const store: Store = {
    layers: networkLayers,
    clock,
    async apply(requests) {
      asked.times++;
      asked.requests.push(...requests);
      await new Promise(setImmediate);
      return inner.apply(requests);
    },
    close: async () => {},
  };
  return { clock, store, asked };
}
