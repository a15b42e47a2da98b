// What the service does with clients that are slow, many, large or strange: it answers each of them, and all others as usual.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Store } from "../../src/store/api.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { type Answer, type Served, served } from "./served.ts";

const BODY = JSON.stringify({ call: { tool: "search", session: "s" } });

/** A store whose answers wait until they are let go. */
function held(): { store: Store; letGo(): void } {
  const inner = memoryStore();
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const store: Store = {
    apply: async (requests) => {
      await gate;
      return inner.apply(requests);
    },
    close: () => inner.close(),
  };
  return { store, letGo };
}

async function connected({ port }: Served): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** All that a socket answers until it is closed. */
async function answerOf(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  return text;
}

function headOf(length: number | null, more = ""): string {
  const size = length === null ? "transfer-encoding: chunked" : `content-length: ${length}`;
  return `POST /v1/consume HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${size}\r\n${more}\r\n`;
}

async function stillAnswers({ post }: Served): Promise<void> {
  assert.equal((await post("/v1/peek", BODY)).status, 200);
}

describe("a body", () => {
  it("that is too large is refused before it is read, announced or not", async () => {
    const server = await served({ bounds: { maxBodyBytes: 2_000 } });
    const large = JSON.stringify({ call: { tool: "x".repeat(3_000), session: "s" } });
    const announced = await server.post("/v1/consume", large);
    assert.deepEqual([announced.status, announced.json.code], [413, "body-too-large"]);
    const socket = await connected(server);
    socket.write(headOf(1_000_000_000));
    socket.write("{");
    assert.match(await answerOf(socket), /^HTTP\/1\.1 413 /);
    const chunked = await connected(server);
    chunked.write(headOf(null));
    for (let i = 0; i < 10; i++) chunked.write(`1f4\r\n${"x".repeat(500)}\r\n`);
    assert.match(await answerOf(chunked), /^HTTP\/1\.1 413 /);
    await stillAnswers(server);
  });

  it("that comes in pieces is read", async () => {
    const server = await served();
    const socket = await connected(server);
    socket.write(headOf(null, "connection: close\r\n"));
    for (const character of BODY) socket.write(`1\r\n${character}\r\n`);
    socket.write("0\r\n\r\n");
    assert.match(await answerOf(socket), /^HTTP\/1\.1 200 [\s\S]*"allowed":true/);
  });

  it("must be declared as JSON, and be valid", async () => {
    const { ask } = await served();
    for (const [type, status] of [
      ["text/plain", 415],
      ["application/x-www-form-urlencoded", 415],
      ["application/jsonp", 415],
      ["application/json; charset=utf-8", 200],
      ["Application/JSON", 200],
    ] as const) {
      const answer = await ask("POST", "/v1/peek", { body: BODY, headers: { "content-type": type } });
      assert.equal(answer.status, status, type);
    }
    for (const body of ["", "{", "nul", "{}{}"]) {
      const { status, json } = await ask("POST", "/v1/peek", { body });
      assert.deepEqual([status, json.code], [400, "invalid-json"], body);
    }
    for (const body of ["null", "[]", "1", '"x"', "true"]) {
      const { status, json } = await ask("POST", "/v1/peek", { body });
      assert.deepEqual([status, json.code], [400, "invalid-body"], body);
    }
  });

  it("may be nested only to a harmless depth", async () => {
    const { ask } = await served();
    const nested = (depth: number) =>
      `{"call":{"tool":"x","session":"s","args":${"[".repeat(depth)}${"]".repeat(depth)}}}`;
    assert.equal((await ask("POST", "/v1/peek", { body: nested(60) })).status, 200);
    for (const depth of [65, 10_000, 400_000]) {
      assert.equal((await ask("POST", "/v1/peek", { body: nested(depth) })).status, 400, String(depth));
    }
  });
});

describe("clients", () => {
  it("that send a large header get 431", async () => {
    const server = await served({}, { maxHeaderBytes: 4_000 });
    const socket = await connected(server);
    socket.write(headOf(2, `x-large: ${"x".repeat(5_000)}\r\n`));
    assert.match(await answerOf(socket), /^HTTP\/1\.1 431 [\s\S]*"code":"header-too-large"/);
    await stillAnswers(server);
  });

  it("that are slow with header or body get 408, and their connection is closed", async () => {
    const server = await served({}, { headerMs: 200, requestMs: 400 });
    const [head, body] = [await connected(server), await connected(server)];
    head.write("POST /v1/consume HTT");
    body.write(`${headOf(100)}{`);
    const startedMs = performance.now();
    assert.match(await answerOf(head), /^HTTP\/1\.1 408 [\s\S]*"code":"too-slow"/);
    assert.match(await answerOf(body), /^HTTP\/1\.1 408 /);
    assert.ok(performance.now() - startedMs < 5_000);
    await stillAnswers(server);
  });

  it("that do not speak HTTP get 400", async () => {
    const server = await served();
    for (const text of [
      "\0\0\0\0\r\n\r\n",
      "GET\r\n\r\n",
      "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: x\r\n\r\n",
    ]) {
      const socket = await connected(server);
      socket.write(text);
      assert.match(await answerOf(socket), /^HTTP\/1\.1 400 /);
    }
    const socket = await connected(server);
    socket.write("GET //[ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert.match(await answerOf(socket), /^HTTP\/1\.1 40[04] [\s\S]*"code":/);
    await stillAnswers(server);
  });

  it("beyond the bound are refused", async () => {
    const server = await served({}, { maxConnections: 3 });
    const sockets = [await connected(server), await connected(server), await connected(server)];
    const fourth = connect(server.port, "127.0.0.1").on("error", () => {});
    assert.equal(await answerOf(fourth), "");
    for (const socket of sockets) socket.destroy();
    while ((await server.ask("GET", "/healthz").catch(() => null)) === null) await sleep(5);
    assert.match(
      (await server.ask("GET", "/metrics")).text,
      /tollgate_rejected_requests_total\{reason="connections"\} [1-9]/,
    );
  });

  it("that name another host are refused if no key is needed", async () => {
    const server = await served();
    for (const [host, status] of [
      ["evil.example", 421],
      ["127.0.0.1.evil.example", 421],
      [`localhost:${server.port}`, 200],
      ["[::1]:80", 200],
    ] as const) {
      const socket = await connected(server);
      socket.write(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      assert.match(await answerOf(socket), new RegExp(`^HTTP/1.1 ${status} `), host);
    }
  });
});

describe("a flood", () => {
  it("is answered up to the bound, and with a retry time beyond it", async () => {
    const { store, letGo } = held();
    const server = await served({ store, bounds: { maxInFlight: 20 } });
    const asked = Array.from({ length: 60 }, () => server.post("/v1/consume", BODY));
    const refused = await Promise.all(
      Array.from({ length: 40 }, () => Promise.race(asked.map((each, i) => each.then((answer) => ({ answer, i }))))),
    );
    assert.equal(refused[0]?.answer.status, 503);
    assert.equal((await server.ask("GET", "/healthz")).status, 200);
    letGo();
    const answers = await Promise.all(asked);
    const count = (status: number) => answers.filter((answer) => answer.status === status).length;
    assert.deepEqual([count(200), count(503)], [20, 40]);
    const [late] = answers.filter(({ status }) => status === 503);
    assert.deepEqual([late?.json.code, late?.headers.get("retry-after")], ["too-many-in-flight", "1"]);
    await stillAnswers(server);
  });

  it("of calls that wait is bounded by itself, and leaves room for others", async () => {
    const policy =
      "version: 1\nlimits: [{ name: rate, per: [user], algorithm: token-bucket, quota: 2, window: 1500ms, onMissing: skip }]";
    const server = await served({ policy, bounds: { maxWaiting: 2, maxInFlight: 1 } });
    const call = { tool: "search", user: "u" };
    for (let i = 0; i < 2; i++) await server.post("/v1/consume", { call });
    const waiting: Promise<Answer>[] = [];
    const underWay = async () => Number(/in_flight (\d+)$/m.exec((await server.ask("GET", "/metrics")).text)?.[1]);
    for (let i = 0; i < 4; i++) {
      waiting.push(server.post("/v1/consume", { call, maxWaitMs: 5_000 }));
      // One after the other: what waits is not under way.
      do await sleep(10);
      while ((await underWay()) > 0);
    }
    await stillAnswers(server);
    const answers = await Promise.all(waiting);
    const codes = answers.map(({ status, json }) => json.code ?? status).sort();
    assert.deepEqual(codes, [200, 200, "too-many-waiting", "too-many-waiting"]);
  });

  it("of clients that disconnect while they wait frees their turns", async () => {
    const server = await served({ bounds: { maxWaiting: 1 } });
    const call = { tool: "search", session: "leaving", user: "leaving" };
    for (let i = 0; i < 2; i++) await server.post("/v1/consume", { call: { ...call, session: `s${i}` } });
    const leaves = new AbortController();
    const waits = server.post(
      "/v1/consume",
      { call: { ...call, cost: { calls: 2 } }, maxWaitMs: 30_000 },
      { signal: leaves.signal },
    );
    await sleep(50);
    leaves.abort();
    await assert.rejects(waits);
    let status = 503;
    while (status === 503)
      ({ status } = await server.post("/v1/consume", { call: { ...call, session: "next" }, maxWaitMs: 10 }));
    assert.equal(status, 200);
  });
});

describe("options", () => {
  it("out of their bounds are refused when the service is made", async () => {
    for (const bounds of [{ maxBodyBytes: 1 }, { maxInFlight: 0 }, { stopMs: -1 }, { maxWaitMs: 1.5 }]) {
      await assert.rejects(served({ bounds }), { code: "invalid-option" });
    }
    for (const listening of [{ port: 70_000 }, { headerMs: 1 }, { maxConnections: 0 }, { host: "" }, { drainMs: -1 }]) {
      await assert.rejects(served({}, listening), { code: "invalid-option" });
    }
    await assert.rejects(served({}, { host: "0.0.0.0" }), /tollgate keys create/);
    await assert.rejects(
      served({ policy: "version: 1\nlimits: [{ name: a, per: [cursor], quota: 1 }]" }),
      /other names/,
    );
    const { port } = await served();
    await assert.rejects(served({}, { port }), { code: "invalid-option" });
  });
});
