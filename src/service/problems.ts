// Faults as answers: application/problem+json (RFC 9457). They show the place and the kind of the caller's fault, and
// no internals of the service.

import { type Fault, formatFault, formatGot, type MisuseCode, MisuseError } from "../kernel/errors.ts";
import type { Output } from "../kernel/policy/schema-kinds.ts";
import { StoreError } from "../store/error.ts";
import type { problemSchema } from "../http/answers.ts";
import { isProblemCode, PROBLEMS, type ProblemCode, problemType } from "../http/problem-table.ts";

/** The body of an answer that is no success. */
export interface Problem extends Readonly<Output<typeof problemSchema>> {
  readonly code: ProblemCode;
}

export const PROBLEM_TYPE = "application/problem+json";

const TITLES: Readonly<Record<(typeof PROBLEMS)[ProblemCode][0], string>> = {
  400: "The request is wrong",
  401: "A valid API key is needed",
  403: "The key may not do this",
  404: "There is nothing here",
  405: "The method is not for this path",
  408: "The request took too long",
  409: "The request contradicts an earlier one",
  412: "Something else is there by now",
  413: "The body is too large",
  415: "The form of the body is not accepted",
  421: "The request is for another host",
  422: "The idempotency key belongs to another call",
  428: "The request has to say what it replaces",
  431: "The header is too large",
  499: "The client went away",
  500: "A fault of the service",
  501: "The service is not set up for this",
  503: "Not at the moment",
};
export const MAX_FAULTS = 10;

/** A problem that a route throws. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;
  /** The key that asked, for the log; `null` where that does not matter. */
  readonly keyId: string | null;

  constructor(
    code: ProblemCode,
    detail: string,
    more: {
      readonly faults?: readonly Fault[];
      readonly headers?: Readonly<Record<string, string>>;
      readonly keyId?: string | null;
    } = {},
  ) {
    super(code);
    const { faults, headers = {}, keyId = null } = more;
    this.keyId = keyId;
    const shown = faults?.slice(0, MAX_FAULTS).map(({ at, ...fault }) => ({ ...fault, ...lineOf(at) }));
    const [status] = PROBLEMS[code];
    const found = shown === undefined ? {} : { faults: shown };
    this.problem = { type: problemType(code), title: TITLES[status], status, code, detail, ...found };
    this.headers = status === 503 ? { "retry-after": "1", ...headers } : headers;
  }
}

/** The line and column in a text that a place such as `policy:3:12` names. */
export function lineOf(at = ""): { readonly line?: number; readonly column?: number } {
  const [, line, column] = /:(\d+):(\d+)$/.exec(at) ?? [];
  return line === undefined ? {} : { line: Number(line), column: Number(column) };
}

/** A request with faults; the first one is the detail. */
export function invalidRequest(code: ProblemCode, faults: readonly Fault[]): ProblemError {
  return new ProblemError(code, faults.slice(0, 1).map(formatFault).join(), { faults });
}

/** A body that does not fit its schema. Its values may be secrets: `got` says only their kind. */
export function invalidBody(path: string, expected: string, got: string): ProblemError {
  return invalidRequest("invalid-body", [{ path, expected, got }]);
}

export function invalidQuery(name: string, expected: string, got: string): ProblemError {
  return invalidRequest("invalid-query", [{ path: name.slice(0, 60), expected, got }]);
}

export function invalidHeader(expected: string, got: string): ProblemError {
  return invalidRequest("invalid-header", [{ path: "Idempotency-Key", expected, got }]);
}

/** The kind of a value, without the value. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return `a text of ${value.length} characters`;
  if (typeof value === "object") return Array.isArray(value) ? `a list of ${value.length}` : "an object";
  return formatGot(value);
}

/** Where a request has what the limiter is asked: in the `call` of a body, in a body, or in the query. */
export type CallPlace = "call" | "body" | "query";

/** Codes of misuse whose path begins in the call. */
const OF_CALL: ReadonlySet<MisuseCode> = new Set([
  "missing-dimension",
  "invalid-dimension",
  "invalid-cost",
  "missing-cost",
  "unknown-unit",
  "idempotency-conflict",
]);

function pathIn(place: CallPlace, code: MisuseCode, path: string): string {
  if (place === "query" && path === "dimensions") return "query";
  return place === "call" && OF_CALL.has(code) && !path.startsWith("usage") ? `call.${path}` : path;
}

/** A fault without advice on the library's methods. */
function overHttp({ hint, ...fault }: Fault): Fault {
  return hint === undefined ? fault : { ...fault, hint: hint.replace(/ \(limiter\.for\(.*?\) binds it\)/, "") };
}

/** An error as the caller sees it. Unexpected errors show no details. */
export function problemOf(error: unknown, place: CallPlace): ProblemError {
  if (error instanceof ProblemError) return error;
  if (MisuseError.isInstance(error)) {
    if (error.code === "limiter-closed") return stopping();
    const { code } = error;
    if (isProblemCode(code)) {
      return invalidRequest(
        code,
        error.faults.map((fault) => ({ ...overHttp(fault), path: pathIn(place, code, fault.path) })),
      );
    }
  }
  if (StoreError.isInstance(error)) {
    if (!error.transient) return new ProblemError("store-error", "The store failed. The service's log says why.");
    // The store refuses the service, not the caller.
    const code = error.code === "unauthorized" ? "unavailable" : error.code;
    return new ProblemError(code, "The store cannot answer at the moment.");
  }
  return new ProblemError("internal", "The service's log says why.");
}

export function stopping(): ProblemError {
  return new ProblemError("stopping", "This instance is about to end. Ask another one.", {
    headers: { connection: "close" },
  });
}

/** A method that a path does not have. */
export function notFor(allow: string): ProblemError {
  return new ProblemError("method-not-allowed", `The path takes ${allow}.`, { headers: { allow } });
}
