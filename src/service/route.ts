// A route, from which the server, the OpenAPI document and the page /docs are made.

import type { z } from "zod";
import type { Asking } from "./context.ts";
import type { Scope } from "./keys.ts";

export interface Route {
  readonly method: "GET" | "POST";
  readonly path: `/${string}`;
  /** Its name in the OpenAPI document, by which generated clients call it. */
  readonly operationId: string;
  /** What a key must have; `null` if no key is needed. */
  readonly scope: Scope | null;
  readonly summary: string;
  /** Of the body; absent where there is none. */
  readonly request?: z.ZodType;
  /** What of it is checked before it runs, where it checks the rest itself. */
  readonly reads?: z.ZodType;
  /** Of the query, for the document. */
  readonly query?: z.ZodObject;
  /** Of a JSON answer, or the media type of another. */
  readonly response: z.ZodType | string;
  /** Further statuses of an answer that is no problem, for the document. */
  readonly also?: Readonly<Record<number, string>>;
  /** Whether the header `Idempotency-Key` names the call. */
  readonly isOnce?: boolean;
  /** Whether it is answered also while the service is full or stopping, and not counted as in flight. */
  readonly isAlways?: boolean;
  /** What is answered: a value as JSON with 200, `null` as 204, or a response as it is. */
  run(asking: Asking, body: unknown): unknown;
}
