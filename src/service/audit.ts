// The record of what administrators did: one JSON line for each act, written before the act, so that no act goes unrecorded.

import type { Revoked } from "../limiter.ts";
import { ProblemError } from "./problems.ts";

export interface Act {
  readonly act: "grant" | "revoke" | "reset" | "policy" | "key-create" | "key-revoke";
  /** `key:ID` for a key, or `key:ID for PERSON`; `cli:USER` for the command line; `open` where no key is needed. */
  readonly actor: string;
  /** The id of the key that asked; `null` for the command line, or where no key is needed. */
  readonly keyId: string | null;
  readonly limit?: string;
  readonly dimensions?: Readonly<Record<string, unknown>>;
  /** The administrator's reason; `null` where there is none. */
  readonly reason: string | null;
  readonly units?: number;
  readonly durationMs?: number;
  readonly grantId?: string;
  readonly target?: string;
  /** Of a policy: the version that was in force, and the one that is applied. */
  readonly versions?: { readonly before: string; readonly after: string };
  /** Of a key: its purpose, its scopes, and the tenants that it is bound to; absent: all. */
  readonly name?: string | undefined;
  readonly scopes?: readonly string[];
  readonly tenants?: readonly string[] | undefined;
  /** Set in a second line when the act failed: the code of the error, or `unknown-grant`. */
  readonly failed?: string;
}

/** Where acts are written. What it throws keeps the act from being done. */
export type Audit = (act: Act) => void;

/** Writes an act down, and runs it. A failure gets a second line, and so does a grant to revoke that does not exist. */
export async function audited<Result>(audit: Audit, act: Act, run: () => Result): Promise<Awaited<Result>> {
  audit(act);
  let result: Awaited<Result>;
  try {
    result = await run();
  } catch (error) {
    audit({ ...act, failed: failedBy(error) });
    throw error;
  }
  const isUnknownGrant = act.act === "revoke" && (result as Partial<Revoked>).revoked === false;
  if (isUnknownGrant) audit({ ...act, failed: "unknown-grant" });
  return result;
}

function failedBy(error: unknown): string {
  if (error instanceof ProblemError) return error.problem.code;
  return error instanceof Error && "code" in error ? String(error.code) : "internal";
}
