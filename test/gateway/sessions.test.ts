// Sessions: their ids are signed texts, which each instance with the same secret can open.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { everything } from "./everything.ts";
import {
  ask,
  type GatewayOptions,
  httpGateway,
  json,
  legacyClient,
  modernCall,
  openSession,
  rawServer,
  serverOf,
  toolCall,
} from "./http-gateway.ts";

const server = await everything();
after(() => server.close());

const echo = { name: "echo", arguments: { word: "a" } };
/** What the gateway itself has put into a session's id. */
const contentOf = (token: string) => JSON.parse(String(Buffer.from(token.split(".")[3] ?? "", "base64url")));

describe("sessions over HTTP", { timeout: 60_000 }, () => {
  // Fails when an instance keeps its sessions, when it makes its own secret, and when a lost one is 400.
  it("serves a session from another instance, and answers 404 -32001 for a lost one", async (t) => {
    const [one, other, foreign] = [
      await httpGateway(t, server.url),
      await httpGateway(t, server.url),
      await httpGateway(t, server.url, { calls: { secrets: [{ id: "b", secret: new Uint8Array(32).fill(9) }] } }),
    ];
    const session = await openSession(one.url);
    for (const { url } of [one, other]) {
      assert.match((await ask(url, toolCall(1), session)).text, /"word":"a"/);
    }
    const before = server.seen.length;
    for (const [url, token] of [
      [foreign.url, session["mcp-session-id"]],
      [one.url, "invented"],
      [one.url, `${session["mcp-session-id"]}x`],
      [one.url, contentOf(session["mcp-session-id"]).u],
    ]) {
      const { status, body } = await ask(url, toolCall(7), { "mcp-session-id": token });
      assert.deepEqual([status, body.error?.code, body.id], [404, -32001, 7]);
      assert.equal((await ask(url, null, { "mcp-session-id": token })).status, 404);
    }
    assert.equal(server.seen.length, before);
    // A client of the SDK takes the error, and begins again.
    const client = await legacyClient(t, one.url);
    Object.assign(client.http, { _sessionId: "lost" });
    await assert.rejects(client.callTool(echo), (error: Error & { code?: number }) => error.code === 404);
    const again = await legacyClient(t, one.url);
    assert.equal((await again.callTool(echo)).isError, undefined);
  });

  it("takes no session that it did not seal for this address and user", async (t) => {
    const find = (authorization: string) => ({ id: authorization, tenants: null });
    const servers = [serverOf("one", server.url), serverOf("two", server.url)];
    const auth: GatewayOptions["auth"] = { config: { kind: "keys", find }, isOptional: false };
    const { origin } = await httpGateway(t, servers, { auth });
    const alice = { authorization: "alice" };
    const bob = { authorization: "bob" };
    const session = await openSession(`${origin}/mcp/one`, alice);
    const merged = await openSession(`${origin}/mcp`, alice);
    const status = async (path: string, headers: Record<string, string>, tool = "echo") =>
      (await ask(`${origin}${path}`, toolCall(1, tool), headers)).status;
    const found = [
      await status("/mcp/one", { ...session, ...alice }),
      await status("/mcp/two", { ...session, ...alice }),
      await status("/mcp/one", { ...session, ...bob }),
      await status("/mcp", { ...session, ...alice }, "one_echo"),
      await status("/mcp", { ...merged, ...alice }, "one_echo"),
      await status("/mcp", { ...merged, ...bob }, "one_echo"),
      await status("/mcp/one", { ...merged, ...alice }),
    ];
    assert.deepEqual(found, [200, 404, 404, 404, 200, 404, 404]);
  });

  it("counts by the session that it has sealed, and by none that a client invents", async (t) => {
    const policy = { version: 1 as const, limits: [{ name: "l", per: ["session" as const], quota: 1 }] };
    // A server without state takes any session.
    const { url: upstream, seen } = await rawServer(t, (request, response, body) => {
      const isFirst = body.includes('"initialize"');
      return json({ content: [] }, isFirst ? { "mcp-session-id": "own" } : {})(request, response, body);
    });
    const { url, limiter } = await httpGateway(t, upstream, { policy });
    const [first, second, third] = [await openSession(url), await openSession(url), await openSession(url)];
    const isDenied = async (headers: Record<string, string>, body = toolCall(1)) =>
      (await ask(url, body, headers)).body.result?.isError === true;
    assert.deepEqual([await isDenied(first), await isDenied(first), await isDenied(second)], [false, true, false]);
    const { s } = contentOf(first["mcp-session-id"]);
    assert.equal((await limiter.usage({ session: s }))[0]?.used, 1);
    // A modern request has no session, so that it shares the bucket of all that have none.
    const { body, headers } = modernCall(1);
    assert.deepEqual([await isDenied({}), await isDenied({ ...headers, ...third }, body)], [false, true]);
    assert.equal(seen.at(-1)?.headers["mcp-session-id"], undefined);
  });

  it("says so when a server's session cannot be sealed, and gives a lost session of the server its code", async (t) => {
    const { url: upstream } = await rawServer(t, (request, response, body) => {
      if (body.includes('"initialize"'))
        return json({}, { "mcp-session-id": "x".repeat(4_000) })(request, response, body);
      return response.writeHead(404).end();
    });
    const { url } = await httpGateway(t, upstream);
    const begun = await ask(url, '{"jsonrpc":"2.0","id":0,"method":"initialize"}');
    assert.deepEqual([begun.status, begun.body.error?.code], [502, -32603]);
    assert.match(begun.text, /gave a session an id of 4000 characters, which is too long/);
    const other = await httpGateway(t, server.url);
    const session = await openSession(other.url);
    await ask(other.url, null, session, "DELETE");
    const ended = await ask(other.url, toolCall(4), session);
    assert.deepEqual([ended.status, ended.body.id], [404, null], "the server's own words");
    assert.equal((await ask(url, toolCall(5))).status, 404);
  });
});
