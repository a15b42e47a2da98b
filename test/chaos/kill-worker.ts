// One of the processes of kill.test.ts: consumes as fast as it can, and writes a byte for each acknowledged admission.

import { writeSync } from "node:fs";
import { createLimiter } from "tollgate";
import { sqliteStore } from "tollgate/stores/sqlite";
import { CALLERS, POLICY } from "./kill-policy.ts";

const limiter = createLimiter({ policy: POLICY, store: sqliteStore(process.argv[2] ?? "") });
await Promise.all(
  Array.from({ length: CALLERS }, async () => {
    for (;;) {
      const { allowed } = await limiter.consume({ tool: "search", session: "s1" });
      if (allowed) writeSync(1, "x");
    }
  }),
);
