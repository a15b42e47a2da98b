// Streams of server-sent events over HTTP: what comes passes at once, also while another request is slow.

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { after, describe, it, type TestContext } from "node:test";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { everything } from "./everything.ts";
import { ask, httpGateway, legacyClient, modernCall, openSession, rawServer, toolCall, until } from "./http-gateway.ts";

const server = await everything();
after(() => server.close());

const PROGRESS = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1.0}}';
const event = (data: string, more = "") => `${more}data: ${data}\n\n`;
const answerTo = (id: number) =>
  `{"jsonrpc":"2.0","id":${id},"result":{ "content":[{"type":"text","text":"é"}],"n":1.0}}`;

/** Reads the body of a request as it comes. */
async function opened(t: TestContext, url: string, body: string, headers: Record<string, string> = {}) {
  const gone = new AbortController();
  t.after(() => gone.abort());
  const accept = "application/json, text/event-stream";
  const own = { "content-type": "application/json", accept, ...headers };
  const response = await fetch(url, { method: "POST", headers: own, body, signal: gone.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    response,
    gone,
    /** Waits until the text has come. */
    async until(part: string) {
      while (!text.includes(part)) {
        const { value, done } = (await reader?.read()) ?? { done: true };
        assert.ok(!done, `it ended with ${text}`);
        text += value;
      }
      return text;
    },
    async whole() {
      for (;;) {
        const { value, done } = (await reader?.read()) ?? { done: true };
        if (done) return text;
        text += value;
      }
    },
  };
}

/** A server that a test writes the stream of. */
async function stepwise(t: TestContext, headers: Record<string, string> = {}) {
  const streams: ServerResponse[] = [];
  const raw = await rawServer(t, (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream", ...headers });
    response.flushHeaders();
    streams.push(response);
  });
  return { ...raw, streams };
}

describe("streams over HTTP", { timeout: 60_000 }, () => {
  // Fails when events wait for the answer of the call.
  it("passes list_changed at once, also while a call runs", async (t) => {
    const { url, used } = await httpGateway(t, server.url);
    const client = await legacyClient(t, url);
    const changed = new Promise<void>((resolve) =>
      client.setNotificationHandler(ToolListChangedNotificationSchema, () => resolve()),
    );
    const running = new AbortController();
    const call = client.callTool({ name: "hang", arguments: {} }, undefined, { signal: running.signal });
    await until(() => server.runs.includes("hang began"));
    // The stream for that is open once the server has its request.
    await until(() => server.seen.some(({ method }) => method === "GET"));
    server.changeTools();
    await changed;
    assert.deepEqual(await used(), { calls: 1, "at-once": 1 });
    running.abort();
    await assert.rejects(call);
    // The server has not ended the stream of a call that was cancelled.
    await client.close();
  });

  it("passes list_changed to a subscription at once", async (t) => {
    const { url } = await httpGateway(t, server.url);
    const { body, headers } = modernCall(1, "x");
    const listen = body
      .replace("tools/call", "subscriptions/listen")
      .replace('"name":"x","arguments":{"word":"a"}', '"notifications":{"toolsListChanged":true}');
    const stream = await opened(t, url, listen, { ...headers, "mcp-method": "subscriptions/listen" });
    await stream.until("\n\n");
    server.changeTools();
    await stream.until("list_changed");
  });

  // Fails when a stream is buffered, or an event is written again.
  it("streams each event when it comes, with its name and id", async (t) => {
    const { url: upstream, streams, seen } = await stepwise(t);
    const { url, used } = await httpGateway(t, upstream);
    const call = modernCall(5);
    const opening = opened(t, url, call.body, { ...call.headers, "accept-encoding": "gzip" });
    await until(() => streams.length === 1);
    const [out] = streams;
    const stream = await opening;
    assert.equal(stream.response.headers.get("x-accel-buffering"), "no");
    assert.equal(seen[0]?.headers["accept-encoding"], "identity");
    const first = event(PROGRESS, ": hello\r\nevent: message\r\nid: 7\r\n");
    out?.write(first);
    assert.equal(await stream.until("1.0}}\n\n"), first);
    // The answer to another call, in a stream that is not its own.
    const other = event(answerTo(6), "event:other\n");
    out?.write(other);
    await stream.until(other);
    assert.deepEqual(await used(), { calls: 1, "at-once": 1 });
    const second = event(answerTo(5), "id: 8\nretry: 5\n");
    for (const byte of Buffer.from(second)) out?.write(Buffer.of(byte));
    assert.equal(await stream.until(`${answerTo(5)}\n\n`), first + other + second);
    assert.deepEqual(await used(), { calls: 1, "at-once": 0 });
    out?.end(": bye\n");
    assert.equal(await stream.whole(), `${first}${other}${second}: bye\n`);
  });

  // Fails when the POST waits for the GET.
  it("works when the optional GET is refused or hangs", async (t) => {
    for (const refuses of [true, false]) {
      const { url: upstream, seen } = await rawServer(t, (request, response, body) => {
        if (request.method === "GET") return refuses ? response.writeHead(405).end() : undefined;
        const { id } = JSON.parse(body);
        if (id === undefined) return response.writeHead(202).end();
        const result = {
          protocolVersion: "2025-11-25",
          capabilities: { tools: {} },
          serverInfo: { name: "a", version: "1" },
        };
        response.writeHead(200, { "content-type": "application/json" });
        return response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { ...result, content: [] } }));
      });
      const { url } = await httpGateway(t, upstream);
      const client = await legacyClient(t, url);
      await until(() => seen.some(({ method }) => method === "GET"));
      for (let i = 0; i < 3; i++) assert.deepEqual((await client.callTool({ name: "echo" })).content, []);
    }
  });

  it("ends a call whose server ends its stream, and says so", async (t) => {
    const { url: upstream, streams } = await stepwise(t);
    const { url, used } = await httpGateway(t, upstream);
    for (const [i, end] of [(out?: ServerResponse) => out?.end(), (out?: ServerResponse) => out?.destroy()].entries()) {
      const { body, headers } = modernCall(9);
      const opening = opened(t, url, body, headers);
      await until(() => streams.length === i + 1);
      const stream = await opening;
      end(streams[i]);
      assert.match(
        await stream.whole(),
        /^event: message\ndata: \{"jsonrpc":"2\.0","id":9,"error":\{"code":-32603.*ended its answer/,
      );
    }
    assert.deepEqual(await used(), { calls: 2, "at-once": 0 });
  });

  it("bounds an answer, whether it is whole or a stream", async (t) => {
    const { url: upstream } = await rawServer(t, (_, response, body) => {
      const isStream = body.includes("stream");
      response.writeHead(200, { "content-type": isStream ? "text/event-stream" : "application/json" });
      response.write(isStream ? "data: " : "{");
      response.end("x".repeat(2_000_000));
    });
    const { url, used } = await httpGateway(t, upstream, { maxMessageBytes: 1_048_576 });
    for (const [name, status] of [
      ["stream", 200],
      ["whole", 502],
    ] as const) {
      const { body, headers } = modernCall(1, name);
      const { response, whole } = await opened(t, url, body, headers);
      assert.equal(response.status, status);
      assert.match(await whole(), /"id":1,"error":\{"code":-32603.*wrote an answer of more than 1 MiB/);
    }
    assert.deepEqual(await used(), { calls: 2, "at-once": 0 });
  });

  it("reads a server no faster than its client reads", async (t) => {
    const { url: upstream, streams } = await stepwise(t);
    const { url } = await httpGateway(t, upstream);
    const { body, headers } = modernCall(1);
    const opening = opened(t, url, body, headers);
    await until(() => streams.length === 1);
    const stream = await opening;
    const [out] = streams;
    const big = event(
      JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params: { data: "x".repeat(1_000_000) } }),
    );
    let written = 0;
    // Until neither side takes more.
    while (written < 64 && out?.write(big) !== false) written++;
    for (let turn = 0; turn < 200 && written < 64; turn++) {
      await new Promise(setImmediate);
      if (out?.writableNeedDrain === false) {
        out.write(big);
        written++;
      }
    }
    assert.ok(written < 64, "what is not read is kept in the server");
    stream.gone.abort();
    await until(() => out?.destroyed === true);
  });

  it("keeps the slot of a call whose stream a client leaves, until the rest of it is read", async (t) => {
    const { url: upstream, streams } = await stepwise(t, { "mcp-session-id": "own" });
    const { url, used } = await httpGateway(t, upstream);
    const opening = openSession(url);
    await until(() => streams.length === 1);
    streams[0]?.end();
    const session = await opening;
    const calling = opened(t, url, toolCall(5), session);
    await until(() => streams.length === 2);
    const stream = await calling;
    streams[1]?.write(event(PROGRESS, "id: 1\n"));
    await stream.until("progress");
    stream.gone.abort();
    // A server refuses a second stream while the first is open.
    await until(() => streams[1]?.destroyed === true);
    assert.deepEqual(await used(), { calls: 1, "at-once": 1 });
    const rest = ask(url, null, { ...session, "last-event-id": "1" });
    await until(() => streams.length === 3);
    streams[2]?.end(event(answerTo(5), "id: 2\n"));
    assert.equal((await rest).text, event(answerTo(5), "id: 2\n"));
    await until(() => streams[2]?.writableFinished === true);
    assert.deepEqual(await used(), { calls: 1, "at-once": 0 });
  });
});
