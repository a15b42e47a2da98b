// What a server asks its client in the middle of a call, and what such a call costs.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { Client as ModernClient } from "@modelcontextprotocol/client";
import type { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { CreateMessageRequestSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { memoryStore } from "tollgate/stores/memory";
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
  toolCall,
} from "./http-gateway.ts";

const server = await everything();
after(() => server.close());

const given = () => ({ action: "accept" as const, content: { word: "tolls" } });
const said = () => ({ model: "m", role: "assistant" as const, content: { type: "text" as const, text: "tolls" } });

function answersLegacy(client: LegacyClient) {
  client.setRequestHandler(ElicitRequestSchema, given);
  client.setRequestHandler(CreateMessageRequestSchema, said);
  return client;
}

function answersModern(client: ModernClient) {
  client.setRequestHandler("elicitation/create", given);
  client.setRequestHandler("sampling/createMessage", said);
  return client;
}

const contentOf = (state: string) => JSON.parse(String(Buffer.from(state.split(".")[3] ?? "", "base64url")));

describe("a call that asks its client", { timeout: 60_000 }, () => {
  // Fails when requests of the server are dropped, and when a round is charged.
  it("passes elicitation and sampling, on streams and as input_required", async (t) => {
    const { url, used } = await httpGateway(t, server.url);
    const legacy = answersLegacy(await legacyClient(t, url));
    const modern = answersModern(await modernClient(t, url));
    for (const client of [legacy, modern]) {
      for (const name of ["ask", "sample"]) {
        const { content } = await client.callTool({ name, arguments: {} });
        assert.deepEqual(content, [{ type: "text", text: "tolls" }], name);
      }
    }
    assert.deepEqual(await used(), { calls: 4, "at-once": 0 });
  });

  // Fails when a state is not claimed, when another instance cannot open it, and when a stream is charged again.
  it("charges a call once over its rounds and resumed streams, on any instance", async (t) => {
    const store = memoryStore();
    const [one, other] = [await httpGateway(t, server.url, { store }), await httpGateway(t, server.url, { store })];
    const begun = modernCall(1, "ask", "{}");
    const { body } = await ask(one.url, begun.body, begun.headers);
    const { resultType, requestState } = body.result ?? {};
    assert.equal(resultType, "input_required");
    assert.equal(contentOf(String(requestState)).u, "own");
    const response = JSON.stringify(given());
    const more = `,"inputResponses":{"word":${response}},"requestState":${JSON.stringify(requestState)}`;
    const { body: retry, headers } = modernCall(2, "ask", "{}", more);
    const tampered = await ask(one.url, retry.replace(String(requestState), `${requestState}x`), headers);
    assert.equal(tampered.body.error?.code, -32602);
    const again = await ask(other.url, retry, headers);
    assert.deepEqual(again.body.result?.content, [{ type: "text", text: "tolls" }]);
    assert.deepEqual(await one.used(), { calls: 1, "at-once": 0 });
    // The same state a second time is a new call.
    await Promise.all([ask(one.url, retry, headers), ask(other.url, retry, headers)]);
    assert.deepEqual(await one.used(), { calls: 3, "at-once": 0 });

    // The server ends the stream in the middle of this call, and its client asks for the rest.
    const client = await legacyClient(t, one.url);
    const { content } = await client.callTool({ name: "drop", arguments: {} });
    assert.deepEqual(content, [{ type: "text", text: "resumed" }]);
    assert.deepEqual(await one.used(), { calls: 4, "at-once": 0 });
  });

  it("charges a task once, and frees its slot by a poll", async (t) => {
    const task = { resultType: "task", taskId: "t1", status: "working" };
    const { url: upstream } = await rawServer(t, (request, response, body) => {
      const isPoll = body.includes("tasks/get");
      return json(isPoll ? { ...task, status: "completed", result: { content: [] } } : task)(request, response, body);
    });
    const { url, used } = await httpGateway(t, upstream);
    const { body, headers } = modernCall(1);
    assert.equal((await ask(url, body, headers)).body.result?.taskId, "t1");
    assert.deepEqual(await used(), { calls: 1, "at-once": 1 });
    const poll = '{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"t1"}}';
    assert.equal((await ask(url, poll)).body.result?.status, "completed");
    assert.deepEqual(await used(), { calls: 1, "at-once": 0 });
  });

  // Fails when the id is parsed, and when a call is found by its id in all sessions.
  it("forwards cancellation with the id as it was written, also above 2^53", async (t) => {
    const hanging = { "content-type": "text/event-stream" };
    const { url: upstream, seen } = await rawServer(t, (request, response, body) => {
      if (body.includes("initialize")) return json({}, { "mcp-session-id": "own" })(request, response, body);
      if (body.includes("cancelled")) return response.writeHead(202).end();
      response.writeHead(200, hanging);
      return response.flushHeaders();
    });
    const { url, used } = await httpGateway(t, upstream);
    const [one, other] = [await openSession(url), await openSession(url)];
    const ids = ["9007199254740992", "9007199254740993", '"9007199254740993"'];
    for (const id of ids) void ask(url, toolCall(id), one);
    void ask(url, toolCall(ids[1] ?? ""), other);
    while (seen.length < 6) await new Promise(setImmediate);
    const cancellation =
      '{"method":"notifications/cancelled","params":{"requestId":9007199254740993, "reason":"late"}}';
    assert.equal((await ask(url, cancellation, one)).status, 202);
    assert.equal(seen.at(-1)?.body, cancellation);
    assert.deepEqual(await used(), { calls: 4, "at-once": 3 });
  });
});
