// A log in the memory of one process: for tests, and to look at what a program did just now.

import { readOptions, type TableOf, whole } from "../kernel/options.ts";
import { MemoryStorage } from "./memory-storage.ts";
import { KEEP_OPTIONS, type KeepOptions, WRITE_OPTIONS, type WriteOptions } from "./options.ts";
import { logTo, type StoredLog } from "./recorder.ts";
import type { ReadableStorage } from "./storage.ts";

/** How a log in memory is made. */
export interface MemoryLogOptions extends WriteOptions, Omit<KeepOptions, "maxEntries"> {
  /** Most entries, 100 to 10,000,000: the oldest are removed. Default 10,000 (some 1.5 kB each). */
  readonly maxEntries?: number;
}

const OPTIONS = {
  ...WRITE_OPTIONS,
  ...KEEP_OPTIONS,
  maxEntries: whole(100, 10_000_000, 10_000),
} satisfies TableOf<MemoryLogOptions>;

/**
 * Keeps a log in the memory of this process. It can still be read when it is closed.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { memoryLog } from "tollgate/log";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const log = memoryLog();
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] },
 *   store: memoryStore(),
 *   log,
 * });
 * await limiter.consume({ tool: "search", session: "s1" });
 * await limiter.consume({ tool: "search", session: "s1" });
 * await limiter.close();
 * const denied = await log.storage.read.entries({ allowed: false, tenants: null, pageSize: 10 });
 * console.log(denied.items.length); // 1
 * ```
 */
export function memoryLog(options: MemoryLogOptions = {}): StoredLog<ReadableStorage> {
  const settings = readOptions(OPTIONS, options);
  return logTo(new MemoryStorage(settings), settings);
}
