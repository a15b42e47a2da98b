// A decision log as a trace: the log itself, or that of a service.

import { MisuseError, withFaults } from "../kernel/errors.ts";
import type { EntryQuery } from "../log/storage.ts";
import { type LogRead, readDecisionLog } from "../simulate/readers/decision-log.ts";
import { sourceAt } from "./log-source.ts";
import { isLogUrl, openLog } from "./log-url.ts";

/** Most calls that a service is asked for, the newest: it answers 500 at once. */
const MAX_ASKED = 200_000;

/** Whether a trace is what a decision log has. */
export function isLogOrService(source: string): boolean {
  return isLogUrl(source) || isService(source);
}

function isService(source: string): boolean {
  return /^https?:\/\//.test(source);
}

/** Reads the calls of the log at a URL. */
export async function readLogAt(url: string): Promise<LogRead> {
  if (isService(url)) return readServiceAt(url);
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

function readServiceAt(url: string): Promise<LogRead> {
  const service = sourceAt(url, undefined);
  const reader = { entries: ({ tenants: _, ...query }: EntryQuery) => service.decisions(query) };
  return readDecisionLog(reader, { tenants: null }, MAX_ASKED);
}

async function logAt(url: string) {
  try {
    return await openLog(url, false);
  } catch (error) {
    // Here the log is the argument.
    throw MisuseError.isInstance(error) ? withFaults(error, (fault) => ({ ...fault, path: "trace" })) : error;
  }
}
