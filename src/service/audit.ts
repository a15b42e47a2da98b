// The record of what administrators did: one JSON line for each act, written before it is done, so that nothing is done
// that is not written down.

import { appendFileSync } from "node:fs";
import { ProblemError } from "./problems.ts";

/** One act. */
export interface Act {
  readonly act: "grant" | "revoke" | "reset" | "key-create" | "key-revoke";
  /** `key:ID` for a key, `cli:USER` for the command line, `open` where no key is needed. */
  readonly actor: string;
  /** The id of the key that asked; `null` for the command line, or where no key is needed. */
  readonly keyId: string | null;
  readonly limit?: string;
  readonly dimensions?: Readonly<Record<string, unknown>>;
  /** Why, as the administrator said it; `null` where nothing was said. */
  readonly reason: string | null;
  /** Beyond that, by act. */
  readonly units?: number;
  readonly durationMs?: number;
  readonly grantId?: string;
  readonly target?: string;
  /** Of a key: what it is for, what it may do, and the tenants that it is bound to; absent: all. */
  readonly name?: string | undefined;
  readonly scopes?: readonly string[];
  readonly tenants?: readonly string[] | undefined;
  /** Set in a second line when the act failed: the code of the error, or `unknown-grant`. */
  readonly failed?: string;
}

/** Where acts are written. What it throws keeps the act from being done. */
export type Audit = (act: Act) => void;

/** Does what an act says, after it was written down; where that fails or finds nothing, this is written down, too. */
export async function audited<Result>(audit: Audit, act: Act, run: () => Promise<Result>): Promise<Result> {
  audit(act);
  let found: Result;
  try {
    found = await run();
  } catch (error) {
    audit({ ...act, failed: failedBy(error) });
    throw error;
  }
  if (isUnknownGrant(found)) audit({ ...act, failed: "unknown-grant" });
  return found;
}

/** Whether a grant was to be revoked that is not there. */
function isUnknownGrant(found: unknown): boolean {
  return typeof found === "object" && found !== null && "revoked" in found && found.revoked === false;
}

/** The same for what is done at once. */
export function auditedNow<Result>(audit: Audit, act: Act, run: () => Result): Result {
  audit(act);
  try {
    return run();
  } catch (error) {
    audit({ ...act, failed: failedBy(error) });
    throw error;
  }
}

/** The code of an error. */
function failedBy(error: unknown): string {
  if (error instanceof ProblemError) return error.problem.code;
  return error instanceof Error && "code" in error ? String(error.code) : "internal";
}

/** Appends acts to a file, which only its owner may read. */
export function auditFile(path: string): Audit {
  return (act) => appendFileSync(path, `${lineOf(act)}\n`, { mode: 0o600 });
}

/** An act as a line of a file. */
export function lineOf(act: Act): string {
  return JSON.stringify({ time: new Date().toISOString(), ...act });
}
