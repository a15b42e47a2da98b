// What went wrong, as an answer: application/problem+json (RFC 9457). It shows what the caller did wrong by place and kind,
// and nothing of what the service is made of.

import { type Fault, formatFault, formatGot, type MisuseCode, MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import { isProblemCode, PROBLEMS, type ProblemCode, problemType } from "./problem-table.ts";

/** The body of an answer that is no success. */
export interface Problem {
  /** Where its page is, from the root of the host. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** By this clients tell problems apart; of a misuse or a store's trouble the code of that error. */
  readonly code: ProblemCode;
  readonly detail: string;
  /** What was found in a request, and where. */
  readonly faults?: readonly Omit<Fault, "at">[];
}

const TITLES: Readonly<Record<number, string>> = {
  400: "The request is wrong",
  401: "A valid API key is needed",
  403: "The key may not do this",
  404: "There is nothing here",
  405: "The method is not for this path",
  408: "The request took too long",
  409: "The request contradicts an earlier one",
  413: "The body is too large",
  415: "The body must be JSON",
  421: "The request is for another host",
  422: "The idempotency key belongs to another call",
  431: "The header is too large",
  499: "The client went away",
  500: "A fault of the service",
  503: "Not at the moment",
};
const MAX_FAULTS = 10;

/** An answer that is no success, as what a route throws. */
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
    const shown = faults?.slice(0, MAX_FAULTS).map(({ at: _, ...fault }) => fault);
    const [status] = PROBLEMS[code];
    const title = TITLES[status] ?? TITLES[500] ?? "";
    this.problem = {
      type: problemType(code),
      title,
      status,
      code,
      detail,
      ...(shown === undefined ? {} : { faults: shown }),
    };
    this.headers = status === 503 ? { "retry-after": "1", ...headers } : headers;
  }
}

/** A body that does not fit its schema. Its values may be secrets: only their kind is told. */
export function invalidBody(faults: readonly Fault[]): ProblemError {
  return new ProblemError("invalid-body", detailOf(faults), { faults });
}

/** The first fault with what was found, such as the word that is not known. */
function detailOf([first]: readonly Fault[]): string {
  return first === undefined ? "The request is wrong." : formatFault(first);
}

/** What a value is, without saying it. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return `a text of ${value.length} characters`;
  if (typeof value === "object") return Array.isArray(value) ? `a list of ${value.length}` : "an object";
  return formatGot(value);
}

/** Where a request says what the limiter is asked: in the `call` of a body, in a body, or in the query. */
export type Place = "call" | "body" | "query";

/** Misuse of which the library says the place in the call. */
const OF_CALL: ReadonlySet<MisuseCode> = new Set([
  "missing-dimension",
  "invalid-dimension",
  "invalid-cost",
  "missing-cost",
  "unknown-unit",
  "idempotency-conflict",
]);

/** The place of a misuse in the request. */
function placeIn(place: Place, code: MisuseCode, path: string): string {
  if (place === "query" && path === "dimensions") return "query";
  return place === "call" && OF_CALL.has(code) && !path.startsWith("usage") ? `call.${path}` : path;
}

/** A fault without advice on the library's methods. */
function overHttp({ hint, ...fault }: Fault): Fault {
  return hint === undefined ? fault : { ...fault, hint: hint.replace(/ \(limiter\.for\(.*?\) binds it\)/, "") };
}

/** An error as the caller sees it. Unexpected errors show no details. */
export function problemOf(error: unknown, place: Place): ProblemError {
  if (error instanceof ProblemError) return error;
  if (MisuseError.isInstance(error)) {
    if (error.code === "limiter-closed") return stopping();
    const { code } = error;
    if (isProblemCode(code)) {
      const faults = error.faults.map((fault) => ({ ...overHttp(fault), path: placeIn(place, code, fault.path) }));
      return new ProblemError(code, detailOf(faults), { faults });
    }
  }
  if (StoreError.isInstance(error)) {
    if (!error.transient) return new ProblemError("store-error", "The store failed. The service's log says why.");
    // What the store will not let the service do is nothing that the caller lacks.
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
