// A client and a server over stdio, with the gateway between them: what passes, and what becomes of a server that fails.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "tollgate";
import { openLedger } from "./open-ledger.ts";
import { call, isAlive, MIB, request, stdioGateway } from "./stdio-gateway.ts";

describe("a gateway over stdio", { timeout: 60_000 }, () => {
  // Fails when a process is started for each request, and when the server is not ended with the client.
  it("keeps one child for any number of requests, and ends it", async (t) => {
    const { ask, clientIn, ended } = await stdioGateway(t);
    const pids = new Set<number>();
    for (let id = 0; id < 50; id++) pids.add((await ask(request(id, "ping"))).result.pid);
    assert.equal(pids.size, 1);
    const [pid = 0] = pids;
    assert.ok(isAlive(pid));
    clientIn.end();
    assert.equal(await ended, 0);
    assert.ok(!isAlive(pid));
  });

  // Fails when a process is started for each call.
  it("starts no process for a tool call", async (t) => {
    const ledger = openLedger();
    const { send, next } = await stdioGateway(t, ledger);
    for (let id = 0; id < 200; id++) send(call(id, "search"));
    const answers = [];
    for (let id = 0; id < 200; id++) answers.push(JSON.parse(await next()));
    assert.equal(new Set(answers.map(({ result }) => result.pid)).size, 1);
    assert.deepEqual(new Set(answers.map(({ id }) => id)).size, 200);
    assert.equal(ledger.events.filter((event) => event.startsWith("answered")).length, 200);
    assert.equal(ledger.size, 0);
  });

  // Fails when a message is parsed and written again.
  it("keeps structuredContent, outputSchema, annotations, _meta and unknown fields byte for byte", async (t) => {
    const { ask, send, next } = await stdioGateway(t);
    const strange =
      '{ "id" :1.0,"method":"tools/call","jsonrpc":"2.0","later":[1.0,1e2],\t"params":{"arguments":{"2":9007199254740993,' +
      '"1":"\\u00e9"},"name":"odd","_meta":{"progressToken":9007199254740993}}}';
    send(strange);
    const answer = await next();
    assert.match(
      answer,
      /^\{ "result":\{"structuredContent":\{"n":1\.0,"big":9007199254740993,"2":\[ \],"1":"\\u00e9é"\}/,
    );
    assert.match(answer, /"new in 2027":null\},"id":1\.0,"jsonrpc":"2\.0"\}$/);
    send('{"id":2,"method":"odd"}');
    assert.equal(await next(), answer.replace('"id":1.0', '"id":2'));
    assert.equal((await ask(request(3, "seen"))).result[0], strange);
  });

  // Fails when ids are parsed.
  it("forwards cancellation with the id as it was written, also above 2^53", async (t) => {
    const ledger = openLedger();
    const { ask, send } = await stdioGateway(t, ledger);
    const cancellation = '{"method":"notifications/cancelled","params":{"requestId":9007199254740993,"reason":"late"}}';
    send(call("9007199254740992", "silent"));
    send(call("9007199254740993", "silent"));
    send(call('"9007199254740993"', "silent"));
    await ask(request(1, "ping"));
    send(cancellation);
    assert.ok((await ask(request(2, "seen"))).result.includes(cancellation));
    assert.deepEqual(ledger.events.slice(3), ["lost 9007199254740993 cancelled"]);
    assert.equal(ledger.size, 2);
  });

  it("passes requests of the server, and the client's answers to them", async (t) => {
    const { ask, send, next } = await stdioGateway(t);
    send(call(7, "elicit"));
    assert.equal(
      await next(),
      '{"jsonrpc":"2.0","id":"s-1","method":"elicitation/create","params":{"for":7, "n":1.0}}',
    );
    const elicited = '{"id":"s-1","result":{"action":"accept","content":{"a":1.0}}}';
    send(elicited);
    assert.deepEqual((await ask(request(1, "seen"))).result[1], elicited);
  });

  it("lets other messages pass while a call waits to be judged", async (t) => {
    const ledger = openLedger(
      (_, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
    );
    const { ask, send } = await stdioGateway(t, ledger);
    send(call(1, "search"));
    await ask(request(2, "ping"));
    send('{"method":"notifications/cancelled","params":{"requestId":1}}');
    const { result } = await ask(request(3, "seen"));
    assert.ok(
      !result.some((line: string) => line.includes("search")),
      "a call that was cancelled meanwhile is not made",
    );
    assert.deepEqual(ledger.events, ["judged 1 search", "lost 1 cancelled"]);
  });

  it("refuses a message that is no request, and goes on", async (t) => {
    const { ask } = await stdioGateway(t);
    assert.deepEqual((await ask("hello")).error.code, -32700);
    const batch = await ask(`[${call(1, "search")}]`);
    assert.deepEqual([batch.id, batch.error.code, batch.error.data], [null, -32600, { source: "tollgate" }]);
    assert.equal((await ask(call(2, "search", ',"name":"other"'))).error.code, -32600);
    assert.equal((await ask(request(3, "seen"))).result.length, 1);
  });

  it("refuses a line of the client that is too long, and goes on", async (t) => {
    const { ask, send, next } = await stdioGateway(t, openLedger(), { maxMessageBytes: MIB });
    send(request(1, "ping", `"${"x".repeat(2 * MIB)}"`));
    assert.deepEqual(JSON.parse(await next()).error.message, "The message is longer than 1 MiB.");
    assert.equal((await ask(request(2, "ping"))).id, 2);
  });

  it("refuses more calls than may run", async (t) => {
    const ledger = openLedger();
    const { ask, send } = await stdioGateway(t, ledger);
    for (let id = 0; id < 1_000; id++) send(call(id, "silent"));
    assert.equal((await ask(call(1_000, "silent"))).error.code, -32000);
    send('{"method":"notifications/cancelled","params":{"requestId":5}}');
    assert.equal((await ask(call(1_001, "search"))).id, 1_001);
  });
});

describe("a server over stdio", { timeout: 60_000 }, () => {
  it("that crashes causes an error for each request in flight, and ends the gateway with its code", async (t) => {
    const ledger = openLedger();
    const { send, next, ended } = await stdioGateway(t, ledger);
    send(call(1, "silent"));
    send(request('"two"', "silent"));
    send(request(3, "exit", '{"code":7}'));
    const answers = [JSON.parse(await next()), JSON.parse(await next()), JSON.parse(await next())];
    assert.deepEqual(new Set(answers.map(({ id }) => id)), new Set([1, "two", 3]));
    for (const { error } of answers) {
      assert.deepEqual([error.code, error.message], [-32603, "The MCP server ended (exit code 7) before it answered."]);
    }
    assert.equal(await ended, 7);
    assert.deepEqual(ledger.events, ["judged 1 silent", "lost 1 server-gone"]);
  });

  it("that is killed ends the gateway with code 1", async (t) => {
    const { ask, ended } = await stdioGateway(t);
    assert.match((await ask(request(1, "die"))).error.message, /ended \(by SIGKILL\)/);
    assert.equal(await ended, 1);
  });

  it("that writes garbage is answered for as before, and the garbage is logged", async (t) => {
    const { ask, logged, clientIn, ended } = await stdioGateway(t);
    assert.equal((await ask(request(1, "garbage", '{"lines":25}'))).id, 1);
    assert.equal(logged.length, 10);
    assert.equal(logged[0], 'the server wrote a line that is no message: "loading 0 \\u0007"');
    clientIn.end();
    await ended;
    assert.deepEqual(logged.slice(10), ["the server wrote 15 more lines that are no messages"]);
  });

  it("that writes a line of 50 MB causes an error for each request in flight, and is ended", async (t) => {
    const ledger = openLedger();
    const { send, next, ended, logged } = await stdioGateway(t, ledger);
    send(call(1, "silent"));
    send(request(2, "long", `{"bytes":${50 * MIB}}`));
    const answers = [JSON.parse(await next()), JSON.parse(await next())];
    for (const { error } of answers) assert.match(error.message, /wrote a message of more than 32 MiB/);
    assert.equal(await ended, 1);
    assert.deepEqual(logged, ["the server wrote a message of more than 32 MiB"]);
    assert.deepEqual(ledger.events, ["judged 1 silent", "lost 1 too-large"]);
  });

  // Fails when the client's side takes everything at once.
  it("that floods is read only as fast as the client reads", async (t) => {
    const { send, next, clientOut } = await stdioGateway(t);
    let most = 0;
    const write = clientOut.write.bind(clientOut) as (chunk: unknown, callback?: unknown) => boolean;
    clientOut.write = (chunk: unknown, callback?: unknown) => {
      most = Math.max(most, clientOut.writableLength + clientOut.readableLength);
      return write(chunk, callback);
    };
    const lines = 20_000;
    send(request(1, "flood", `{"lines":${lines}}`));
    for (let n = 0; n < lines; n++) assert.equal(JSON.parse(await next()).params.data, String(n));
    assert.equal(JSON.parse(await next()).id, 1);
    assert.ok(most < MIB, `${most} bytes waited`);
  });

  // Fails when messages for the server are kept without a bound.
  it("that reads nothing lets the client wait, and ends with it", async (t) => {
    const { ask, send, clientIn, close } = await stdioGateway(t);
    await ask(request(1, "deaf"));
    const line = request(2, "silent", `"${"x".repeat(MIB)}"`);
    // What the system takes is taken at once: a client that is held for long is held for good.
    for (let turns = 0; turns < 200; turns = clientIn.isPaused() ? turns + 1 : 0) {
      if (!clientIn.isPaused()) send(line);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let n = 0; n < 8; n++) send(line);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(clientIn.readableLength + clientIn.writableLength > 8 * MIB, "the client keeps what is not taken");
    await close();
  });

  it("that cannot be started is an error that names the command", async (t) => {
    await assert.rejects(stdioGateway(t, openLedger(), { command: ["no-such-command"] }), (error) => {
      assert.ok(MisuseError.isInstance(error));
      assert.match(
        error.message,
        /^-- COMMAND: expected the command of an MCP server, .* got "no-such-command": .*ENOENT/,
      );
      return true;
    });
  });
});
