// A decision log as a trace.

import { existsSync } from "node:fs";
import { invalidOption } from "../kernel/errors.ts";
import { sqliteLog } from "../log/sqlite.ts";
import { type LogRead, readDecisionLog } from "../simulate/readers/decision-log.ts";

const SQLITE = /^sqlite:(.+)$/;

export function isLogUrl(trace: string): boolean {
  return SQLITE.test(trace);
}

/** Reads the calls of the log at `sqlite:PATH`. */
export async function readLogAt(url: string): Promise<LogRead> {
  const path = SQLITE.exec(url)?.[1] ?? "";
  if (!existsSync(path)) throw invalidOption("trace", "a decision log that exists, as sqlite:PATH", url);
  const log = sqliteLog(path);
  try {
    return await readDecisionLog(log.storage.read, { tenants: null });
  } finally {
    await log.close();
  }
}
