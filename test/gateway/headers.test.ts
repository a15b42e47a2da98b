// Headers: which are checked, which pass, and which are the gateway's own.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { startHttp } from "../../src/gateway/gateway.ts";
import { createRegistry } from "../../src/gateway/registry.ts";
import { createHostedLimiter } from "../../src/limiter.ts";
import {
  ask,
  configOf,
  httpGateway,
  json,
  legacyClient,
  modernCall,
  OPEN_POLICY,
  openSession,
  rawServer,
  serverOf,
  toolCall,
} from "./http-gateway.ts";

const base64 = (text: string) => `=?base64?${Buffer.from(text).toString("base64")}?=`;

describe("headers", { timeout: 60_000 }, () => {
  // Fails when the header is judged, when base64 is not decoded, and when a legacy request may have any header.
  it("judges the body, and refuses a header that contradicts it", async (t) => {
    const { url: upstream, seen } = await rawServer(t, json({ content: [] }));
    const policy = { version: 1 as const, limits: [{ name: "no", per: [], quota: 0, when: { tool: "dear é" } }] };
    const { url } = await httpGateway(t, upstream, { policy });
    const { body, headers } = modernCall(7, "dear é");
    const name = base64("dear é");
    const denied = await ask(url, body, { ...headers, "mcp-name": name });
    assert.deepEqual([denied.status, denied.body.result?.isError], [200, true]);
    const { "mcp-name": _, ...unnamed } = headers;
    const { "mcp-protocol-version": __, ...unversioned } = { ...headers, "mcp-name": name };
    const wrong: Record<string, string>[] = [
      { ...headers, "mcp-name": "cheap" },
      { ...headers, "mcp-name": base64("cheap") },
      { ...headers, "mcp-name": "DEAR É" },
      { ...headers, "mcp-name": name, "mcp-method": "ping" },
      { ...headers, "mcp-name": name, "mcp-protocol-version": "2027-01-01" },
      unnamed,
      unversioned,
    ];
    for (const each of wrong) {
      const { status, body: said } = await ask(url, body, each);
      assert.deepEqual([status, said.error?.code, said.id], [400, -32020, 7], JSON.stringify(each));
    }
    for (const each of [{ "mcp-name": "cheap" }, { "mcp-method": "ping" }]) {
      assert.equal((await ask(url, toolCall(8, "dear é"), each)).body.error?.code, -32020);
    }
    // A call that is hidden from the gateway.
    const hidden = await ask(url, '{"jsonrpc":"2.0","id":9,"method":"ping"}', { "mcp-method": "tools/call" });
    assert.equal(hidden.body.error?.code, -32020);
    assert.deepEqual(seen, []);
    const free = modernCall(10, "cheap");
    assert.equal((await ask(url, free.body, free.headers)).status, 200);
    assert.equal(seen.length, 1);
  });

  // Fails when a header is dropped, or sent with some requests only.
  it("forwards the same headers for each request of a session, and answers preflights", async (t) => {
    const { url: upstream, seen } = await rawServer(t, (request, response, body) => {
      if (request.method === "GET") return response.writeHead(405).end();
      if (request.method === "DELETE" || !body.includes('"id"')) return response.writeHead(202).end();
      const { id } = JSON.parse(body);
      const result = {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "a", version: "1" },
      };
      response.writeHead(200, {
        "content-type": "application/json",
        "mcp-session-id": "own",
        "access-control-allow-origin": "*",
      });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { ...result, content: [] } }));
    });
    const { url } = await httpGateway(t, upstream, { origins: ["https://app.example"] });
    const own = { "x-trace": "t1", "Mcp-Param-Region": "eu", authorization: "Bearer a" };
    const client = await legacyClient(t, url, own);
    await client.callTool({ name: "echo" });
    await client.http.terminateSession();
    const [first, ...rest] = seen;
    assert.equal(rest.length, 4, "a notification, a stream, a call, and the end");
    for (const { headers } of [first, ...rest].flatMap((each) => each ?? [])) {
      const { "x-trace": trace, "mcp-param-region": region, authorization, host, origin } = headers;
      assert.deepEqual([trace, region, authorization, origin], ["t1", "eu", "Bearer a", undefined]);
      assert.equal(host, new URL(upstream).host);
    }
    for (const { headers } of rest) {
      assert.deepEqual([headers["mcp-session-id"], headers["mcp-protocol-version"]], ["own", "2025-11-25"]);
    }
    assert.equal(first?.headers["mcp-session-id"], undefined);

    const origin = "https://app.example";
    const asked = { "access-control-request-method": "POST", "access-control-request-headers": "mcp-param-x, x-any" };
    const preflight = await ask(url, null, { origin, ...asked }, "OPTIONS");
    assert.deepEqual(
      [
        preflight.status,
        preflight.headers["access-control-allow-origin"],
        preflight.headers["access-control-allow-headers"],
      ],
      [204, origin, "mcp-param-x, x-any"],
    );
    assert.match(String(preflight.headers["access-control-allow-methods"]), /POST.*DELETE/);
    const { headers } = await ask(url, toolCall(1), { origin });
    assert.equal(headers["access-control-allow-origin"], origin, "the server's own is dropped");
    assert.match(String(headers["access-control-expose-headers"]), /Mcp-Session-Id/);
  });

  it("answers to its own names, and to pages that it knows", async (t) => {
    const { url: upstream, seen } = await rawServer(t, json({ content: [] }));
    const { url, origin } = await httpGateway(t, upstream, {
      hosts: ["mcp.example.com"],
      origins: ["https://app.example"],
    });
    const status = async (headers: Record<string, string>) => (await ask(url, toolCall(1), headers)).status;
    for (const host of ["localhost:1", "127.0.0.1", "[::1]:99", "MCP.example.com", "mcp.example.com:443"]) {
      assert.equal(await status({ host }), 200, host);
    }
    for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example"]) {
      assert.equal(await status({ host }), 403, host);
    }
    for (const page of ["https://app.example", "http://localhost:5173"])
      assert.equal(await status({ origin: page }), 200);
    assert.ok(seen.every(({ headers }) => headers.origin === undefined));
    const before = seen.length;
    for (const page of [
      "https://evil.example",
      "null",
      "https://app.example.evil.example",
      "http://localhost@evil.example",
    ]) {
      assert.equal(await status({ origin: page }), 403, page);
    }
    const refused = await ask(url, toolCall(1), { host: "evil.example" });
    assert.deepEqual([refused.body.id, refused.body.error?.code], [null, -32600]);
    assert.equal(seen.length, before);
    assert.equal((await ask(`${origin}/healthz`, null, { host: "10.0.0.1" })).text, '{"status":"ok"}');
  });

  it("starts at no address of other machines without a name", async () => {
    const limiter = createHostedLimiter({ policy: OPEN_POLICY, store: memoryStore(), failover: false });
    const log = { warn() {}, error() {} };
    const starting = (more: object) =>
      startHttp(configOf([serverOf("one", "http://127.0.0.1:9/mcp")], more), limiter, createRegistry([]), log);
    await assert.rejects(starting({ host: "0.0.0.0" }), (error) => {
      assert.ok(MisuseError.isInstance(error));
      assert.match(
        error.message,
        /listen\.hosts: expected the names that clients use, because 0\.0\.0\.0 is no loopback/,
      );
      return true;
    });
    const secret = configOf([serverOf("one", "http://user:pw@127.0.0.1:9/mcp")]);
    await assert.rejects(startHttp(secret, limiter, createRegistry([]), log), (error: Error) => {
      assert.match(error.message, /servers\.one\.url: expected an http or https address without a password/);
      assert.doesNotMatch(error.message, /pw/);
      return true;
    });
    await limiter.close();
  });

  // Fails when a credential passes against its rule, or is said anywhere.
  it("lets credentials pass by rule, and shows none", async (t) => {
    const { url: upstream, seen } = await rawServer(t, (_, response, body) => {
      response
        .writeHead(body.includes('"id":2') ? 403 : 401, {
          "www-authenticate": 'Bearer realm="own"',
          "set-cookie": "a=b",
        })
        .end("{}");
    });
    const rules = {
      none: serverOf("none", upstream, { credentials: "none" }),
      fixed: serverOf("fixed", upstream, { credentials: { header: "X-Key", value: "planted-key" } }),
      forward: serverOf("forward", upstream),
    };
    const { origin, logged, registry } = await httpGateway(t, Object.values(rules));
    const sent = { authorization: "Bearer planted-token", cookie: "planted=cookie", "x-key": "mine" };
    const answers = [];
    for (const name of Object.keys(rules)) answers.push(await ask(`${origin}/mcp/${name}`, toolCall(1), sent));
    const passed = seen.map(({ headers }) => [headers.authorization, headers.cookie, headers["x-key"]]);
    assert.deepEqual(passed, [
      [undefined, undefined, "mine"],
      [undefined, undefined, "planted-key"],
      ["Bearer planted-token", "planted=cookie", "mine"],
    ]);
    assert.deepEqual(
      answers.map(({ status, headers }) => [status, headers["www-authenticate"], headers["set-cookie"]]),
      [
        [502, undefined, undefined],
        [502, undefined, undefined],
        [401, 'Bearer realm="own"', ["a=b"]],
      ],
    );
    const { status, headers } = await ask(`${origin}/mcp/fixed`, toolCall(2), sent);
    assert.deepEqual([status, headers["www-authenticate"], headers["set-cookie"]], [403, undefined, undefined]);
    assert.match(answers[1]?.text ?? "", /The server \\"fixed\\" refuses the gateway's credential \(status 401\)\./);
    assert.doesNotMatch(JSON.stringify([answers, logged, registry.view()]), /planted/);
  });

  it("follows no redirect, and lets no client follow one", async (t) => {
    const { url: upstream } = await rawServer(t, (_, response) => {
      response.writeHead(307, { location: "https://elsewhere.example/mcp" }).end();
    });
    const { url, used } = await httpGateway(t, upstream);
    const { status, headers, body } = await ask(url, toolCall(3));
    assert.deepEqual([status, headers.location, body.id, body.error?.code], [502, undefined, 3, -32603]);
    assert.match(body.error?.message ?? "", /names another address \(status 307\)\. Write that one in its url\./);
    assert.deepEqual(await used(), { calls: 1, "at-once": 0 });
  });

  it("checks the credential before the body, and keeps the proof to itself", async (t) => {
    const { url: upstream, seen } = await rawServer(t, json({ content: [] }, { "mcp-session-id": "own" }));
    const key = { id: "alice", tenants: ["acme"] };
    const find = (authorization: string) => (authorization === "Bearer tg_a" ? key : null);
    const policy = { version: 1 as const, limits: [{ name: "l", per: ["user" as const], quota: 1 }] };
    const { url, limiter } = await httpGateway(t, upstream, {
      policy,
      auth: { config: { kind: "keys", find }, isOptional: false },
    });
    const refused = await ask(url, "no json", { authorization: "Bearer tg_b" });
    assert.deepEqual([refused.status, refused.headers["www-authenticate"]], [401, 'Bearer error="invalid_token"']);
    const authorization = "Bearer tg_a";
    await ask(url, toolCall(1), { authorization });
    assert.equal((await limiter.usage({ user: "alice" }))[0]?.used, 1);
    assert.equal(seen[0]?.headers.authorization, undefined);
    // A session is its principal's.
    const session = await openSession(url, { authorization });
    assert.equal((await ask(url, toolCall(2), { ...session, authorization })).status, 200);
  });
});
