import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "tollgate";
import { fetchGuard } from "tollgate/adapters/fetch";
import { httpCases, limiterOf, type Serve } from "./http-cases.ts";

const serve: Serve = async ({ limiter, call, ...options }, where) => {
  const read = ({ headers }: Request) => call((name) => headers.get(name) ?? undefined);
  let handled = 0;
  const handler = () => {
    handled++;
    return new Response("hello");
  };
  const guarded = fetchGuard(limiter, { ...options, call: typeof call === "function" ? read : call })(handler);
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

describe("fetchGuard", () => {
  const request = new Request("http://localhost/");

  it("passes on the server's other arguments", async () => {
    interface Env {
      readonly name: string;
    }
    const seen: unknown[] = [];
    const handler = (_request: Request, env: Env, context: number) => new Response(`${env.name}${context}`);
    const call = (_request: Request, { name }: Env) => {
      seen.push(name);
      return null;
    };
    for (const guarded of [
      fetchGuard(limiterOf(), { call })(handler),
      fetchGuard(limiterOf(), { call: () => null })(handler),
    ]) {
      assert.equal(await (await guarded(request, { name: "worker" }, 7)).text(), "worker7");
    }
    assert.deepEqual(seen, ["worker"]);
  });

  it("sets its fields on immutable answers, and not on protocol switches", async () => {
    const limiter = limiterOf({ version: 1, limits: [{ name: "chats", per: ["session"], quota: 9 }] });
    const call = () => ({ tool: "chat", session: "s1" });
    const redirect = Response.redirect("http://localhost/x", 307);
    const answer = await fetchGuard(limiter, { call })(() => redirect)(request);
    assert.deepEqual([answer.status, answer.headers.get("location")], [307, "http://localhost/x"]);
    assert.match(answer.headers.get("ratelimit") ?? "", /^"chats";r=8;/);

    const failed = Response.error();
    assert.equal(await fetchGuard(limiter, { call })(() => failed)(request), failed);
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
    const handler = fetchGuard(limiter, { call: () => ({ tool: "chat", session: "s1" }) })(() => new Response(body()));
    assert.equal(await (await handler(request)).text(), "abc");
  });

  it("refuses a value that is no handler", () => {
    const guard = fetchGuard(limiterOf(), { call: () => null });
    assert.throws(
      () => guard({ limiter: 1 } as never),
      (error) => MisuseError.isInstance(error) && error.faults[0]?.path === "handler",
    );
  });

  it("passes on the handler's error, and has charged the call", async () => {
    const limiter = limiterOf();
    const failure = new Error("broken");
    const handler = fetchGuard(limiter, { call: () => ({ tool: "chat", session: "s1" }) })(() =>
      Promise.reject(failure),
    );
    await assert.rejects(handler(request), failure);
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 1);
  });
});
