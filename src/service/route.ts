// What a route is.

import type { z } from "zod";
import type { Asking, ServiceContext } from "./context.ts";
import type { Scope } from "./keys.ts";

/** One route. */
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
  /** Of an item of a batch, where that may say less. */
  readonly item?: z.ZodType;
  /** Of the query, for the document. */
  readonly query?: z.ZodObject;
  /** Of a JSON answer, or the media type of another. */
  readonly response: z.ZodType | string;
  /** Whether the header `Idempotency-Key` names the wish. */
  readonly isOnce?: boolean;
  /** Whether it waits for events, so that it is not counted as in flight. */
  readonly isOpen?: boolean;
  /** What is answered: a value as JSON with 200, `null` as 204, or a response as it is. */
  run(context: ServiceContext, asking: Asking, body: unknown): unknown;
}
