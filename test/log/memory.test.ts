// The log in memory.

import { MemoryStorage } from "../../src/log/memory-storage.ts";
import { testStorage } from "./storage-cases.ts";

// Ages are of 2030: nothing is too old.
testStorage(
  "a log in memory",
  (_, { maxEntries = 10_000, maxAgeMs = 3_600_000 } = {}) => new MemoryStorage({ maxEntries, maxAgeMs }),
  {
    slack: 100,
    isKept: false,
  },
);
