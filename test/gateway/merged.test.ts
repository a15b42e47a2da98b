// The merged address: the tools of all servers at /mcp, whatever one of them does.

import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { after, describe, it } from "node:test";
import { everything } from "./everything.ts";
import { ask, httpGateway, json, modernCall, rawServer, serverOf, toolCall, until } from "./http-gateway.ts";

const server = await everything();
after(() => server.close());

const LIST = '{"jsonrpc":"2.0","id":"l","method":"tools/list"}';
const listing = (...tools: object[]) => json({ tools });
function namesIn({ result = {} }: { readonly result?: Record<string, unknown> }): string[] {
  return (result.tools as { readonly name: string }[]).map(({ name }) => name);
}

function missingIn({ result = {} }: { readonly result?: Record<string, unknown> }): unknown {
  return (result._meta as Record<string, unknown> | undefined)?.["tollgate/missing"];
}

function modernList(id: number | string = 1) {
  const { body, headers } = modernCall(id, "x");
  const list = body.replace("tools/call", "tools/list").replace('"name":"x","arguments":{"word":"a"},', "");
  return {
    body: list,
    headers: { "mcp-protocol-version": headers["mcp-protocol-version"], "mcp-method": "tools/list" },
  };
}

describe("the merged address", { timeout: 60_000 }, () => {
  it("lists all pages of all servers, each tool as its server wrote it", async (t) => {
    const tool = (name: string) => ` {"description": "é\\u00e9", "name":"${name}","_meta":{"n":1.0}}`;
    const paged = await rawServer(t, (_, response, body) => {
      const { id, params } = JSON.parse(body);
      const at = Number(params?.cursor ?? 0);
      const next = at < 2 ? `,"nextCursor":"${at + 1}"` : "";
      response.writeHead(200, { "content-type": "application/json" });
      response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"tools":[${tool(`t${at}`)}]${next}}}`);
    });
    const events = await rawServer(t, (_, response, body) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n');
      response.end(`data: {"jsonrpc":"2.0","id":${JSON.stringify(JSON.parse(body).id)},"result":{"tools":[]}}\n\n`);
    });
    const servers = [serverOf("b", paged.url), serverOf("a", events.url)];
    const { url, registry, used } = await httpGateway(t, servers);
    const { text, body } = await ask(url, LIST);
    const tools = ["b_t0", "b_t1", "b_t2"].map((name) => tool(name).trim()).join(",");
    assert.equal(text, `{"jsonrpc":"2.0","id":"l","result":{"tools":[${tools}]}}`);
    assert.equal(new Set(paged.seen.map((request) => JSON.parse(request.body).id)).size, 3);
    assert.deepEqual(
      namesIn(body),
      registry.view().items[0]?.tools.map(({ name }) => name),
    );
    assert.equal((await ask(url, LIST.replace("}", ',"params":{"cursor":"1"}}'))).body.error?.code, -32602);
    assert.deepEqual(await used(), { calls: 0, "at-once": 0 });
  });

  it("never cuts or merges names over 64 characters", async (t) => {
    const [fits, long, longer] = [60, 61, 62].map((length) => "x".repeat(length)) as [string, string, string];
    const names = [fits, long, longer, "two", "two"];
    const one = await rawServer(t, listing(...names.map((name, n) => ({ name, n }))));
    const two = await rawServer(t, listing({ name: fits }));
    const { url, registry, logged } = await httpGateway(t, [serverOf("one", one.url), serverOf("two", two.url)]);
    for (let n = 0; n < 2; n++) {
      const { body } = await ask(url, LIST);
      assert.deepEqual(body.result?.tools, [
        { name: `one_${fits}`, n: 0 },
        { name: "one_two", n: 3 },
        { name: `two_${fits}` },
      ]);
    }
    const shown = registry.view().leftOut.map(({ server: name, tool, reason }) => [name, tool, reason.slice(0, 33)]);
    assert.deepEqual(shown, [
      ["one", long, "With the server's name it has mor"],
      ["one", longer, "With the server's name it has mor"],
      ["one", "two", "The server lists two tools of thi"],
    ]);
    assert.equal(logged.filter((line) => line.startsWith("a tool is left out")).length, 3, "each once");
    const asked = one.seen.length;
    for (const name of [`one_${long}`, "one", "one_", "_x", "three_x"]) {
      const { error } = (await ask(url, toolCall(1, name))).body;
      assert.deepEqual([error?.code, error?.message], [-32602, `Unknown tool: ${name}`]);
    }
    assert.equal(one.seen.length, asked);
  });

  it("answers for good servers while another hangs, and lists its last tools", async (t) => {
    const held: ServerResponse[] = [];
    let isHanging = true;
    const bad = await rawServer(t, (...request) => {
      if (isHanging) held.push(request[1]);
      else listing({ name: "b" })(...request);
    });
    const good = await rawServer(t, json({ tools: [{ name: "g" }], content: [] }));
    const servers = [serverOf("bad", bad.url, { credentials: "none" }), serverOf("good", good.url)];
    const { url, close } = await httpGateway(t, servers, { listMs: 1_000 });
    const list = async () => {
      const { body } = await ask(url, LIST);
      return [namesIn(body), missingIn(body)];
    };
    const missing = { bad: 'The server "bad" did not answer within 1 s.' };
    assert.deepEqual(await list(), [["good_g"], missing]);
    isHanging = false;
    assert.deepEqual(await list(), [["bad_b", "good_g"], undefined]);
    isHanging = true;
    // The server is asked no second time while its answer is awaited.
    const asked = bad.seen.length;
    const began = performance.now();
    assert.deepEqual(await list(), [["bad_b", "good_g"], undefined]);
    assert.ok(performance.now() - began < 900, "a server whose last tools are known costs a tenth of the wait");
    assert.deepEqual(await list(), [["bad_b", "good_g"], undefined]);
    assert.equal(bad.seen.length, asked + 1);
    // Its late answer is the list of the next client.
    const body = JSON.stringify({ jsonrpc: "2.0", id: "l", result: { tools: [{ name: "new" }] } });
    held.at(-1)?.writeHead(200, { "content-type": "application/json" }).end(body);
    await until(() => held.at(-1)?.closed === true);
    assert.equal((await ask(url, toolCall(1, "good_g"))).body.result?.isError, undefined);
    assert.deepEqual(await list(), [["bad_new", "good_g"], undefined]);
    // No request outlives the gateway.
    await close();
    await until(() => held.every(({ closed }) => closed));
  });

  it("bounds what a server lists", async (t) => {
    const endless = await rawServer(t, json({ tools: [], nextCursor: "more" }));
    const tools = Array.from({ length: 10_001 }, (_, n) => ({ name: `t${n}` }));
    const many = await rawServer(t, listing(...tools));
    const large = await rawServer(t, listing({ name: "a", description: "x".repeat(4_194_304) }));
    const good = await rawServer(t, listing({ name: "g" }));
    const servers = Object.entries({ endless, many, large, good }).map(([name, raw]) => serverOf(name, raw.url));
    const { url } = await httpGateway(t, servers);
    const { body } = await ask(url, LIST);
    assert.deepEqual(namesIn(body), ["good_g"]);
    const words = "lists more than 100 pages, 10,000 tools or 4 MiB.";
    assert.deepEqual(missingIn(body), {
      endless: `The server "endless" ${words}`,
      many: `The server "many" ${words}`,
      large: `The server "large" ${words}`,
    });
    assert.equal(endless.seen.length, 100);
  });

  it("keeps no list that a client's own credential brought, and answers an error when all fail", async (t) => {
    let status = 200;
    const own = await rawServer(t, (_, response, body) => {
      if (status === 200) return listing({ name: "mine" })(_, response, body);
      response.writeHead(status).end();
    });
    const { url } = await httpGateway(t, [serverOf("own", own.url), serverOf("down", "http://127.0.0.1:9/mcp")]);
    assert.deepEqual(namesIn((await ask(url, LIST, { authorization: "Bearer a" })).body), ["own_mine"]);
    status = 401;
    const { error } = (await ask(url, LIST, { authorization: "Bearer b" })).body;
    assert.equal(error?.code, -32603);
    assert.match(
      error?.message ?? "",
      /^No server lists its tools: The server "own" gave no answer \(status 401\)\. The/,
    );
  });

  it("ends the requests at all servers when the client goes", async (t) => {
    const held: ServerResponse[] = [];
    const hanging = await rawServer(t, (_, response) => void held.push(response));
    const { url } = await httpGateway(
      t,
      ["a", "b"].map((name) => serverOf(name, hanging.url)),
    );
    const gone = new AbortController();
    const asking = fetch(url, { method: "POST", body: LIST, signal: gone.signal });
    await until(() => held.length === 2);
    const closed = held.map((response) => once(response, "close"));
    gone.abort();
    await assert.rejects(asking);
    await Promise.all(closed);
  });

  it("calls a tool by the server's own name, judged by the merged one", async (t) => {
    const quota = { name: "per-tool", per: ["tool" as const], quota: 1, when: { tool: "one_é" } };
    const one = await rawServer(t, json({ content: [] }));
    const { url, used } = await httpGateway(t, [serverOf("one", one.url), serverOf("down", "http://127.0.0.1:9/mcp")], {
      policy: { version: 1, limits: [quota, { name: "calls", per: [], quota: 9 }] },
    });
    const { body, headers } = modernCall(1, "one_é");
    const encoded = `=?base64?${Buffer.from("one_é").toString("base64")}?=`;
    const call = { ...headers, "mcp-name": encoded };
    assert.deepEqual((await ask(url, body, call)).body.result?.content, []);
    assert.equal(one.seen[0]?.body, body.replace("one_é", "é"));
    assert.equal(one.seen[0]?.headers["mcp-name"], `=?base64?${Buffer.from("é").toString("base64")}?=`);
    const contradicting = await ask(url, body, { ...call, "mcp-name": "é" });
    assert.deepEqual([contradicting.status, contradicting.body.error?.code], [400, -32020]);
    const denied = await ask(url, body, call);
    const direct = await ask(`${url}/one`, modernCall(1, "é").body, { ...call, "mcp-name": "=?base64?w6k=?=" });
    assert.match(denied.text, /Limit reached \(per-tool\)/);
    assert.deepEqual(denied.body.result?.content, direct.body.result?.content);
    const down = await ask(url, toolCall(2, "down_x"));
    assert.equal(down.status, 200);
    assert.equal(down.body.result?.isError, true);
    assert.match(down.text, /The server \\"down\\" cannot be reached \(ECONNREFUSED\)\./);
    assert.equal((await used()).calls, 2);
    assert.equal(one.seen.length, 1);
  });

  it("lets no server answer with a task, whose polls would have no server", async (t) => {
    const one = await rawServer(t, json({ content: [] }));
    const { url } = await httpGateway(t, [serverOf("one", one.url), serverOf("two", one.url)]);
    const { body, headers } = modernCall(1, "one_x");
    const extensions = '"elicitation":{},"extensions":{"a":{},"io.modelcontextprotocol/tasks":{}}';
    await ask(url, body.replace('"elicitation":{}', extensions), headers);
    assert.equal(
      one.seen[0]?.body,
      body.replace("one_x", "x").replace('"elicitation":{}', '"elicitation":{},"extensions":{"a":{}}'),
    );
    await ask(url, toolCall(2, "two_x", "{}", ',"task":{"ttl":1}'));
    assert.equal(one.seen[1]?.body, toolCall(2, "x", "{}"));
  });

  it("charges a call once over its rounds, at either address of its server", async (t) => {
    const { url, used } = await httpGateway(t, [serverOf("one", server.url), serverOf("two", server.url)]);
    const begun = modernCall(1, "one_ask", "{}");
    const { requestState } = (await ask(url, begun.body, begun.headers)).body.result ?? {};
    const response = '{"action":"accept","content":{"word":"tolls"}}';
    const more = `,"inputResponses":{"word":${response}},"requestState":${JSON.stringify(requestState)}`;
    const other = modernCall(2, "two_ask", "{}", more);
    assert.equal((await ask(url, other.body, other.headers)).body.error?.code, -32602);
    const retry = modernCall(3, "one_ask", "{}", more);
    const { result } = (await ask(url, retry.body, retry.headers)).body;
    assert.deepEqual(result?.content, [{ type: "text", text: "tolls" }]);
    assert.deepEqual(await used(), { calls: 1, "at-once": 0 });
  });

  it("answers the revision without sessions with what all servers allow", async (t) => {
    const list = (ttlMs: number, cacheScope: string) => json({ resultType: "complete", tools: [], ttlMs, cacheScope });
    const [one, two] = [await rawServer(t, list(50, "public")), await rawServer(t, list(20, "public"))];
    const { url } = await httpGateway(t, [serverOf("one", one.url), serverOf("two", two.url)]);
    const { body, headers } = modernList();
    const expected = { tools: [], resultType: "complete", ttlMs: 20, cacheScope: "public" };
    assert.deepEqual((await ask(url, body, headers)).body.result, expected);
    const private_ = await httpGateway(t, [serverOf("one", one.url), serverOf("real", server.url)]);
    const { result } = (await ask(private_.url, body, headers)).body;
    assert.deepEqual([result?.ttlMs, result?.cacheScope], [0, "private"]);
    const other = await ask(url, body.replace("tools/list", "prompts/list"), {
      ...headers,
      "mcp-method": "prompts/list",
    });
    assert.deepEqual([other.status, other.body.error?.code], [404, -32601]);
  });
});
