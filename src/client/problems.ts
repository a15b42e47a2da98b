// What the service answers instead of what was asked for, as the errors that a limiter in the process would throw.

import { type Fault, MISUSE_CODES, type MisuseCode, MisuseError } from "../kernel/errors.ts";
import { reasonOf } from "../kernel/reason.ts";
import { STORE_ERROR_CODES, StoreError, type StoreErrorCode } from "../store/error.ts";

/** Why there is no answer. */
export interface Failure {
  readonly error: MisuseError | StoreError;
  /** Whether it is certain that nothing was done. */
  readonly isUndone: boolean;
  /** Whether the service would have decided it, had it not asked to wait. */
  readonly isCrowded?: boolean;
}

const MISUSES: ReadonlySet<string> = new Set(MISUSE_CODES);
const FAILURES: ReadonlySet<string> = new Set(STORE_ERROR_CODES);
/** What wrong bodies and queries are called: they are made of the call. */
const REQUESTS: ReadonlySet<string> = new Set(["invalid-body", "invalid-query", "invalid-json", "body-too-large"]);
/** What the service says when it has no room for one more call that waits. */
const CROWDED = "too-many-waiting";
/** What the service says, with a status that means "not now", before it has done anything. */
const REFUSALS: ReadonlySet<string> = new Set(["stopping", "too-many-in-flight", CROWDED, "overloaded"]);
/** What clients say when they have not even connected. */
const NOT_CONNECTED: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);
/** The service is busy or ends, or who stands before it does not reach it. */
const NOT_NOW: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** A key that is not the right one, and a path that the service does not have. */
const REFUSED: Readonly<Record<number, StoreErrorCode>> = {
  401: "unauthorized",
  403: "unauthorized",
  404: "unsupported-request",
  405: "unsupported-request",
};

/** What an answer with another status than 2xx means. */
export function failureOf(status: number, body: unknown): Failure {
  const { code, detail, faults } = problemOf(body);
  const said = `the service answered ${status}${detail === "" ? (OTHERWISE[status] ?? "") : `: ${detail}`}`;
  if (NOT_NOW.has(status)) {
    const known = FAILURES.has(code) ? (code as StoreErrorCode) : "unavailable";
    const error = new StoreError(known, said, { transient: true });
    return { error, isUndone: REFUSALS.has(code), isCrowded: code === CROWDED };
  }
  const misuse = MISUSES.has(code) ? (code as MisuseCode) : REQUESTS.has(code) ? "invalid-call" : null;
  if (misuse !== null) {
    const whole = { path: "call", expected: `what the service takes (${detail})`, got: "another" };
    return { error: new MisuseError(misuse, faults.length > 0 ? faults : whole), isUndone: true };
  }
  const failed = REFUSED[status] ?? (status >= 500 ? "unavailable" : "invalid-reply");
  return { error: new StoreError(failed, said, { transient: false }), isUndone: status < 500 };
}

/** What is said of a status that came without a problem, as from another server. */
const OTHERWISE: Readonly<Record<number, string>> = { 404: ": there is no service of Tollgate at this URL" };

/** What it means that there is no answer at all. */
export function unanswered(url: string, cause: unknown): Failure {
  const deeper = cause instanceof Error ? cause.cause : undefined;
  const code = typeof deeper === "object" && deeper !== null && "code" in deeper ? deeper.code : undefined;
  const hint =
    code === "ERR_SSL_WRONG_VERSION_NUMBER" ? ". It speaks no TLS there: write http:// instead of https://" : "";
  const said = `the service at ${url}: ${reasonOf(cause)}${hint}`;
  const error = new StoreError("unavailable", said, { transient: true, cause });
  return { error, isUndone: NOT_CONNECTED.has(code) };
}

export function invalidReply(what: string): StoreError {
  return new StoreError("invalid-reply", `the service answered ${what}`, { transient: false });
}

function problemOf(body: unknown): { readonly code: string; readonly detail: string; readonly faults: Fault[] } {
  const { code, detail, faults } = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  return {
    code: typeof code === "string" ? code : "",
    detail: typeof detail === "string" ? detail : "",
    faults: (Array.isArray(faults) ? faults : []).map((fault) => ({
      // The library names places in the call without it.
      path: String(fault?.path).replace(/^call\./, ""),
      expected: String(fault?.expected),
      got: String(fault?.got),
      ...(typeof fault?.hint === "string" ? { hint: fault.hint } : {}),
    })),
  };
}
