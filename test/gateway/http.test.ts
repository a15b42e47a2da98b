// Clients and servers of the official SDK over HTTP, with the gateway between them.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { everything } from "./everything.ts";
import {
  ask,
  httpGateway,
  json,
  legacyClient,
  modernCall,
  modernClient,
  openSession,
  rawServer,
  serverOf,
  toolCall,
} from "./http-gateway.ts";

const server = await everything();
after(() => server.close());

const CLIENTS = { legacy: legacyClient, modern: modernClient };
const word = (said: string) => ({ name: "echo", arguments: { word: said } });

describe("a gateway over HTTP", { timeout: 60_000 }, () => {
  for (const [era, connected] of Object.entries(CLIENTS)) {
    it(`answers a denial as a result that the model reads, never as 429 (${era})`, async (t) => {
      const policy = { version: 1 as const, limits: [{ name: "echoes", per: [], quota: 2, when: { tool: "echo" } }] };
      const { url, registry } = await httpGateway(t, server.url, { policy });
      const client = await connected(t, url);
      const { tools } = await client.listTools();
      assert.ok(tools.some(({ name, outputSchema }) => name === "echo" && outputSchema !== undefined));
      for (const said of ["a", "b"]) {
        assert.deepEqual((await client.callTool(word(said))).structuredContent, { word: said });
      }
      const denied = await client.callTool(word("c"));
      assert.equal(denied.isError, true);
      assert.match(JSON.stringify(denied.content), /Limit reached \(echoes\)/);
      assert.ok(!server.runs.includes("echo c"));
      const [shown] = registry.view().items;
      const { lastCallAtMs: _, ...echo } = shown?.tools.find(({ name }) => name === "echo") ?? {};
      assert.deepEqual(echo, { name: "echo", description: "Says it again.", calls: 3, denied: 1 });
      assert.deepEqual([shown?.state, shown?.url], ["up", server.url.replace(/\?.*/, "")]);
    });
  }

  // Fails when answers are found by their id alone.
  it("serves several clients of one address at once without mixing answers", async (t) => {
    const { url, used } = await httpGateway(t, server.url);
    const sessions = await Promise.all(Array.from({ length: 10 }, () => openSession(url)));
    const answers = await Promise.all(
      sessions.flatMap((session, i) => {
        const legacy = ask(url, toolCall(1, "echo", `{"word":"l${i}"}`), session);
        const modern = modernCall(1, "echo", `{"word":"m${i}"}`);
        return [legacy, ask(url, modern.body, modern.headers)];
      }),
    );
    for (const [i, { text }] of answers.entries()) {
      assert.match(text, new RegExp(`"word":"${i % 2 === 0 ? "l" : "m"}${i >> 1}"`));
    }
    assert.deepEqual(await used(), { calls: 20, "at-once": 0 });
  });

  // Fails when progress is found by its token alone. Clients of the SDK take their message ids as tokens.
  it("keeps equal progress tokens of two clients apart", async (t) => {
    const { url } = await httpGateway(t, server.url);
    const steps = await Promise.all(
      [3, 5].map(async (n) => {
        const client = await legacyClient(t, url);
        const seen: number[] = [];
        const onprogress = ({ progress, total }: { progress: number; total?: number | undefined }) =>
          void seen.push(progress, total ?? 0);
        await client.callTool({ name: "steps", arguments: { n } }, undefined, { onprogress });
        return seen;
      }),
    );
    assert.deepEqual(steps, [
      [1, 3, 2, 3, 3, 3],
      [1, 5, 2, 5, 3, 5, 4, 5, 5, 5],
    ]);
  });

  it("has an address for each of several servers, whose tools no limit mixes", async (t) => {
    const policy = { version: 1 as const, limits: [{ name: "l", per: [], quota: 1, when: { tool: "one_*" } }] };
    const other = await rawServer(t, json({ content: [] }));
    const servers = [serverOf("one", server.url), serverOf("two", other.url)];
    const { origin } = await httpGateway(t, servers, {
      policy,
      calls: {},
    });
    const { body, headers } = modernCall(1);
    const allowed = async (path: string) => {
      const { body: said } = await ask(`${origin}${path}`, body, headers);
      return said.result?.isError !== true;
    };
    assert.deepEqual(
      [await allowed("/mcp/one"), await allowed("/mcp/one"), await allowed("/mcp/two"), await allowed("/mcp/two/")],
      [true, false, true, true],
    );
    const { text } = await ask(`${origin}/mcp/three`, body, headers);
    assert.match(text, /There is no server.*use \/mcp or \/mcp\/<server>\./);
  });

  it("never cuts or merges names over 64 characters", async (t) => {
    const [long, longer] = ["x".repeat(120), `${"x".repeat(120)}-y`];
    const { url: upstream, seen } = await rawServer(t, (...request) =>
      json({ content: [], tools: [{ name: long }, { name: longer }] })(...request),
    );
    const policy = { version: 1 as const, limits: [{ name: "l", per: ["tool" as const], quota: 1 }] };
    const { origin, registry } = await httpGateway(t, [serverOf("one", upstream), serverOf("two", upstream)], {
      policy,
    });
    const listed = await ask(`${origin}/mcp/one`, '{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
    assert.deepEqual(listed.body.result?.tools, [{ name: long }, { name: longer }]);
    for (const server of ["one", "two"]) {
      for (const name of [long, longer]) {
        const { body } = await ask(`${origin}/mcp/${server}`, toolCall(1, name));
        assert.equal(body.result?.isError, undefined, "each is a tool of its own");
        assert.equal(JSON.parse(seen.at(-1)?.body ?? "").params.name, name);
      }
    }
    const shown = registry.view().items[0]?.tools.map(({ name }) => name);
    assert.deepEqual(shown, [`one_${long}`, `one_${longer}`]);
    await assert.rejects(
      httpGateway(t, [serverOf("a_b", upstream)]),
      /servers: expected names of a-z, 0-9 and -, at most 20 characters each/,
    );
  });

  it("refuses what two servers may read differently, without asking one", async (t) => {
    const { url: upstream, seen } = await rawServer(t, json({}));
    const { url } = await httpGateway(t, upstream, { maxRequestBytes: 1_000 });
    const codes: unknown[] = [];
    for (const [body, headers] of [
      [`[${toolCall(1)}]`, {}],
      ["hello", {}],
      [toolCall(1).replace('"name"', '"name":"a","n\\u0061me"'), {}],
      [toolCall(1), { "content-type": "application/json; charset=utf-16" }],
      [toolCall(1), { "content-encoding": "gzip" }],
      ["x".repeat(1_001), {}],
    ] as const) {
      const { status, body: said } = await ask(url, body, headers);
      codes.push([status, said.error?.code]);
      assert.deepEqual(said.error?.data, { source: "tollgate" });
    }
    assert.deepEqual(codes, [
      [400, -32600],
      [400, -32700],
      [400, -32600],
      [415, -32600],
      [415, -32600],
      [413, -32600],
    ]);
    assert.deepEqual(seen, []);
  });
});
