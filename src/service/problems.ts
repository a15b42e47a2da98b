// What went wrong, as an answer: application/problem+json (RFC 9457). It shows what the caller did wrong by place and kind,
// and nothing of what the service is made of.

import { type Fault, formatFault, formatGot, type MisuseCode, MisuseError } from "../kernel/errors.ts";
import { StoreError, type StoreErrorCode } from "../store.ts";

/** The body of an answer that is no success. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** In kebab case; of a misuse or a store's trouble the code of that error. */
  readonly code: ProblemCode;
  readonly detail: string;
  /** What was found in a request, and where. */
  readonly faults?: readonly Omit<Fault, "at">[];
}

const TITLES: Readonly<Record<number, string>> = {
  400: "The request is wrong",
  401: "A key is needed",
  403: "The key may not do this",
  404: "There is nothing here",
  405: "The method is not for this path",
  408: "The request took too long",
  409: "The request contradicts an earlier one",
  413: "The body is too large",
  415: "The body must be JSON",
  421: "The request is for another host",
  431: "The header is too large",
  499: "The client went away",
  500: "A fault of the service",
  503: "Not at the moment",
};
const MAX_FAULTS = 10;

/** What the service says of its own; other problems have the code of a misuse or of a store's trouble. */
export const PROBLEM_CODES = [
  "invalid-body",
  "invalid-header",
  "invalid-json",
  "invalid-query",
  "invalid-request",
  "unauthorized",
  "missing-scope",
  "not-for-tenants",
  "other-tenant",
  "shared-bucket",
  "not-found",
  "method-not-allowed",
  "too-slow",
  "body-too-large",
  "unsupported-content-encoding",
  "unsupported-media-type",
  "other-host",
  "header-too-large",
  "client-gone",
  "internal",
  "store-error",
  "stopping",
  "too-many-listeners",
  "too-many-requests",
  "too-many-waiting",
] as const;

/** The code of a problem. */
export type ProblemCode = (typeof PROBLEM_CODES)[number] | MisuseCode | StoreErrorCode;

/** What contradicts something that happened before. */
const CONFLICTS: ReadonlySet<string> = new Set(["idempotency-conflict", "settled-already", "hold-unknown"]);

/** An answer that is no success, as what a route throws. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: ProblemCode,
    detail: string,
    more: { readonly faults?: readonly Fault[]; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(code);
    const { faults, headers = {} } = more;
    const shown = faults?.slice(0, MAX_FAULTS).map(({ path, expected, got }) => ({ path, expected, got }));
    const title = TITLES[status] ?? TITLES[500] ?? "";
    const type = `urn:tollgate:problem:${code}`;
    this.problem = { type, title, status, code, detail, ...(shown === undefined ? {} : { faults: shown }) };
    this.headers = status === 503 ? { "retry-after": "1", ...headers } : headers;
  }
}

/** A body that does not fit its schema. Its values may be secrets: only their kind is told. */
export function invalidBody(faults: readonly Fault[]): ProblemError {
  return new ProblemError(400, "invalid-body", detailOf(faults), { faults });
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

/** What a route calls the words that the limiter knows by other names. */
export interface RouteWords {
  /** What its body takes beside a call. */
  readonly beside: readonly string[];
  /** Whether dimensions are in the query. */
  readonly isQuery: boolean;
}

/** A fault of the limiter, in the words of the request. */
function inRequest(fault: Fault, { beside, isQuery }: RouteWords): Fault {
  if (isQuery && fault.path === "dimensions") return { ...fault, path: "query" };
  const isWord = fault.path === "call" && fault.expected.startsWith("only ") && beside.length > 0;
  return isWord ? { ...fault, expected: `${fault.expected}, ${beside.join(", ")}` } : fault;
}

/** What an error is to the caller. Of what nobody foresaw nothing is told. */
export function problemOf(error: unknown, words: RouteWords = { beside: [], isQuery: false }): ProblemError {
  if (error instanceof ProblemError) return error;
  if (MisuseError.isInstance(error)) {
    if (error.code === "limiter-closed") return stopping();
    const status = CONFLICTS.has(error.code) ? 409 : 400;
    const faults = error.faults.map((fault) => inRequest(fault, words));
    return new ProblemError(status, error.code, detailOf(faults), { faults });
  }
  if (StoreError.isInstance(error)) {
    return error.transient
      ? new ProblemError(503, error.code, "The store cannot answer at the moment.")
      : new ProblemError(500, "store-error", "The store failed. The service's log says why.");
  }
  return new ProblemError(500, "internal", "The service's log says why.");
}

export function stopping(): ProblemError {
  return new ProblemError(503, "stopping", "This instance is about to end. Ask another one.", {
    headers: { connection: "close" },
  });
}

/** A method that a path does not have. */
export function notFor(allow: string): ProblemError {
  return new ProblemError(405, "method-not-allowed", `The path takes ${allow}.`, { headers: { allow } });
}
