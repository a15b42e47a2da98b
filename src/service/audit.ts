// The record of what administrators did: one JSON line for each act, written before it is done, so that nothing is done
// that is not written down.

import { appendFileSync } from "node:fs";

/** One act. */
export interface Act {
  readonly act: "grant" | "reset" | "key-create" | "key-revoke";
  /** The id of the key that asked; `null` for the command line, or where no key is needed. */
  readonly keyId: string | null;
  readonly limit?: string;
  readonly dimensions?: Readonly<Record<string, unknown>>;
  readonly reason?: string | null;
  /** Beyond that, by act. */
  readonly units?: number;
  readonly grantId?: string;
  readonly target?: string;
  /** Set in a second line when the act failed. */
  readonly failed?: string;
}

/** Where acts are written. What it throws keeps the act from being done. */
export type Audit = (act: Act) => void;

/** Appends acts to a file, which only its owner may read. */
export function auditFile(path: string): Audit {
  return (act) =>
    appendFileSync(path, `${JSON.stringify({ time: new Date().toISOString(), ...act })}\n`, { mode: 0o600 });
}
