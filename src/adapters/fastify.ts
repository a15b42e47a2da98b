// Fastify: a plugin for all routes of its scope, and a hook for one route. Nothing of Fastify is imported.

import type { Policy } from "../kernel/policy/parse.ts";
import type { Made, OnlyMade } from "../kernel/policy/typed.ts";
import type { Limiter } from "../limiter.ts";
import { type Closing, goneWith, type HttpOptions, judgeOf } from "./http.ts";

export type { HeadersDraft, HttpOptions } from "./http.ts";

/** What is known of a request unless `call` says more: `(request: FastifyRequest<…>) => …`. */
export interface FastifyRequest {
  readonly method: string;
  readonly url: string;
  readonly ip: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly params: unknown;
  readonly query: unknown;
  /** Not before `preHandler`. */
  readonly body: unknown;
}

interface FastifyReply {
  readonly raw?: Closing;
  headers(fields: Record<string, string>): unknown;
  code(status: 429 | 499): unknown;
  send(body: string): unknown;
}

type Hook<Input> = (request: Input, reply: FastifyReply) => Promise<unknown>;

interface FastifyScope {
  // biome-ignore lint/suspicious/noExplicitAny: which requests the scope has is known where the plugin is made.
  addHook(name: "onRequest", hook: Hook<any>): unknown;
}

/**
 * A plugin that judges requests of all routes that are registered after it, in its scope and those below. A denied one is
 * answered with 429; when the store fails, or `call` is wrong, the error goes to Fastify's error handler.
 *
 * @throws MisuseError `invalid-option`
 */
export function fastifyGuard<
  P extends Policy,
  Bound extends string,
  Returned extends Made<P, Bound>,
  Input = FastifyRequest,
>(
  limiter: Limiter<P, Bound>,
  options: HttpOptions<Input, [], Returned & OnlyMade<P, Returned>>,
): (scope: FastifyScope) => Promise<void> {
  const hook = fastifyRouteGuard<P, Bound, Returned, Input>(limiter, options);
  const plugin = async (scope: FastifyScope) => {
    scope.addHook("onRequest", hook);
  };
  // Else Fastify would put it into a scope of its own, where it guards nothing.
  return Object.assign(plugin, { [Symbol.for("skip-override")]: true });
}

/**
 * The same for one route, as its `onRequest`; or as its `preHandler`, when `call` needs the body.
 *
 * @throws MisuseError `invalid-option`
 */
export function fastifyRouteGuard<
  P extends Policy,
  Bound extends string,
  Returned extends Made<P, Bound>,
  Input = FastifyRequest,
>(limiter: Limiter<P, Bound>, options: HttpOptions<Input, [], Returned & OnlyMade<P, Returned>>): Hook<NoInfer<Input>> {
  const judge = judgeOf(limiter, options, "fastify");
  return async (request, reply) => {
    const answer = await judge(request, () => goneWith(reply.raw ?? {}));
    reply.headers({ ...answer.fields });
    if (answer.allowed) return;
    reply.code(answer.status);
    return reply.send(answer.body);
  };
}
