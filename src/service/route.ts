// A route, from which the server, the OpenAPI document and the page /docs are made.

import type { Entries, ObjectSchema, Schema } from "../kernel/policy/schema-kinds.ts";
import type { Asking } from "./context.ts";
import type { Scope } from "./keys.ts";

export interface Route {
  readonly method: "GET" | "POST";
  readonly path: `/${string}`;
  /** Its name in the OpenAPI document, by which generated clients call it. */
  readonly operationId: string;
  /** The scope that a key needs; `null`: the route needs no key. */
  readonly scope: Scope | null;
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
  /**
   * Whether its requests are not counted as in flight: they are answered also while the service is full. While the service stops,
   * `run` decides.
   */
  readonly isUncounted?: boolean;
  /** Returns the answer: a value is sent as JSON with 200, `null` as 204, and a `Response` as it is. */
  run(asking: Asking, body: unknown): unknown;
}
