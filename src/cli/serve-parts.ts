// What `tollgate serve` adds to a service: the decision log, its routes, and the console.

import { MisuseError } from "../kernel/errors.ts";
import { reasonOf } from "../kernel/reason.ts";
import type { StoredLog } from "../log/recorder.ts";
import type { LogStorage } from "../log/storage.ts";
import type { Logger } from "../service/logger.ts";
import type { ServicePart } from "../service/parts.ts";
import { consoleFiles } from "./console.ts";
import { openLog } from "./log-url.ts";

export type ServedLog = StoredLog<LogStorage>;

export async function servedParts(log: ServedLog | null, hasConsole: boolean): Promise<readonly ServicePart[]> {
  const [{ consolePart }, { logPart }] = await Promise.all([
    import("../service-log/console.ts"),
    import("../service-log/log.ts"),
  ]);
  return [logPart(log), ...(hasConsole ? [consolePart(consoleFiles)] : [])];
}

/** The decision log, opened; `null`: there is none. A default that cannot be opened is a warning, and no log. */
export async function servedLog(url: string, isDefault: boolean, logger: Logger): Promise<ServedLog | null> {
  try {
    const log = await openLog(url, true);
    // Opens the file.
    await log?.storage.salt();
    return log;
  } catch (error) {
    if (!isDefault || MisuseError.isInstance(error)) throw error;
    logger.warn(
      { problem: reasonOf(error) },
      `there is no decision log: ${url} cannot be opened; name another with --log, or say --log none`,
    );
    return null;
  }
}
