// A decision log as a trace.

import { MisuseError, withFaults } from "../kernel/errors.ts";
import { type LogRead, readDecisionLog } from "../simulate/readers/decision-log.ts";
import { openLog } from "./log-url.ts";

/** Reads the calls of the log at a URL. */
export async function readLogAt(url: string): Promise<LogRead> {
  const log = await logAt(url);
  try {
    const reader = log?.storage.read;
    return reader === undefined
      ? { calls: [], skipped: 0, isSample: false, standsFor: 0 }
      : await readDecisionLog(reader, { tenants: null });
  } finally {
    await log?.close();
  }
}

async function logAt(url: string) {
  try {
    return await openLog(url, false);
  } catch (error) {
    // Here the log is the argument.
    throw MisuseError.isInstance(error) ? withFaults(error, (fault) => ({ ...fault, path: "trace" })) : error;
  }
}
