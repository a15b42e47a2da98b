// Which waiting has an end: connecting has, and a call has none but its client's.

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type Machine, runOn } from "../../src/clock.ts";
import {
  ask,
  httpGateway,
  json,
  modernCall,
  openSession,
  rawServer,
  serverOf,
  toolCall,
  until,
} from "./http-gateway.ts";

/** A machine whose time passes only when a test says so: then all timers are over. */
function stoppedTime(t: TestContext) {
  const timers = new Set<() => void>();
  const start = (run: () => void) => {
    const timer = () => run();
    timers.add(timer);
    return { cancel: () => void timers.delete(timer), ref() {}, unref() {} };
  };
  const machine: Machine = {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    startTimer: (_, run) => start(run),
    startInterval: (_, run) => start(run),
    nextTurn: setImmediate,
    afterReads: setImmediate,
  };
  runOn(machine);
  t.after(() => runOn(null));
  return {
    pass() {
      for (const timer of [...timers]) timer();
    },
  };
}

describe("deadlines over HTTP", { timeout: 60_000 }, () => {
  // Fails when one deadline is for connecting and for the call.
  it("has no deadline on a call that a probe has", async (t) => {
    const time = stoppedTime(t);
    const answers: (() => void)[] = [];
    const { url: upstream } = await rawServer(t, (...request) => answers.push(() => json({ content: [] })(...request)));
    const { url } = await httpGateway(t, upstream);
    const { body, headers } = modernCall(1);
    const calls = [ask(url, body, headers), ask(url, '{"jsonrpc":"2.0","id":2,"method":"tools/list"}'), ask(url, null)];
    await until(() => answers.length === 3);
    for (let i = 0; i < 5; i++) time.pass();
    for (const answer of answers) answer();
    for (const call of calls) assert.equal((await call).status, 200);
  });

  it("gives up a connection that does not open, and asks again for the next request", async (t) => {
    const time = stoppedTime(t);
    const sockets: Socket[] = [];
    // It takes connections, and never says a word of TLS.
    const silent = createServer((socket) => void sockets.push(socket.on("error", () => {})));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const { port } = silent.address() as AddressInfo;
    const { url, used, registry, logged } = await httpGateway(t, `https://127.0.0.1:${port}/mcp`);
    for (const [i, { body, headers }] of [modernCall(3), modernCall(4)].entries()) {
      const call = ask(url, body, headers);
      await until(() => sockets.length === i + 1);
      time.pass();
      const { status, body: said } = await call;
      assert.deepEqual([status, said.id, said.error?.code], [502, i + 3, -32603]);
      assert.equal(said.error?.message, 'The server "one" cannot be reached (ETIMEDOUT).');
    }
    assert.deepEqual(await used(), { calls: 2, "at-once": 0 });
    assert.equal(registry.view().items[0]?.state, "down");
    assert.equal(logged.length, 1, "an outage is one line");
  });

  it("sends a call once, also when its connection breaks", async (t) => {
    const { url: upstream, seen } = await rawServer(t, (request) => request.socket.destroy());
    const { url } = await httpGateway(t, upstream);
    const { body, headers } = modernCall(1);
    const { status, body: said } = await ask(url, body, headers);
    assert.equal(status, 502);
    assert.match(
      said.error?.message ?? "",
      /The server "one" closed the connection before it answered \(ECONNRESET\)\./,
    );
    assert.equal(seen.length, 1);
  });

  it("answers for good servers while another hangs, which gets no more calls than it may", async (t) => {
    const held: (() => void)[] = [];
    const slow = await rawServer(t, (...request) => held.push(() => json({ content: [] })(...request)));
    const quick = await rawServer(t, json({ content: [] }));
    const { origin, used } = await httpGateway(t, [
      serverOf("slow", slow.url, { maxInFlight: 2 }),
      serverOf("quick", quick.url),
    ]);
    const { body, headers } = modernCall(1);
    const waiting = [1, 2].map(() => ask(`${origin}/mcp/slow`, body, headers));
    await until(() => held.length === 2);
    const refused = await ask(`${origin}/mcp/slow`, body, headers);
    assert.deepEqual([refused.status, refused.body.error?.code, refused.body.id], [503, -32000, 1]);
    assert.equal((await ask(`${origin}/mcp/quick`, body, headers)).status, 200);
    for (const answer of held.splice(0)) answer();
    for (const { status } of await Promise.all(waiting)) assert.equal(status, 200);
    const next = ask(`${origin}/mcp/slow`, body, headers);
    await until(() => held.length === 1);
    held[0]?.();
    assert.equal((await next).status, 200);
    assert.deepEqual(await used(), { calls: 4, "at-once": 0 });
  });

  it("bounds the bodies of all requests in flight together", async (t) => {
    const held: (() => void)[] = [];
    const { url: upstream } = await rawServer(t, (...request) => held.push(() => json({ content: [] })(...request)));
    const { body, headers } = modernCall(1);
    const { url } = await httpGateway(t, upstream, { maxBodiesBytes: 2 * body.length });
    const waiting = [1, 2].map(() => ask(url, body, headers));
    await until(() => held.length === 2);
    const { status, body: said } = await ask(url, body, headers);
    assert.deepEqual([status, said.error?.code], [503, -32000]);
    for (const answer of held.splice(0)) answer();
    await Promise.all(waiting);
    const next = ask(url, body, headers);
    await until(() => held.length === 1);
    held[0]?.();
    assert.equal((await next).status, 200);
  });

  it("keeps the slot of a call while the rest of its stream is awaited", async (t) => {
    const time = stoppedTime(t);
    const streams: ServerResponse[] = [];
    const { url: upstream } = await rawServer(t, (request, response, body) => {
      if (body.includes("initialize")) return json({}, { "mcp-session-id": "own" })(request, response, body);
      response.writeHead(200, { "content-type": "text/event-stream" });
      return streams.push(response);
    });
    const { url, used } = await httpGateway(t, upstream);
    const session = await openSession(url);
    const call = ask(url, toolCall(5), session);
    await until(() => streams.length === 1);
    streams[0]?.end("id: 1\ndata:\n\n");
    assert.equal((await call).text, "id: 1\ndata:\n\n");
    const rest = ask(url, null, { ...session, "last-event-id": "1" });
    await until(() => streams.length === 2);
    time.pass();
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    assert.deepEqual(await used(), { calls: 1, "at-once": 1 });
    streams[1]?.end();
    await rest;
  });
});
