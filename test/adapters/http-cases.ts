// What every adapter of an HTTP server must do, whatever the server is.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Call, createLimiter, type Limiter, MisuseError, type PolicyInput, StoreError } from "tollgate";
import type { HeadersDraft } from "tollgate/adapters/fetch";
import { memoryLog } from "tollgate/log";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

/** A guard that does not know the server: `call` is given what reads a header field. */
export interface AnyGuard {
  readonly limiter: Limiter;
  readonly call: (header: (name: string) => string | undefined) => Call | null | Promise<Call | null>;
  readonly headers?: HeadersDraft | undefined;
}

/** A server with `GET /chat` and `GET /free`, both guarded or the first alone, that answers errors with 500 and their text. */
export interface Served {
  get(path: "/chat" | "/free", session?: string): Promise<Response>;
  /** How often a handler ran. */
  handled(): number;
  close?(): Promise<unknown>;
}

export type Serve = (guard: AnyGuard, where: "everywhere" | "on one route") => Promise<Served>;

export const QUOTA = 2;
export const policy: PolicyInput = {
  version: 1,
  limits: [{ name: "chats", per: ["session"], quota: QUOTA, resetAfter: "90s" }],
};

export function limiterOf(limits: PolicyInput = policy): Limiter {
  return createLimiter({ policy: limits, store: memoryStore({ clock: fakeClock() }) });
}

/** A limiter whose store is away. */
export function brokenLimiter(): Limiter {
  const away = new StoreError("unavailable", "the store is away", { transient: true });
  return createLimiter({
    policy,
    store: { ...memoryStore(), apply: () => Promise.reject(away), close: async () => {} },
  });
}

export const bySession: AnyGuard["call"] = (header) => ({ tool: "chat", session: header("x-session") });

/** Runs the cases. What else a server can do is tested by itself. */
export function httpCases(name: string, serve: Serve): void {
  async function served(
    guard: Partial<AnyGuard>,
    use: (server: Served) => Promise<void>,
    where: Parameters<Serve>[1] = "everywhere",
  ): Promise<void> {
    const server = await serve({ limiter: limiterOf(), call: bySession, ...guard }, where);
    try {
      await use(server);
    } finally {
      await server.close?.();
    }
  }

  describe(`${name} as every HTTP adapter`, () => {
    it("is named in the decision log", async () => {
      const log = memoryLog();
      await served({ limiter: createLimiter({ policy, store: memoryStore(), log }) }, async (server) => {
        await server.get("/chat", "s1");
      });
      await log.close();
      const { items } = await log.storage.read.entries({ kind: "decision", tenants: null, pageSize: 9 });
      assert.deepEqual(
        items.map((entry) => entry.kind === "decision" && entry.via),
        [name],
      );
    });

    it("lets requests within the limit pass, with fields, and answers the others itself", () =>
      served({}, async (server) => {
        for (const left of [1, 0]) {
          const response = await server.get("/chat", "s1");
          assert.deepEqual([response.status, await response.text()], [200, "hello"]);
          assert.equal(response.headers.get("ratelimit-policy"), '"chats";q=2');
          assert.equal(response.headers.get("ratelimit"), `"chats";r=${left};t=90`);
          assert.equal(response.headers.get("retry-after"), null);
        }
        const denied = await server.get("/chat", "s1");
        assert.equal(denied.status, 429);
        assert.match(denied.headers.get("content-type") ?? "", /^application\/problem\+json(;|$)/);
        assert.equal(denied.headers.get("ratelimit"), '"chats";r=0;t=90');
        assert.equal(denied.headers.get("retry-after"), "90");
        assert.deepEqual(await denied.json(), {
          type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
          title: "Request cannot be satisfied as assigned quota has been exceeded",
          status: 429,
          detail: "Limit reached: 2 calls per 90 seconds per session. Retry after 1 min 30 s.",
          "violated-policies": ["chats"],
          retryAfterMs: 90_000,
        });
        assert.equal(server.handled(), QUOTA);
        assert.equal((await server.get("/chat", "s2")).status, 200);
      }));

    it("admits no more than the quota of requests at once", () =>
      served({}, async (server) => {
        const all = await Promise.all(Array.from({ length: 12 }, () => server.get("/chat", "s1")));
        assert.equal(all.filter(({ status }) => status === 200).length, QUOTA);
        assert.equal(all.filter(({ status }) => status === 429).length, 12 - QUOTA);
        assert.equal(server.handled(), QUOTA);
      }));

    it("passes on a store error: neither 429 nor a pass", () =>
      served({ limiter: brokenLimiter() }, async (server) => {
        const response = await server.get("/chat", "s1");
        assert.equal(response.status, 500);
        assert.match(await response.text(), /StoreError: the store is away/);
        assert.equal(response.headers.get("ratelimit"), null);
        assert.equal(server.handled(), 0);
      }));

    it("passes on a missing dimension, with the option that has to set it", () =>
      served({}, async (server) => {
        const response = await server.get("/chat");
        assert.equal(response.status, 500);
        assert.match(await response.text(), /MisuseError: call\(request\)\.session: expected .* the limit chats/);
        assert.equal(server.handled(), 0);
      }));

    it("passes on what `call` throws, and refuses a wrong result", async () => {
      const thrown = () => {
        throw new RangeError("who is this?");
      };
      await served({ call: thrown }, async (server) => {
        const response = await server.get("/chat", "s1");
        assert.deepEqual([response.status, await response.text()], [500, "RangeError: who is this?"]);
      });
      const nothing = (() => undefined) as unknown as AnyGuard["call"];
      await served({ call: nothing }, async (server) => {
        const response = await server.get("/chat", "s1");
        assert.equal(response.status, 500);
        assert.match(await response.text(), /MisuseError: call\(request\): expected an object, got nothing/);
        assert.equal(server.handled(), 0);
      });
    });

    it("passes on that a concurrency limit cannot be kept", () => {
      const limits = [{ name: "at-once", per: ["session"], algorithm: "concurrency", quota: 9 } as const];
      return served({ limiter: limiterOf({ version: 1, limits }) }, async (server) => {
        const response = await server.get("/chat", "s1");
        assert.equal(response.status, 500);
        assert.match(await response.text(), /reserve or run, because the limit at-once/);
      });
    });

    it("does not limit a request for which `call` returns null", () =>
      served({ call: () => null }, async (server) => {
        for (let i = 0; i < 5; i++) {
          const response = await server.get("/chat", "s1");
          assert.deepEqual([response.status, response.headers.get("ratelimit")], [200, null]);
        }
      }));

    it("waits for an asynchronous `call`", () => {
      const call: AnyGuard["call"] = async (header) => {
        await null;
        return bySession(header);
      };
      return served({ call }, async (server) => {
        const statuses = [];
        for (let i = 0; i < 3; i++) statuses.push((await server.get("/chat", "s1")).status);
        assert.deepEqual(statuses, [200, 200, 429]);
      });
    });

    it("guards only one route", () =>
      served(
        {},
        async (server) => {
          for (let i = 0; i < QUOTA; i++) await server.get("/chat", "s1");
          const free = await server.get("/free", "s1");
          assert.deepEqual([free.status, free.headers.get("ratelimit")], [200, null]);
          assert.equal((await server.get("/chat", "s1")).status, 429);
        },
        "on one route",
      ));

    for (const [headers, expected] of Object.entries({
      "draft-7": { ratelimit: "limit=2, remaining=1, reset=90" },
      "draft-6": { "ratelimit-limit": "2", "ratelimit-remaining": "1", "ratelimit-reset": "90" },
      none: {},
    })) {
      it(`sets ${headers}`, () =>
        served({ headers: headers as HeadersDraft }, async (server) => {
          const response = await server.get("/chat", "s1");
          const told = [...response.headers].filter(([name]) => name.startsWith("ratelimit"));
          assert.deepEqual(Object.fromEntries(told), expected);
          await server.get("/chat", "s1");
          assert.equal((await server.get("/chat", "s1")).headers.get("retry-after"), "90");
        }));
    }

    it("refuses wrong options, and names them", async () => {
      const wrong: [string, object][] = [
        ["limiter", { limiter: {} }],
        ["call", { call: "x-session" }],
        ["headers", { headers: "draft-8" }],
        ["headers", { headers: "constructor" }],
      ];
      for (const [path, options] of wrong) {
        await assert.rejects(
          served(options, async () => {}),
          (error) => {
            return MisuseError.isInstance(error) && error.code === "invalid-option" && error.faults[0]?.path === path;
          },
        );
      }
    });
  });
}
