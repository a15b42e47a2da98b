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
  readonly isOnce?: boolean;
  /** Whether it is answered also while the service is full or stopping, and not counted as in flight. */
  readonly isAlways?: boolean;
  /** Returns the answer: a value is sent as JSON with 200, `null` as 204, and a `Response` as it is. */
  run(asking: Asking, body: unknown): unknown;
}
