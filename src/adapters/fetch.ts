// Servers that are a function from a Request to its Response: Bun, Deno, Workers, a route of Next.js. Also what other
// programs need to answer a denial themselves.

import { type HttpOptions, judgeOf, withFields } from "./http.ts";

export {
  draft6Fields,
  draft7Fields,
  draft11Fields,
  type Fields,
  type Problem,
  problemOf,
  retryAfterSeconds,
} from "./http/fields.ts";
export type { FieldsDraft, HttpOptions } from "./http.ts";

/**
 * A handler whose requests are judged first. A denied one is answered with 429; when the store fails, or `call` is
 * wrong, the promise is rejected, and the handler does not run.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { guardFetch } from "tollgate/adapters/fetch";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "chats", per: ["session"], quota: 1 }] },
 *   store: memoryStore(),
 * });
 * const handler = guardFetch(() => new Response("hello"), {
 *   limiter,
 *   call: () => ({ tool: "chat", session: "s1" }),
 * });
 * const request = new Request("http://localhost/");
 * console.log((await handler(request)).status, (await handler(request)).status); // 200 429
 * ```
 */
export function guardFetch<Input extends Request, Rest extends unknown[]>(
  handler: (request: Input, ...rest: Rest) => Response | PromiseLike<Response>,
  options: HttpOptions<Input, Rest>,
): (request: Input, ...rest: Rest) => Promise<Response> {
  const judge = judgeOf(options);
  return async (request, ...rest) => {
    const answer = await judge(request, () => request, ...rest);
    if (!answer.allowed) return new Response(answer.body, { status: answer.status, headers: answer.fields });
    return withFields(await handler(request, ...rest), answer.fields);
  };
}
