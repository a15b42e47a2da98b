// The audit log as a file: one JSON line for each act.

import { appendFileSync } from "node:fs";
import { systemClock } from "../clock.ts";
import type { Act, Audit } from "./audit.ts";

/** Appends acts to a file, which only its owner may read. */
export function auditFile(path: string): Audit {
  return (act) => appendFileSync(path, `${lineOf(act)}\n`, { mode: 0o600 });
}

/** An act as a line of a file. */
export function lineOf(act: Act): string {
  return JSON.stringify({ time: new Date(systemClock.nowMs()).toISOString(), ...act });
}
