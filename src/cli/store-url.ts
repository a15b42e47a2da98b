// Stores by URL: the only place that knows which stores there are.

import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { Store } from "../store.ts";
import { memoryStore } from "../stores/memory.ts";
import { sqliteStore } from "../stores/sqlite.ts";

/** For help texts. */
export const STORE_URLS = "memory: or sqlite:PATH";

/**
 * The store that a URL names.
 *
 * @throws MisuseError `invalid-option`
 */
export function openStore(url: string): Store {
  if (url === "memory:") return memoryStore();
  const path = /^sqlite:(.+)$/s.exec(url)?.[1];
  if (path !== undefined) return sqliteStore(path);
  throw new MisuseError("invalid-option", { path: "--store", expected: STORE_URLS, got: formatGot(url) });
}
