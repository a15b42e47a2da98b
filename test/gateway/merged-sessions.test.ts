// Clients at the merged address, from their first request on: sessions, streams, and what servers ask in the middle of a call.

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { after, describe, it } from "node:test";
import type { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import type { PolicyInput } from "tollgate";
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
  until,
} from "./http-gateway.ts";

const [one, two] = [await everything(), await everything()];
after(() => {
  one.close();
  two.close();
});
const SERVERS = [serverOf("one", one.url), serverOf("two", two.url)];

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "calls", per: [], quota: 1_000 },
    { name: "per-session", per: ["session"], quota: 6 },
    { name: "at-once", per: [], algorithm: "concurrency", quota: 100, hold: { lease: "1m" } },
  ],
};
const ANSWER = { action: "accept" as const, content: { word: "tolls" } };
const SAMPLE = { model: "m", role: "assistant" as const, content: { type: "text" as const, text: "tolls" } };
const event = (data: object, id?: string) =>
  `${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;

/** A legacy server that a test writes the streams of; it begins sessions of its own name. */
async function scripted(t: Parameters<typeof rawServer>[0], name: string, more: object = {}) {
  const streams: ServerResponse[] = [];
  const result = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name, version: "1" } };
  const raw = await rawServer(t, (request, response, body) => {
    if (body.includes('"initialize"')) {
      return json({ ...result, ...more }, { "mcp-session-id": `own-${name}` })(request, response, body);
    }
    if (request.method === "DELETE" || !body.includes('"method":"tools/call"')) {
      if (request.method !== "GET") return response.writeHead(request.method === "DELETE" ? 200 : 202).end();
    }
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    return streams.push(response);
  });
  return { ...raw, streams };
}

function listenRequest() {
  const { body, headers } = modernCall(1, "x");
  const wanted = '"notifications":{"toolsListChanged":true,"promptsListChanged":true}';
  const listen = body
    .replace("tools/call", "subscriptions/listen")
    .replace('"name":"x","arguments":{"word":"a"}', wanted);
  const accept = "application/json, text/event-stream";
  const own = { accept, "content-type": "application/json", "mcp-method": "subscriptions/listen" };
  return { body: listen, headers: { ...headers, ...own } };
}

/** The body of an answer as it comes. */
async function reading(
  t: Parameters<typeof rawServer>[0],
  url: string,
  headers: Record<string, string>,
  body?: string,
) {
  const gone = new AbortController();
  t.after(() => gone.abort());
  const method = body === undefined ? "GET" : "POST";
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }), signal: gone.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return async (part: string) => {
    while (!text.includes(part)) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      assert.ok(!done, `it ended with ${text}`);
      text += value;
    }
    return text;
  };
}

describe("clients at the merged address", { timeout: 60_000 }, () => {
  it("lets clients of both revisions list, call, and answer what servers ask", async (t) => {
    const { url, used } = await httpGateway(t, SERVERS, { policy: POLICY });
    const legacy = await legacyClient(t, url);
    const modern = await modernClient(t, url);
    const answers = (client: LegacyClient) => {
      client.setRequestHandler(ElicitRequestSchema, () => ANSWER);
      client.setRequestHandler(CreateMessageRequestSchema, () => SAMPLE);
    };
    answers(legacy);
    modern.setRequestHandler("elicitation/create", () => ANSWER);
    modern.setRequestHandler("sampling/createMessage", () => SAMPLE);
    for (const client of [legacy, modern]) {
      const { tools } = await client.listTools();
      assert.equal(tools.length, 12);
      assert.deepEqual(tools.at(6)?.name, "two_echo");
      // Both servers number their requests alike.
      const calls = ["one_ask", "two_ask", "one_sample", "two_sample"].map((name) =>
        client.callTool({ name, arguments: {} }),
      );
      for (const { content } of await Promise.all(calls)) assert.deepEqual(content, [{ type: "text", text: "tolls" }]);
    }
    assert.deepEqual(await used(), { calls: 8, "at-once": 0 });
    const { content } = await legacy.callTool({ name: "two_drop", arguments: {} });
    assert.deepEqual(content, [{ type: "text", text: "resumed" }]);
    assert.deepEqual(await used(), { calls: 9, "at-once": 0 }, "a call whose stream was resumed is settled");
    // A session's budget is for all servers.
    assert.equal((await legacy.callTool({ name: "one_echo", arguments: { word: "a" } })).isError, undefined);
    const denied = await legacy.callTool({ name: "two_echo", arguments: { word: "b" } });
    assert.match(JSON.stringify(denied), /Limit reached \(per-session\)/);
  });

  it("passes changes of tools of any server, in both revisions", async (t) => {
    const { url } = await httpGateway(t, SERVERS);
    const client = await legacyClient(t, url);
    let changes = 0;
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changes++);
    const { body, headers } = listenRequest();
    const read = await reading(t, url, headers, body);
    const begun = await read("\n\n");
    assert.match(
      begun,
      /^event: message\ndata: .*acknowledged","params":\{"notifications":\{"toolsListChanged":true\}/,
    );
    await until(() => [one, two].every(({ seen }) => seen.some(({ method }) => method === "GET")));
    two.changeTools();
    assert.equal((await read("list_changed")).match(/acknowledged/g)?.length, 1);
    await until(() => changes === 1);
  });

  it("subscribes again where a server was away", async (t) => {
    const changed = { jsonrpc: "2.0", method: "notifications/tools/list_changed" };
    const back = await rawServer(t, (_, response) => {
      if (back.seen.length === 1) return response.destroy();
      response.writeHead(200, { "content-type": "text/event-stream" });
      return response.write(event({ ...changed, method: "notifications/other" }) + event(changed));
    });
    const old = await rawServer(t, (_, response) => response.writeHead(400).end());
    const { url } = await httpGateway(t, [serverOf("back", back.url), serverOf("old", old.url)], { listMs: 50 });
    const { body, headers } = listenRequest();
    const text = await (await reading(t, url, headers, body))("list_changed");
    assert.deepEqual([back.seen.length, old.seen.length], [2, 1]);
    assert.doesNotMatch(text, /other/);
  });

  it("joins the streams of servers, names what they ask, and resumes each at its server", async (t) => {
    const [a, b] = [await scripted(t, "a"), await scripted(t, "b", { protocolVersion: "2025-06-18" })];
    const plain = await rawServer(t, (request, response, body) => {
      if (request.method === "GET") return response.writeHead(405).end();
      const result = { protocolVersion: "2025-11-25", capabilities: { tools: {} } };
      return json(result)(request, response, body);
    });
    const hanging = await rawServer(t, (request, response, body) => {
      if (request.method === "GET") return;
      json({ protocolVersion: "2025-11-25", capabilities: { tools: {} } })(request, response, body);
    });
    const servers = Object.entries({ a, b, plain, hanging }).map(([name, raw]) => serverOf(name, raw.url));
    const { url } = await httpGateway(t, servers);
    const session = { ...(await openSession(url)), "mcp-protocol-version": "2025-06-18" };
    const read = await reading(t, url, session);
    await until(() => a.streams.length === 1 && b.streams.length === 1);
    for (const [n, { streams }] of [a, b].entries()) {
      const params = { _meta: { progressToken: 1 }, n };
      streams[0]?.write(event({ jsonrpc: "2.0", id: 1, method: "ping", params }, `e${n}`));
    }
    const text = `${await read('"n":0')}${await read('"n":1')}`;
    assert.match(
      text,
      /id: a\/e0\ndata: \{"jsonrpc":"2\.0","id":"a:1","method":"ping","params":\{"_meta":\{"progressToken":"a:1"\}/,
    );
    assert.match(text, /id: b\/e1\ndata: \{"jsonrpc":"2\.0","id":"b:1","method":"ping"/);
    a.streams[0]?.write(event({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } }));
    await read('"requestId":"a:1"');
    const answered = await ask(url, '{"jsonrpc":"2.0","id":"b:1","result":{}}', session);
    assert.equal(answered.status, 202);
    assert.equal(b.seen.at(-1)?.body, '{"jsonrpc":"2.0","id":1,"result":{}}');
    const progress = (token: string) =>
      `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token}}}`;
    const asked = b.seen.length;
    await ask(url, progress('"a:1"'), session);
    assert.deepEqual(
      [a.seen.at(-1)?.body, b.seen.length],
      [progress("1"), asked],
      "only the server that asked hears of it",
    );
    assert.deepEqual(
      [b, a].map(({ seen }) => [seen.at(-1)?.headers["mcp-session-id"], seen.at(-1)?.headers["mcp-protocol-version"]]),
      [
        ["own-b", "2025-06-18"],
        ["own-a", "2025-11-25"],
      ],
    );
    assert.equal((await ask(url, '{"jsonrpc":"2.0","id":1,"result":{}}', session)).status, 400);
    // The event of one server says where its stream goes on, and the others begin without.
    await reading(t, url, { ...session, "last-event-id": "b/e1" });
    await until(() => a.streams.length === 2 && b.streams.length === 2);
    const [ofA, ofB] = [a, b].map(
      ({ seen }) => seen.findLast(({ method }) => method === "GET")?.headers["last-event-id"],
    );
    assert.deepEqual([ofA, ofB], [undefined, "e1"]);
  });

  it("reads the rest of one answer from its server alone, and ends with it", async (t) => {
    const [a, b] = [await scripted(t, "a"), await scripted(t, "b")];
    const { url, used } = await httpGateway(t, [serverOf("a", a.url), serverOf("b", b.url)]);
    const session = await openSession(url);
    const calling = ask(url, toolCall(5, "a_x"), session);
    await until(() => a.streams.length === 1);
    a.streams[0]?.end(event({ jsonrpc: "2.0", method: "x" }, "1"));
    assert.match((await calling).text, /^id: a:1\n/);
    assert.equal((await used())["at-once"], 1);
    const rest = ask(url, null, { ...session, "last-event-id": "a:1" });
    await until(() => a.streams.length === 2);
    const answer = event({ jsonrpc: "2.0", id: 5, result: { content: [] } }, "2");
    a.streams[1]?.end(answer);
    assert.equal((await rest).text, answer.replace("id: 2", "id: a:2"));
    assert.equal(a.seen.at(-1)?.headers["last-event-id"], "1");
    assert.deepEqual([b.streams.length, (await used())["at-once"]], [0, 0]);
  });

  it("opens a stream again that its server ends, and answers 405 where all refuse it", async (t) => {
    const [a, b] = [await scripted(t, "a"), await scripted(t, "b")];
    const { url, close } = await httpGateway(t, [serverOf("a", a.url), serverOf("b", b.url)], { listMs: 100 });
    const session = await openSession(url);
    const read = await reading(t, url, session);
    await until(() => a.streams.length === 1 && b.streams.length === 1);
    a.streams[0]?.end(event({ jsonrpc: "2.0", method: "x" }, "e1"));
    await until(() => a.streams.length === 2);
    assert.equal(a.seen.at(-1)?.headers["last-event-id"], "e1");
    a.streams[1]?.destroy();
    await until(() => a.streams.length === 3);
    b.streams[0]?.write(event({ jsonrpc: "2.0", method: "still there" }));
    await read("still there");
    // It waits for no stream, and none is left.
    await close();
    await until(() => a.streams[2]?.closed === true && b.streams[0]?.closed === true);
    const refusing = await rawServer(t, (_, response) => response.writeHead(405).end());
    const refused = await httpGateway(t, [serverOf("a", refusing.url), serverOf("b", refusing.url)]);
    assert.equal((await ask(refused.url, null)).status, 405);
    assert.equal((await ask(refused.url, null, {}, "DELETE")).status, 405);
  });

  it("tells all servers what a client says, and ends the session at each", async (t) => {
    const [a, b] = [await scripted(t, "a"), await scripted(t, "b", { capabilities: { tools: {}, logging: {} } })];
    const silent = await rawServer(t, (request, response, body) => {
      if (!body.includes('"initialize"')) return;
      json({ protocolVersion: "2025-11-25", capabilities: { tools: {} } })(request, response, body);
    });
    const servers = Object.entries({ a, b, silent }).map(([name, raw]) => serverOf(name, raw.url));
    // Each of these waits for the silent one, a tenth of that.
    const { url, used } = await httpGateway(t, servers, { listMs: 500 });
    const session = await openSession(url);
    const said = (raw: typeof a) =>
      raw.seen.slice(1).map(({ method, body }) => JSON.parse(body || "{}").method ?? method);
    assert.equal((await ask(url, '{"jsonrpc":"2.0","method":"notifications/initialized"}', session)).status, 202);
    const level = '{"jsonrpc":"2.0","id":"x","method":"logging/setLevel","params":{"level":"info"}}';
    assert.equal((await ask(url, level, session)).text, '{"jsonrpc":"2.0","id":"x","result":{}}');
    assert.equal(
      (await ask(url, '{"jsonrpc":"2.0","id":1.0,"method":"ping"}', session)).text.slice(0, 24),
      '{"jsonrpc":"2.0","id":1.',
    );
    const calling = ask(url, toolCall(7, "a_echo"), session);
    await until(() => a.streams.length === 1);
    assert.equal((await used())["at-once"], 1);
    const cancel = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}';
    assert.equal((await ask(url, cancel, session)).status, 202);
    await until(() => a.seen.some(({ body }) => body === cancel));
    assert.equal((await used())["at-once"], 0);
    a.streams[0]?.end();
    await calling;
    assert.equal((await ask(url, null, session, "DELETE")).status, 200);
    assert.deepEqual(said(a), ["notifications/initialized", "tools/call", "notifications/cancelled", "DELETE"]);
    assert.deepEqual(said(b), ["notifications/initialized", "logging/setLevel", "notifications/cancelled", "DELETE"]);
    assert.equal(a.seen.at(-1)?.headers["mcp-session-id"], "own-a");
    const other = await ask(`${url}/a`, toolCall(1), session);
    assert.deepEqual([other.status, other.body.error?.code], [404, -32001], "a session is for its own address");
    const prompts = await ask(url, '{"jsonrpc":"2.0","id":1,"method":"prompts/list"}', session);
    assert.deepEqual([prompts.status, prompts.body.error?.code], [200, -32601]);
  });

  it("begins a session with the servers that answer, in the lowest version of them", async (t) => {
    const a = await scripted(t, "a", { protocolVersion: "2025-06-18", instructions: "Be kind." });
    const b = await scripted(t, "b", { instructions: "Be fast.", capabilities: { tools: {}, logging: {} } });
    const bare = await scripted(t, "bare", { capabilities: { prompts: {} } });
    const hanging = await rawServer(t, () => {});
    const servers = Object.entries({ a, b, bare, hanging }).map(([name, raw]) => serverOf(name, raw.url));
    const { url } = await httpGateway(t, servers, { listMs: 200 });
    const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`;
    const { body, headers } = await ask(url, initialize);
    assert.deepEqual(body.result, {
      protocolVersion: "2025-06-18",
      capabilities: { tools: { listChanged: true }, logging: {} },
      serverInfo: { name: "tollgate", version: "1" },
      instructions: "# a\n\nBe kind.\n\n# b\n\nBe fast.",
    });
    const session = { "mcp-session-id": String(headers["mcp-session-id"]) };
    const absent = await ask(url, toolCall(1, "hanging_x"), session);
    assert.match(absent.text, /"isError":true.*\\"hanging\\" is not in this session/);
    const none = await httpGateway(t, [serverOf("bare", bare.url), serverOf("hanging", hanging.url)], { listMs: 50 });
    const { error } = (await ask(none.url, initialize)).body;
    assert.equal(error?.code, -32603);
    assert.match(error?.message ?? "", /No server can be used: The server "bare" has no tools\. .* within 0\.05 s\./);
    const long = await rawServer(t, json(body.result, { "mcp-session-id": "x".repeat(7_000) }));
    const tooLong = await httpGateway(t, [serverOf("long", long.url), serverOf("a", a.url)]);
    assert.match((await ask(tooLong.url, initialize)).text, /sessions of 2 servers are too long for one header/);
  });
});
