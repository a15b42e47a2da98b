import assert from "node:assert/strict";
import { describe, it } from "node:test";
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import { fastifyGuard, fastifyRouteGuard } from "tollgate/adapters/fastify";
import { httpCases, limiterOf, type Serve } from "./http-cases.ts";

/** What `inject` answers, as a Response. */
function responseOf({ statusCode, headers, body }: { statusCode: number; headers: object; body: string }): Response {
  return new Response(body, { status: statusCode, headers: headers as Record<string, string> });
}

const serve: Serve = async ({ limiter, call, ...options }, where) => {
  const read = (request: FastifyRequest) => call((name) => request.headers[name] as string | undefined);
  const guarded = { ...options, call: typeof call === "function" ? read : call };
  let handled = 0;
  const handler = async () => {
    handled++;
    return "hello";
  };
  const app = Fastify();
  app.setErrorHandler((error, _request, reply) => reply.code(500).type("text/plain").send(String(error)));
  if (where === "everywhere") {
    await app.register(fastifyGuard(limiter, guarded));
    app.get("/chat", handler);
  } else {
    app.get("/chat", { onRequest: fastifyRouteGuard(limiter, guarded) }, handler);
  }
  app.get("/free", handler);
  return {
    get: async (url, session) =>
      responseOf(await app.inject({ url, headers: session === undefined ? {} : { "x-session": session } })),
    handled: () => handled,
    close: () => app.close(),
  };
};

httpCases("fastify", serve);

describe("fastify", () => {
  const call = () => ({ tool: "chat", session: "s1" });
  const statusesOf = async (app: ReturnType<typeof Fastify>, urls: readonly string[]) => {
    const statuses = [];
    for (const url of urls) statuses.push((await app.inject({ url })).statusCode);
    return statuses;
  };

  it("stays in the scope that it is registered in", async () => {
    const app = Fastify();
    app.get("/out", async () => "out");
    await app.register(async (scope) => {
      await scope.register(fastifyGuard(limiterOf(), { call }));
      scope.get("/in", async () => "in");
    });
    assert.deepEqual(await statusesOf(app, ["/in", "/out", "/in", "/in", "/out"]), [200, 200, 200, 429, 200]);
    await app.close();
  });

  it("guards unknown paths, too", async () => {
    const app = Fastify();
    await app.register(fastifyGuard(limiterOf(), { call }));
    assert.deepEqual(await statusesOf(app, ["/a", "/b", "/c"]), [404, 404, 429]);
    await app.close();
  });

  it("reads a call from the body, before the handler", async () => {
    interface Route {
      Body: { session: string };
    }
    const app = Fastify();
    const preHandler = fastifyRouteGuard(limiterOf(), {
      call: ({ body: { session } }: FastifyRequest<Route>) => ({ tool: "chat", session }),
    });
    app.post<Route>("/", { preHandler }, async () => "hello");
    const statuses = [];
    for (const session of ["a", "b", "a", "a", "b"]) {
      statuses.push((await app.inject({ method: "POST", url: "/", payload: { session } })).statusCode);
    }
    assert.deepEqual(statuses, [200, 200, 200, 429, 200]);
    await app.close();
  });

  it("lets later hooks see the answer, and runs no handler", async () => {
    const app = Fastify();
    const sent: number[] = [];
    app.addHook("onSend", async (_request: FastifyRequest, reply: FastifyReply) => {
      sent.push(reply.statusCode);
    });
    await app.register(fastifyGuard(limiterOf(), { call }));
    app.get("/", async () => "hello");
    await statusesOf(app, ["/", "/", "/"]);
    assert.deepEqual(sent, [200, 200, 429]);
    await app.close();
  });
});
