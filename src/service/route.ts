// A route, from which the server, the OpenAPI document and the page /docs are made.

import type { Entries, ObjectSchema, Schema } from "../kernel/policy/schema-kinds.ts";
import type { Asking } from "./context.ts";
import type { Scope } from "./keys.ts";
import { ProblemError } from "./problems.ts";

export interface Route {
  readonly method: "GET" | "POST" | "PUT";
  /** Its last part may be a parameter, such as `:id`. */
  readonly path: `/${string}`;
  /** Its name in the OpenAPI document, by which generated clients call it. */
  readonly operationId: string;
  /** The scope that a key needs; `any`: any valid key; `null`: the route needs no key. */
  readonly scope: Scope | "any" | null;
  readonly summary: string;
  /** The schema of the body; absent: the route takes none. */
  readonly request?: Schema;
  /** The schema of what is checked before `run`, where `run` checks the rest of the body itself. */
  readonly reads?: Schema;
  /** The schema of the query, for the OpenAPI document. */
  readonly query?: ObjectSchema<Entries>;
  /** The schema of a JSON answer, or the media type of any other answer. */
  readonly response: Schema | string;
  /** Further statuses of answers that are not problems, for the OpenAPI document. */
  readonly also?: Readonly<Record<number, string>>;
  /** Whether the header `Idempotency-Key` names the call. */
  readonly takesKey?: boolean;
  /** Whether the header `If-Match` names what is replaced. */
  readonly takesMatch?: boolean;
  /**
   * Whether its requests are not counted as in flight: they are answered also while the service is full. While the service stops,
   * `run` decides.
   */
  readonly isUncounted?: boolean;
  /** Whether the page /docs leaves it out. */
  readonly isHidden?: boolean;
  /** Returns the answer: a value is sent as JSON with 200, `null` as 204, and a `Response` as it is. */
  run(asking: Asking, body: unknown): unknown;
}

/** Whether a path is of a route. */
export function isOfRoute({ path }: Pick<Route, "path">, pathname: string): boolean {
  const [start = "", name] = path.split(":");
  if (name === undefined) return path === pathname;
  return pathname.startsWith(start) && /^[^/]+$/.test(pathname.slice(start.length));
}

/** The parameter of a request's path: its last part. Throws ProblemError 404 where it cannot be read. */
export function parameterOf({ url }: Request): string {
  const { pathname } = new URL(url);
  try {
    return decodeURIComponent(pathname.slice(pathname.lastIndexOf("/") + 1));
  } catch {
    throw new ProblemError("not-found", "The path cannot be read: its % signs are not followed by UTF-8.");
  }
}
