// Error answers of the service, as the errors that a limiter in this process would throw.

import { problemSchema } from "../http/answers.ts";
import { type Fault, MISUSE_CODES, type MisuseCode, MisuseError } from "../kernel/errors.ts";
import { readBy } from "../kernel/policy/schema-kinds.ts";
import { reasonOf } from "../kernel/reason.ts";
import { STORE_ERROR_CODES, StoreError, type StoreErrorCode } from "../store/error.ts";

export interface Failure {
  readonly error: MisuseError | StoreError;
  /** Whether it is certain that the service did nothing. */
  readonly isUndone: boolean;
  /** Whether the service would have decided a call that does not wait. */
  readonly isCrowded?: boolean;
}

const MISUSES: ReadonlySet<string> = new Set(MISUSE_CODES);
const STORE_ERRORS: ReadonlySet<string> = new Set(STORE_ERROR_CODES);
/** Problem codes of wrong bodies and queries, which are made from the call. */
const WRONG_BODY: ReadonlySet<string> = new Set(["invalid-body", "invalid-query", "invalid-json", "body-too-large"]);
/** The problem code of a service without room for another waiting call. */
const CROWDED = "too-many-waiting";
/** Problem codes that the service sends, with a status of `NOT_NOW`, before it has done anything. */
const NOT_BEGUN: ReadonlySet<string> = new Set(["stopping", "too-many-in-flight", CROWDED, "overloaded"]);
/** Error codes of HTTP clients that could not connect. */
const NOT_CONNECTED: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);
/** The service is busy or stopping, or a proxy in front of it does not reach it. */
const NOT_NOW: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** A wrong API key, and a path that the service does not have. */
const CODE_BY_STATUS: Readonly<Record<number, StoreErrorCode>> = {
  401: "unauthorized",
  403: "unauthorized",
  404: "unsupported-request",
  405: "unsupported-request",
};

/** The failure of an answer with a status other than 2xx. */
export function failureOf(status: number, body: unknown): Failure {
  const { code, detail, faults } = problemOf(body);
  const isOtherServer = status === 404 && detail === "";
  const reason = isOtherServer ? "there is no service of Tollgate at this URL" : detail;
  const text = `the service answered ${status}${reason === "" ? "" : `: ${reason}`}`;
  if (NOT_NOW.has(status)) {
    const known = STORE_ERRORS.has(code) ? (code as StoreErrorCode) : "unavailable";
    const error = new StoreError(known, text, { transient: true });
    return { error, isUndone: NOT_BEGUN.has(code), isCrowded: code === CROWDED };
  }
  const misuse = MISUSES.has(code) ? (code as MisuseCode) : WRONG_BODY.has(code) ? "invalid-call" : null;
  if (misuse !== null) {
    const whole = { path: "call", expected: `what the service takes (${detail})`, got: "another" };
    return { error: new MisuseError(misuse, faults.length > 0 ? faults : whole), isUndone: true };
  }
  const failed = CODE_BY_STATUS[status] ?? (status >= 500 ? "unavailable" : "invalid-reply");
  return { error: new StoreError(failed, text, { transient: false }), isUndone: status < 500 };
}

/** The failure of a request without an answer. */
export function unanswered(url: string, cause: unknown): Failure {
  const deeper = cause instanceof Error ? cause.cause : undefined;
  const code = typeof deeper === "object" && deeper !== null && "code" in deeper ? deeper.code : undefined;
  const hint =
    code === "ERR_SSL_WRONG_VERSION_NUMBER" ? ". It speaks no TLS there: write http:// instead of https://" : "";
  const text = `the service at ${url}: ${reasonOf(cause)}${hint}`;
  const error = new StoreError("unavailable", text, { transient: true, cause });
  return { error, isUndone: NOT_CONNECTED.has(code) };
}

export function invalidReply(what: string): StoreError {
  return new StoreError("invalid-reply", `the service answered ${what}`, { transient: false });
}

/** The problem in a body; an empty one where another server answered. */
function problemOf(body: unknown) {
  const read = readBy(problemSchema, body);
  const { code = "", detail = "", faults = [] } = "value" in read ? read.value : {};
  // The library names fields of a call without the prefix.
  const named = faults.map((fault) => ({ ...fault, path: fault.path.replace(/^call\./, "") }) as Fault);
  return { code, detail, faults: named };
}
