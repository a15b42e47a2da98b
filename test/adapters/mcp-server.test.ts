import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Client as Client2, StreamableHTTPClientTransport as Http2 } from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Http1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import { Server as Server1 } from "@modelcontextprotocol/sdk/server/index.js";
import { McpServer as McpServer1 } from "@modelcontextprotocol/sdk/server/mcp.js";
import { WebStandardStreamableHTTPServerTransport as WebTransport1 } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import {
  CallToolRequestSchema,
  type CallToolResult,
  ListToolsRequestSchema,
  ResultSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { createMcpHandler, McpServer as McpServer2, Server as Server2 } from "@modelcontextprotocol/server";
import { createLimiter, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import { mcpServerGuard, type McpServerOptions } from "tollgate/adapters/mcp-server";
import { memoryStore } from "tollgate/stores/memory";
import { z } from "zod";
import type { DenialFields } from "../../src/adapters/guard.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { marksIn, PARALLEL, PROCESSES, QUOTA } from "./agents.ts";
import type { ServerOrder } from "./mcp-server-worker.ts";
import { LOADER } from "../sources.ts";

const INFO = { name: "bookings", version: "1.0.0" };
const TEXT = [{ type: "text" as const, text: "booked" }];
const TWO: PolicyInput = {
  version: 1,
  limits: [{ name: "two", per: ["session", "tool"], quota: 2, notice: { at: "never" } }],
};

const closings: (() => unknown)[] = [];
after(async () => {
  for (const close of closings.reverse()) await close();
});

function limiterOf(policy: PolicyInput = TWO): Limiter {
  return createLimiter({ policy, store: memoryStore() });
}

type Run = (args: Readonly<Record<string, unknown>>, signal: AbortSignal) => CallToolResult | Promise<CallToolResult>;
type Guarding = (server: Connectable) => unknown;
type Connectable = McpServer1 | McpServer2 | Server1 | Server2;

const inputSchema = z.object({ date: z.string() });
/** The ways to write a server whose only tool is `book`. */
const WAYS: Readonly<Record<string, (guard: Guarding, run: Run) => Connectable>> = {
  "1, high-level, before its tools"(guard, run) {
    const server = new McpServer1(INFO);
    guard(server);
    server.registerTool("book", { inputSchema }, (args, { signal }) => run(args, signal));
    return server;
  },
  "1, high-level, after its tools"(guard, run) {
    const server = new McpServer1(INFO);
    server.registerTool("book", { inputSchema }, (args, { signal }) => run(args, signal));
    guard(server);
    return server;
  },
  "1, high-level, between its capabilities and its tools"(guard, run) {
    const server = new McpServer1(INFO, { capabilities: { tools: {} } });
    guard(server);
    server.registerTool("book", { inputSchema }, (args, { signal }) => run(args, signal));
    return server;
  },
  "1, low-level, before its handlers"(guard, run) {
    const server = new Server1(INFO, { capabilities: { tools: {} } });
    guard(server);
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [] }));
    server.setRequestHandler(CallToolRequestSchema, ({ params }, { signal }) => run(params.arguments ?? {}, signal));
    return server;
  },
  "1, low-level, after its handlers"(guard, run) {
    const server = new Server1(INFO, { capabilities: { tools: {} } });
    server.setRequestHandler(CallToolRequestSchema, ({ params }, { signal }) => run(params.arguments ?? {}, signal));
    guard(server);
    return server;
  },
  "1, low-level, by the handler of the rest"(guard, run) {
    const server = new Server1(INFO, { capabilities: { tools: {} } });
    guard(server);
    server.fallbackRequestHandler = async ({ params }, { signal }) =>
      run((params?.arguments ?? {}) as Record<string, unknown>, signal);
    return server;
  },
  "2, high-level, before its tools"(guard, run) {
    const server = new McpServer2(INFO);
    guard(server);
    server.registerTool("book", { inputSchema }, (args, { mcpReq }) => run(args, mcpReq.signal));
    return server;
  },
  "2, high-level, after its tools"(guard, run) {
    const server = new McpServer2(INFO);
    server.registerTool("book", { inputSchema }, (args, { mcpReq }) => run(args, mcpReq.signal));
    guard(server);
    return server;
  },
  "2, low-level, before its handlers"(guard, run) {
    const server = new Server2(INFO, { capabilities: { tools: {} } });
    guard(server);
    server.setRequestHandler("tools/list", () => ({ tools: [] }));
    server.setRequestHandler("tools/call", ({ params }, { mcpReq }) => run(params.arguments ?? {}, mcpReq.signal));
    return server;
  },
  "2, low-level, with a schema of its own"(guard, run) {
    const server = new Server2(INFO, { capabilities: { tools: {} } });
    guard(server);
    const params = z.object({ name: z.string(), arguments: inputSchema });
    server.setRequestHandler("tools/call", { params }, (own, { mcpReq }) => run(own.arguments, mcpReq.signal));
    return server;
  },
  "2, low-level, after its handlers"(guard, run) {
    const server = new Server2(INFO, { capabilities: { tools: {} } });
    server.setRequestHandler("tools/call", ({ params }, { mcpReq }) => run(params.arguments ?? {}, mcpReq.signal));
    guard(server);
    return server;
  },
  "2, low-level, by the handler of the rest"(guard, run) {
    const server = new Server2(INFO, { capabilities: { tools: {} } });
    server.fallbackRequestHandler = async ({ params }, { mcpReq }) =>
      run((params?.arguments ?? {}) as Record<string, unknown>, mcpReq.signal);
    guard(server);
    return server;
  },
};

/** What a server's transport knows of a request. */
interface Known {
  readonly sessionId?: string;
  readonly authInfo?: { readonly clientId: string; readonly extra?: Record<string, unknown> };
}

/** A client of the server, of version 1 unless said, over an in-memory transport. */
async function connected(
  server: Connectable,
  { sessionId = "s1", authInfo }: Known = {},
  version = 1,
): Promise<Client1> {
  const [here, there] = InMemoryTransport.createLinkedPair();
  if (sessionId !== "") there.sessionId = sessionId;
  const send = here.send.bind(here);
  if (authInfo !== undefined) {
    here.send = (message) => send(message, { authInfo: { token: "t", scopes: [], ...authInfo } });
  }
  await (server as McpServer1).connect(there as Parameters<McpServer1["connect"]>[0]);
  const client = (version === 1 ? new Client1(INFO) : new Client2(INFO)) as Client1;
  await client.connect(here as Parameters<Client1["connect"]>[0]);
  closings.push(() => client.close());
  return client;
}

/** A guarded server of version 1, and calls of its only tool. */
async function bookings(run: Run, limiter = limiterOf(), options?: McpServerOptions, known?: Known) {
  const way = WAYS["1, high-level, before its tools"] as (typeof WAYS)[string];
  const client = await connected(
    way((server) => mcpServerGuard(limiter, options)(server), run),
    known,
  );
  return (date = "monday", signal?: AbortSignal) =>
    client.callTool({ name: "book", arguments: { date } }, undefined, signal && { signal }) as Promise<CallToolResult>;
}

const DENIED =
  "Limit reached (two), call denied: this tool has no calls left in this session: all 2 are used. Do not call it again; other tools are still available.";

describe("a call that is denied", () => {
  for (const [way, make] of Object.entries(WAYS)) {
    it(`is a tool's result: SDK ${way}`, async () => {
      let calls = 0;
      const run = () => {
        calls++;
        return { content: TEXT };
      };
      const server = make((each) => mcpServerGuard(limiterOf())(each), run);
      const client = await connected(server, {}, way.startsWith("1") ? 1 : 2);
      const call = { name: "book", arguments: { date: "monday" } };
      const results = await Promise.all([1, 2, 3].map(() => client.callTool(call)));
      assert.equal(calls, 2);
      assert.deepEqual(results.slice(0, 2), [{ content: TEXT }, { content: TEXT }]);
      const { _meta, ...denial } = results[2] ?? {};
      assert.deepEqual(denial, { isError: true, content: [{ type: "text", text: DENIED }] });
      const fields = _meta?.["tollgate/denial"] as DenialFields;
      assert.deepEqual(fields, { allowed: false, limit: "two", remaining: 0, retryAfterMs: null });
    });
  }

  it("does not break the schema of the tool's output", async () => {
    for (const version of [1, 2]) {
      for (const server of [new McpServer1(INFO), new McpServer2(INFO)]) {
        mcpServerGuard(limiterOf())(server);
        const outputSchema = z.object({ id: z.number() });
        const book = () => ({ content: TEXT, structuredContent: { id: 7 } });
        (server as McpServer2).registerTool("book", { outputSchema }, book);
        const client = await connected(server, {}, version);
        await client.listTools();
        const results = [];
        for (let n = 0; n < 3; n++) results.push(await client.callTool({ name: "book" }));
        assert.deepEqual(results[1]?.structuredContent, { id: 7 });
        assert.deepEqual(Object.keys(results[2] ?? {}).sort(), ["_meta", "content", "isError"]);
      }
    }
  });

  it("is an error for a client that asked for a task", async () => {
    const server = new Server1(INFO, { capabilities: { tools: {}, tasks: { requests: { tools: { call: {} } } } } });
    mcpServerGuard(limiterOf({ version: 1, limits: [{ name: "none", per: [], quota: 0 }] }))(server);
    server.setRequestHandler(CallToolRequestSchema, () => assert.fail());
    const client = await connected(server);
    const params = { name: "book", arguments: {}, task: { resetAfterIdle: 1_000 } };
    await assert.rejects(client.request({ method: "tools/call", params }, ResultSchema), {
      code: 429,
      message: /Call denied \(none\): no calls are allowed/,
      data: { allowed: false, limit: "none", remaining: 0, retryAfterMs: null },
    });
  });

  it("is one also where the tool does not exist", async () => {
    const server = new McpServer1(INFO);
    mcpServerGuard(limiterOf())(server);
    server.registerTool("book", {}, () => ({ content: TEXT }));
    const client = await connected(server);
    const texts = [];
    for (let n = 0; n < 3; n++) texts.push((await client.callTool({ name: "boko" })).content);
    assert.match(JSON.stringify(texts[1]), /boko not found/);
    assert.match(JSON.stringify(texts[2]), /Limit reached \(two\)/);
  });
});

describe("the dimensions of a call", () => {
  const perUser = (per: string[]): PolicyInput => ({ version: 1, limits: [{ name: "one", per, quota: 1 }] });
  const book: Run = () => ({ content: TEXT });
  const isDenied = async (call: Promise<CallToolResult>) => (await call).isError === true;

  it("come from authentication", async () => {
    const limiter = limiterOf(perUser(["tenant", "user", "agent", "tool"]));
    const as = (userId: unknown, clientId = "app") =>
      bookings(book, limiter, {}, { authInfo: { clientId, extra: { userId, tenantId: 7 } } });
    const [ann, again, bob, other] = await Promise.all([as("ann"), as("ann"), as("bob"), as("ann", "other")]);
    assert.deepEqual(
      [await isDenied(ann()), await isDenied(again()), await isDenied(bob()), await isDenied(other())],
      [false, true, false, false],
    );
  });

  it("have the transport's session, and ignore the client's", async () => {
    const limiter = limiterOf(perUser(["session"]));
    const call = await bookings(book, limiter, {}, { sessionId: "s1" });
    assert.equal(await isDenied(call()), false);
    assert.equal(await isDenied(call()), true);
    const other = await bookings(book, limiter, {}, { sessionId: "s2" });
    assert.equal(await isDenied(other()), false);
  });

  it("have a session of the HTTP transport, which refuses any other", async () => {
    const asked: unknown[] = [];
    const server = new McpServer1(INFO);
    const dimensions: McpServerOptions["dimensions"] = ({ sessionId, header }) => {
      asked.push(sessionId, header("X-Turn"));
      return { session: sessionId };
    };
    mcpServerGuard(limiterOf(), { dimensions })(server);
    server.registerTool("book", {}, () => ({ content: TEXT }));
    const transport = new WebTransport1({ sessionIdGenerator: () => "given-out" });
    await server.connect(transport as Parameters<typeof server.connect>[0]);
    const client = new Client1(INFO);
    const requests: Request[] = [];
    const fetch = async (url: string | URL, init?: RequestInit) => {
      const request = new Request(url, init);
      requests.push(request.clone());
      return transport.handleRequest(request);
    };
    const http = new Http1(new URL("http://127.0.0.1/mcp"), { fetch, requestInit: { headers: { "X-Turn": "t1" } } });
    await client.connect(http as Parameters<typeof client.connect>[0]);
    await client.callTool({ name: "book" });
    assert.deepEqual(asked, ["given-out", "t1"]);
    const last = requests.findLast(({ method }) => method === "POST") as Request;
    last.headers.set("mcp-session-id", "made-up");
    assert.equal((await transport.handleRequest(last)).status, 404);
    assert.equal(asked.length, 2);
    await client.close();
  });

  it("come from the option, with the same arguments in both versions", async () => {
    for (const way of ["1, high-level, before its tools", "2, high-level, before its tools"]) {
      const asked: unknown[] = [];
      const dimensions: McpServerOptions["dimensions"] = async ({ header, ...request }) => {
        asked.push({ ...request, header: header("X-Turn") });
        return { session: "mine", tool: "not this" };
      };
      const limiter = limiterOf();
      const server = WAYS[way]?.((each) => mcpServerGuard(limiter, { dimensions })(each), book) as Connectable;
      const client = await connected(server, { authInfo: { clientId: "app" } }, way.startsWith("1") ? 1 : 2);
      await client.callTool({ name: "book", arguments: { date: "monday" }, _meta: { turn: "t1" } });
      const authInfo = { clientId: "app", token: "t", scopes: [] };
      assert.deepEqual(asked, [{ tool: "book", sessionId: "s1", authInfo, meta: { turn: "t1" }, header: undefined }]);
      assert.equal((await limiter.usage({ session: "mine", tool: "book" }))[0]?.used, 1);
    }
  });

  it("are the limiter's where a server serves one session", async () => {
    const call = await bookings(book, limiterOf(perUser(["session"])).for({ session: "s9" }), {}, { sessionId: "" });
    assert.equal(await isDenied(call()), false);
    assert.equal(await isDenied(call()), true);
  });

  it("include arguments, and the request's id as a label", async () => {
    const ids: unknown[] = [];
    const limiter = createLimiter({
      policy: { version: 1, limits: [{ name: "again", per: ["session", "tool", "args"], quota: 1 }] },
      store: memoryStore(),
      onDecision: (_, { toolCallId, idempotencyKey }) => ids.push(toolCallId, idempotencyKey),
    });
    const call = await bookings(book, limiter);
    assert.equal(await isDenied(call("monday")), false);
    assert.equal(await isDenied(call("tuesday")), false);
    assert.equal(await isDenied(call("monday")), true);
    assert.deepEqual(ids, ["1", undefined, "2", undefined, "3", undefined]);
  });

  it("come with each request to createMcpHandler, of both protocols", async () => {
    const limiter = limiterOf(perUser(["user", "session"]));
    const dimensions: McpServerOptions["dimensions"] = ({ authInfo, header }) => ({
      user: String(authInfo?.extra?.userId),
      session: header("x-session"),
    });
    const handler = createMcpHandler(() => {
      const server = new McpServer2(INFO);
      mcpServerGuard(limiter, { dimensions })(server);
      server.registerTool("book", { inputSchema }, () => ({ content: TEXT }));
      return server;
    });
    const authInfo = { token: "t", clientId: "app", scopes: [], extra: { userId: "ann" } };
    for (const session of ["legacy", "modern"]) {
      const client = new Client2(INFO, session === "modern" ? { versionNegotiation: { mode: "auto" } } : {});
      await client.connect(
        new Http2(new URL("http://127.0.0.1/mcp"), {
          requestInit: { headers: { "x-session": session } },
          fetch: (url, init) => handler.fetch(new Request(url, init), { authInfo }),
        }),
      );
      const call = { name: "book", arguments: { date: "monday" } };
      assert.equal((await client.callTool(call)).isError, undefined);
      const { isError, _meta } = await client.callTool(call);
      assert.equal(isError, true, session);
      assert.equal((_meta?.["tollgate/denial"] as DenialFields | undefined)?.limit, "one");
      await client.close();
    }
    await handler.close();
  });
});

describe("a call that is allowed", () => {
  it("shows what is left of a budget", async () => {
    const call = await bookings(
      () => ({ content: TEXT }),
      limiterOf({ version: 1, limits: [{ name: "five", per: ["session"], quota: 5 }] }),
    );
    const contents = [];
    for (let n = 0; n < 5; n++) contents.push((await call()).content);
    assert.deepEqual(contents[0], TEXT);
    assert.deepEqual(contents[4]?.slice(0, 1), TEXT);
    const text =
      "No calls are left in this session: all 5 are used. Do not call tools again; finish with what you have.";
    assert.deepEqual(contents[4]?.slice(1), [{ type: "text", text, annotations: { audience: ["assistant"] } }]);
  });

  it("keeps its content and structured content, in both versions, beside a notice", async () => {
    const outputSchema = z.object({ c: z.number() });
    const contents: CallToolResult["content"][] = [
      [{ type: "text", text: '{"c":3}' }],
      [{ type: "text", text: "" }],
      [],
      [{ type: "image", data: "aGk=", mimeType: "image/png" }],
    ];
    for (const version of [1, 2]) {
      for (const Server of [McpServer1, McpServer2]) {
        for (const content of contents) {
          const server = new Server(INFO);
          const one: PolicyInput = { version: 1, limits: [{ name: "one", per: ["session", "tool"], quota: 1 }] };
          mcpServerGuard(limiterOf(one))(server);
          const own = { content, structuredContent: { c: 3 }, _meta: { own: true } };
          (server as McpServer2).registerTool("book", { outputSchema }, () => own);
          const client = await connected(server, {}, version);
          await client.listTools();
          const { content: all, ...rest } = (await client.callTool({ name: "book" })) as CallToolResult;
          assert.deepEqual([all.slice(0, -1), rest], [content, { structuredContent: { c: 3 }, _meta: { own: true } }]);
          assert.equal(all.length, content.length + 1);
          const { text } = all.at(-1) as { text: string };
          assert.match(text, /^This tool has no calls left in this session\. /);
          assert.deepEqual(own.content, content);
        }
      }
    }
  });

  it("passes on a tool's failure, which the policy charges or refunds", async () => {
    for (const [policy, used] of [
      [{ onError: "charge" }, 2],
      [{ onError: "refund" }, 0],
      [{ onError: "refund", tools: { book: { onError: "charge" } } }, 2],
      [{ onError: "charge", tools: { book: { onError: "refund" } } }, 0],
    ] as const) {
      for (const [way, make] of Object.entries(WAYS)) {
        const limiter = limiterOf({ ...TWO, ...policy });
        const failing: Run = () => {
          throw new Error("full");
        };
        const server = make((each) => mcpServerGuard(limiter)(each), failing);
        const client = await connected(server);
        for (let n = 0; n < 2; n++) {
          const call = client.callTool({ name: "book", arguments: { date: "monday" } });
          if (way.includes("low-level")) await assert.rejects(call, /full/);
          else assert.deepEqual(await call, { isError: true, content: [{ type: "text", text: "full" }] });
        }
        assert.equal((await limiter.usage({ session: "s1", tool: "book" }))[0]?.used, used, way);
      }
    }
  });

  it("ends a streak of failures, or extends it", async () => {
    let isBroken = true;
    const call = await bookings(
      () => ({ content: TEXT, isError: isBroken }),
      limiterOf({
        version: 1,
        limits: [{ name: "row", per: ["session", "tool"], algorithm: "streak", of: "errors", quota: 2 }],
      }),
    );
    const isDenied = async () => (await call())._meta !== undefined;
    assert.equal(await isDenied(), false);
    isBroken = false;
    assert.equal(await isDenied(), false);
    isBroken = true;
    assert.deepEqual([await isDenied(), await isDenied(), await isDenied()], [false, false, true]);
  });

  it("counts as equal by its result", async () => {
    let calls = 0;
    const row: PolicyInput["limits"][number] = {
      name: "row",
      per: ["session", "tool"],
      algorithm: "streak",
      of: "results",
      quota: 2,
    };
    const call = await bookings(
      () => ({ content: [{ type: "text", text: `booked ${Math.min(++calls, 3)}` }] }),
      limiterOf({ version: 1, limits: [row] }),
    );
    const denials = [];
    for (let n = 0; n < 5; n++) denials.push((await call()).isError === true);
    assert.deepEqual(denials, [false, false, false, false, true]);
  });

  it("does not begin after an earlier cancel, which is no fault", async () => {
    const limiter = limiterOf();
    const stop = new AbortController();
    const arrived = Promise.withResolvers<void>();
    const dimensions = async () => {
      stop.abort();
      await setImmediate();
      arrived.resolve();
      return { session: "s1" };
    };
    const faults: unknown[] = [];
    const onFault = (fault: unknown) => faults.push(fault);
    const call = await bookings(() => assert.fail(), limiter, { dimensions, onFault });
    await assert.rejects(call("monday", stop.signal), /aborted/i);
    await arrived.promise;
    await setImmediate();
    assert.deepEqual(faults, []);
    assert.equal((await limiter.usage({ session: "s1", tool: "book" }))[0]?.used, 0);
  });

  it("can be cancelled, and is settled then", async () => {
    const limiter = limiterOf({
      version: 1,
      limits: [{ name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1 }],
    });
    const stop = new AbortController();
    const call = await bookings(async (_, signal) => {
      const stopped = once(signal, "abort");
      stop.abort();
      await stopped;
      throw new Error("stopped");
    }, limiter);
    await assert.rejects(call("monday", stop.signal), /aborted/i);
    while ((await limiter.usage({ session: "s1" }))[0]?.used !== 0) await setImmediate();
  });
});

describe("a call that cannot be judged", () => {
  const INTERNAL = { code: -32603, message: /Internal error$/, data: undefined };

  it("is an error without details, and the program gets the option to set", async () => {
    for (const [way, make] of Object.entries(WAYS)) {
      const faults: unknown[] = [];
      const onFault = (fault: unknown) => faults.push(fault);
      const server = make(
        (each) => mcpServerGuard(limiterOf(), { onFault })(each),
        () => assert.fail(),
      );
      const client = await connected(server, { sessionId: "" });
      await assert.rejects(client.callTool({ name: "book", arguments: { date: "monday" } }), INTERNAL);
      assert.equal(faults.length, 1, way);
      assert.ok(MisuseError.isInstance(faults[0]));
      assert.match(
        faults[0].message,
        /^session: expected .* the option dimensions, or bound by limiter\.for, got nothing$/,
      );
    }
  });

  it("becomes a process warning if there is no listener, or if the listener throws", async () => {
    for (const [options, words] of [
      [{}, /could not be judged: MisuseError: session: .* the option dimensions/],
      [{ onFault: async () => Promise.reject(new Error("deaf")) }, /could not be judged: Error: deaf/],
    ] as const) {
      const warned = once(process, "warning");
      const call = await bookings(() => assert.fail(), limiterOf(), options, { sessionId: "" });
      await assert.rejects(call(), INTERNAL);
      assert.match((await warned)[0].message, words);
    }
  });

  it("reports a store error only to the program", async () => {
    const faults: unknown[] = [];
    const store = { apply: () => Promise.reject(new Error("redis://secret is away")), close: async () => {} };
    const limiter = createLimiter({ policy: TWO, store });
    const call = await bookings(() => assert.fail(), limiter, { onFault: (fault) => faults.push(fault) });
    await assert.rejects(call(), INTERNAL);
    assert.match(String(faults[0]), /secret/);
  });

  it("is refused when it names no tool", async () => {
    const server = WAYS["1, high-level, after its tools"]?.(
      (each) => mcpServerGuard(limiterOf())(each),
      () => assert.fail(),
    ) as Connectable;
    const client = await connected(server);
    for (const params of [{ name: "" }, { name: 7 }, {}, undefined]) {
      await assert.rejects(client.request({ method: "tools/call", params } as never, ResultSchema), { code: -32602 });
    }
  });
});

describe("options that are wrong", () => {
  const guard = (server: unknown, ...args: unknown[]) =>
    (mcpServerGuard as (...args: unknown[]) => (server: unknown) => unknown)(...args)(server);
  const cases: [string, () => void][] = [
    ["server", () => guard({}, limiterOf())],
    ["server", () => guard(undefined, limiterOf())],
    ["server", () => guard({ setRequestHandler() {}, assertCanSetRequestHandler: () => assert.fail() }, limiterOf())],
    ["limiter", () => guard(new McpServer1(INFO), {})],
    ["options", () => guard(new McpServer1(INFO), limiterOf(), { session: "s1" })],
    ["dimensions", () => guard(new McpServer1(INFO), limiterOf(), { dimensions: { session: "s1" } })],
    ["onFault", () => guard(new McpServer1(INFO), limiterOf(), { onFault: true })],
  ];
  for (const [path, wrong] of cases) {
    it(`names ${path}`, () => {
      assert.throws(wrong, (error) => MisuseError.isInstance(error) && error.faults[0]?.path === path);
    });
  }
});

describe("three servers of one Redis", async () => {
  const redis = await anyRedis();

  /** Repeats one call for ever, several at once, and says how it ended. */
  async function runAway(client: Client1, denials: number) {
    const read: string[] = [];
    while (read.length < denials) {
      const call = { name: "search", arguments: { query: "a flat in Oslo" } };
      const results = await Promise.all(Array.from({ length: PARALLEL }, () => client.callTool(call)));
      for (const { isError, content } of results) if (isError === true) read.push(JSON.stringify(content));
    }
    return read;
  }

  for (const version of [1, 2] as const) {
    it(`allow a runaway client's call exactly ${QUOTA} times: SDK ${version}`, async () => {
      const marks = join(temporaryFolder(), "marks");
      const order: ServerOrder = { url: redis.url, marks, version };
      const user = `runaway-${version}-${process.pid}`;
      const reads = await Promise.all(
        Array.from({ length: PROCESSES }, async () => {
          const child = fork(new URL("mcp-server-worker.ts", import.meta.url), {
            execArgv: ["--conditions=tollgate-source", LOADER],
          });
          closings.push(() => child.kill("SIGKILL"));
          await once(child, "message");
          child.send(order);
          const [port] = await once(child, "message");
          const url = new URL(`http://127.0.0.1:${port}/mcp`);
          const requestInit = { headers: { authorization: `Bearer ${user}` } };
          const client = (version === 1 ? new Client1(INFO) : new Client2(INFO)) as Client1;
          const transport = version === 1 ? new Http1(url, { requestInit }) : new Http2(url, { requestInit });
          await client.connect(transport as Parameters<Client1["connect"]>[0]);
          const read = await runAway(client, 40);
          await client.close();
          return read;
        }),
      );
      assert.equal(marksIn(marks), QUOTA);
      for (const read of reads) {
        assert.ok(read.length >= 40);
        for (const text of read) assert.match(text, /Limit reached \(tool-per-user\)/);
      }
    });
  }
});
