// Decision logs by URL: the only place that knows which logs there are.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import type { StoredLog } from "../log/recorder.ts";
import type { LogStorage } from "../log/storage.ts";

/** A file in the folder where the command runs. */
export const DEFAULT_LOG = "sqlite:tollgate-log.db";
export const LOG_URLS = "sqlite:PATH";

/**
 * The log that a URL names; `null` for `none`.
 *
 * @param isNew whether a file that is not there is made
 * @throws MisuseError `invalid-option`
 */
export async function openLog(url: string, isNew: boolean): Promise<StoredLog<LogStorage> | null> {
  if (url === "none" && isNew) return null;
  if (url === "memory:" && isNew) {
    const { memoryLog } = await import("../log/memory.ts");
    return memoryLog();
  }
  const path = /^sqlite:(.+)$/s.exec(url)?.[1];
  if (path === undefined) throw invalidOption("--log", isNew ? `none, memory: or ${LOG_URLS}` : LOG_URLS, url);
  if (!isNew && !existsSync(path)) throw noFile(path, url);
  const { sqliteLog } = await import("../log/sqlite.ts");
  // The log opens its file in a thread, later.
  return sqliteLog(resolve(path));
}

function noFile(path: string, url: string): MisuseError {
  const expected =
    "a decision log that exists: run the command in the folder where `tollgate serve` runs, name its file as sqlite:PATH, or ask the service with --url";
  return new MisuseError("invalid-option", {
    path: "--log",
    expected,
    got: `${formatGot(url)}, and there is no ${resolve(path)}`,
  });
}
