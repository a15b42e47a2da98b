import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { guardFetch } from "tollgate/adapters/fetch";
import { httpCases, limiterOf, type Serve } from "./http-cases.ts";

const serve: Serve = async ({ call, ...options }, where) => {
  const read = ({ headers }: Request) => call((name) => headers.get(name) ?? undefined);
  let handled = 0;
  const handler = () => {
    handled++;
    return new Response("hello");
  };
  const guarded = guardFetch(handler, { ...options, call: typeof call === "function" ? read : call });
  return {
    async get(path, session) {
      const request = new Request(`http://localhost${path}`, {
        headers: session === undefined ? {} : { "x-session": session },
      });
      const route = where === "everywhere" || path === "/chat" ? guarded : handler;
      try {
        return await route(request);
      } catch (error) {
        return new Response(String(error), { status: 500 });
      }
    },
    handled: () => handled,
  };
};

httpCases("fetch", serve);

describe("guardFetch", () => {
  const options = { limiter: limiterOf(), call: () => null };
  const request = new Request("http://localhost/");

  it("hands on what a server gives beside the request", async () => {
    const handler = guardFetch(
      (_request: Request, env: { name: string }, context: number) => new Response(`${env.name}${context}`),
      options,
    );
    assert.equal(await (await handler(request, { name: "worker" }, 7)).text(), "worker7");
  });

  it("tells its fields on answers that cannot be changed, and not on those that switch protocols", async () => {
    const limiter = limiterOf({ version: 1, limits: [{ name: "chats", per: ["session"], quota: 9 }] });
    const call = () => ({ tool: "chat", session: "s1" });
    const redirect = Response.redirect("http://localhost/x", 307);
    const answer = await guardFetch(() => redirect, { limiter, call })(request);
    assert.deepEqual([answer.status, answer.headers.get("location")], [307, "http://localhost/x"]);
    assert.match(answer.headers.get("ratelimit") ?? "", /^"chats";r=8;/);

    const failed = Response.error();
    assert.equal(await guardFetch(() => failed, { limiter, call })(request), failed);
  });

  it("keeps a body that streams, and its end", async () => {
    const limiter = limiterOf();
    const parts = ["a", "b", "c"];
    const body = () =>
      new ReadableStream({
        pull(controller) {
          const part = parts.shift();
          if (part === undefined) controller.close();
          else controller.enqueue(new TextEncoder().encode(part));
        },
      });
    const handler = guardFetch(() => new Response(body()), { limiter, call: () => ({ tool: "chat", session: "s1" }) });
    assert.equal(await (await handler(request)).text(), "abc");
  });

  it("hands on what the handler throws, and has charged the call", async () => {
    const limiter = limiterOf();
    const failure = new Error("broken");
    const handler = guardFetch(() => Promise.reject(failure), {
      limiter,
      call: () => ({ tool: "chat", session: "s1" }),
    });
    await assert.rejects(handler(request), failure);
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 1);
  });
});
