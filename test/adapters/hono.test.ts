import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Context, Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { honoGuard } from "tollgate/adapters/hono";
import { httpCases, limiterOf, type Serve } from "./http-cases.ts";

const serve: Serve = async ({ limiter, call, ...options }, where) => {
  const guard = honoGuard(limiter, {
    ...options,
    call: typeof call === "function" ? (c) => call((name) => c.req.header(name)) : call,
  });
  let handled = 0;
  const handler = (c: Context) => {
    handled++;
    return c.text("hello");
  };
  const app = new Hono();
  app.onError((error, c) => c.text(String(error), 500));
  app.use(where === "everywhere" ? "*" : "/chat", guard);
  app.get("/chat", handler);
  app.get("/free", handler);
  return {
    get: async (path, session) => app.request(path, { headers: session === undefined ? {} : { "x-session": session } }),
    handled: () => handled,
  };
};

httpCases("hono", serve);

describe("hono", () => {
  interface Env {
    Variables: { user: string };
  }
  const call = () => ({ tool: "chat", session: "s1" });

  it("sets its fields on any answer of a handler, and keeps other fields", async () => {
    const limiter = limiterOf({ version: 1, limits: [{ name: "chats", per: ["session"], quota: 9 }] });
    const app = new Hono();
    app.use(async (c, next) => {
      c.header("x-before", "1");
      await next();
    });
    app.use(honoGuard(limiter, { call }));
    app.get("/raw", () => new Response("raw"));
    app.get("/redirect", () => Response.redirect("http://localhost/raw"));
    app.get("/own", (c) => c.body("own", 200, { RateLimit: '"own";r=1' }));
    app.get("/fails", () => {
      throw new HTTPException(418, { message: "teapot" });
    });
    const told = async (path: string) => {
      const response = await app.request(path);
      return [response.status, response.headers.get("ratelimit")?.replace(/;t=\d+/, "")];
    };
    assert.deepEqual(await told("/raw"), [200, '"chats";r=8']);
    assert.deepEqual(await told("/redirect"), [302, '"chats";r=7']);
    assert.deepEqual(await told("/own"), [200, '"own";r=1']);
    assert.deepEqual(await told("/fails"), [418, '"chats";r=5']);
    assert.deepEqual(await told("/nowhere"), [404, '"chats";r=4']);
  });

  it("answers a denial with the fields of earlier middleware", async () => {
    const app = new Hono();
    app.use(async (c, next) => {
      c.header("x-before", "1");
      await next();
    });
    app.get("/", honoGuard(limiterOf(), { call }), (c) => c.text("hello"));
    for (let i = 0; i < 2; i++) await app.request("/");
    const denied = await app.request("/");
    assert.deepEqual([denied.status, denied.headers.get("x-before")], [429, "1"]);
  });

  it("reads a call from the context", async () => {
    const app = new Hono<Env>();
    app.use(async (c, next) => {
      c.set("user", c.req.header("authorization") ?? "");
      await next();
    });
    app.use(honoGuard(limiterOf(), { call: (c: Context<Env>) => ({ tool: "chat", session: c.get("user") }) }));
    app.get("/", (c) => c.text("hello"));
    const statuses = [];
    for (const authorization of ["a", "b", "a", "a", "b"]) {
      statuses.push((await app.request("/", { headers: { authorization } })).status);
    }
    assert.deepEqual(statuses, [200, 200, 200, 429, 200]);
  });

  it("lets `call` refuse a request itself", async () => {
    const app = new Hono();
    const refuse = () => {
      throw new HTTPException(401, { message: "log in" });
    };
    app.use(honoGuard(limiterOf(), { call: refuse }));
    assert.equal((await app.request("/")).status, 401);
  });
});
