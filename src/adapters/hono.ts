// Hono: a middleware, for all routes or for one. Nothing of Hono is imported.

import type { Policy } from "../kernel/policy/parse.ts";
import type { Made, OnlyMade } from "../kernel/policy/typed.ts";
import type { Limiter } from "../limiter.ts";
import { type HttpOptions, judgeOf, withFields } from "./http.ts";

export type { HeadersDraft, HttpOptions } from "./http.ts";

/** What is needed of Hono's context, and known of it unless `call` says more: `(c: Context<…>) => …`. */
export interface HonoContext {
  readonly req: {
    readonly method: string;
    readonly url: string;
    readonly path: string;
    readonly raw: Request;
    /** A header field by its name. */
    header(name: string): string | undefined;
  };
  res: Response;
  body(body: string, status: 429, headers: Record<string, string>): Response;
}

/**
 * A middleware that judges requests. A denied one is answered with 429; when the store fails, or `call` is wrong, the
 * error goes to `app.onError`.
 *
 * @throws MisuseError `invalid-option`
 */
export function honoGuard<
  P extends Policy,
  Bound extends string,
  Returned extends Made<P, Bound>,
  Context extends HonoContext = HonoContext,
>(
  limiter: Limiter<P, Bound>,
  options: HttpOptions<Context, [], Returned & OnlyMade<P, Returned>>,
): (context: NoInfer<Context>, next: () => Promise<void>) => Promise<Response | undefined> {
  const judge = judgeOf(limiter, options, "hono");
  return async (context, next) => {
    const answer = await judge(context, () => context.req.raw);
    if (!answer.allowed && answer.status === 499) return new Response(answer.body, { status: answer.status });
    if (!answer.allowed) return context.body(answer.body, answer.status, { ...answer.fields });
    await next();
    const response = withFields(context.res, answer.fields);
    if (response !== context.res) context.res = response;
    return undefined;
  };
}
