// Servers that are a function from a Request to its Response: Bun, Deno, Workers, a route of Next.js. Also what other
// programs need to answer a denial themselves.

import { invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { Made, OnlyMade } from "../kernel/policy/typed.ts";
import type { Limiter } from "../limiter.ts";
import { type HttpOptions, judgeOf, withFields } from "./http.ts";

export { draft6Headers, draft7Headers, draft11Headers, problemOf, retryAfterSeconds } from "./http/fields.ts";
export type { Fields, Problem } from "./http/fields.ts";
export type { HeadersDraft, HttpOptions } from "./http.ts";

/** Makes a handler whose requests are judged first. What the handler gets beside the request is given to `call`, too. */
export type FetchGuard<Input extends Request, Rest extends readonly unknown[]> = <
  Own extends Input,
  More extends readonly [...Rest, ...unknown[]],
>(
  handler: (request: Own, ...rest: More) => Response | PromiseLike<Response>,
) => (request: Own, ...rest: More) => Promise<Response>;

/**
 * A guard for handlers. A denied request is answered with 429; when the store fails, or `call` is wrong, the promise is
 * rejected, and the handler does not run.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { fetchGuard } from "tollgate/adapters/fetch";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "chats", per: ["session"], quota: 1 }] },
 *   store: memoryStore(),
 * });
 * const guard = fetchGuard(limiter, { call: () => ({ tool: "chat", session: "s1" }) });
 * const handler = guard(() => new Response("hello"));
 * const request = new Request("http://localhost/");
 * console.log((await handler(request)).status, (await handler(request)).status); // 200 429
 * ```
 */
export function fetchGuard<
  P extends Policy,
  Bound extends string,
  Returned extends Made<P, Bound>,
  Input extends Request = Request,
  Rest extends readonly unknown[] = [],
>(
  limiter: Limiter<P, Bound>,
  options: HttpOptions<Input, Rest, Returned & OnlyMade<P, Returned>>,
): FetchGuard<Input, Rest> {
  const judge = judgeOf(limiter, options, "fetch");
  return (handler) => {
    if (typeof handler !== "function")
      throw invalidOption("handler", "a function from a request to its response", handler);
    return async (request, ...rest) => {
      const answer = await judge(request, () => request, ...(rest as unknown as Rest));
      if (!answer.allowed) return new Response(answer.body, { status: answer.status, headers: answer.fields });
      return withFields(await handler(request, ...rest), answer.fields);
    };
  };
}
