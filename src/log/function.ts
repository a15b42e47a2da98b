// A log that a function of your own gets.

import { invalidOption } from "../kernel/errors.ts";
import { readOptions } from "../kernel/options.ts";
import { randomId } from "../ids.ts";
import { WRITE_OPTIONS, type WriteOptions } from "./options.ts";
import { logTo, type StoredLog } from "./recorder.ts";
import type { LogBatch } from "./storage.ts";

/** How a log of your own function is made. */
export type FunctionLogOptions = WriteOptions;

/**
 * Passes batches of entries and counts to a function, one at a time. A batch whose promise is rejected is passed again with the same
 * `number`. What is written so cannot be queried.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { functionLog } from "tollgate/log";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] },
 *   store: memoryStore(),
 *   log: functionLog(({ entries }) => {
 *     for (const entry of entries) if (entry.kind === "decision") console.log(entry.tool, entry.allowed); // search true
 *   }),
 * });
 * await limiter.consume({ tool: "search", session: "s1" });
 * await limiter.close();
 * ```
 */
export function functionLog(write: (batch: LogBatch) => unknown, options: FunctionLogOptions = {}): StoredLog {
  if (typeof write !== "function") throw invalidOption("write", "a function", write);
  const salt = randomId();
  return logTo(
    {
      name: "function",
      isShared: false,
      salt: async () => salt,
      write: async (batch) => {
        await write(batch);
      },
      close: async () => {},
    },
    readOptions(WRITE_OPTIONS, options),
  );
}
