// What a request may say and cost: encodings and headers, the shape of bodies, and what is compared before it is shortened.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { createService } from "tollgate/service";
import { memoryStore } from "tollgate/stores/memory";
import { keysOf, POLICY, served } from "./served.ts";

const server = await served();
const CALL = { tool: "search", session: "s" };
const TEXT = JSON.stringify({ call: CALL });

/** What is answered to bytes with these headers, without a client that would change them. */
async function raw(bytes: Uint8Array | string, ...headers: string[]): Promise<{ status: number; code: string }> {
  const body = Buffer.from(bytes);
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  const head = ["POST /v1/peek HTTP/1.1", "host: localhost", `content-length: ${body.length}`, "connection: close"];
  socket.write(`${[...head, ...headers].join("\r\n")}\r\n\r\n`);
  socket.write(body);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(text) ?? [];
  return { status: Number(status), code: /"code":"([a-z-]+)"/.exec(text)?.[1] ?? "" };
}

describe("a body", () => {
  it("is uncompressed JSON in UTF-8: everything else gets a clear error", async () => {
    const json = "content-type: application/json";
    const cases: [bytes: Uint8Array | string, headers: string[], status: number, code: string][] = [
      [TEXT, [json], 200, ""],
      [TEXT, [`${json}; charset=utf-8`], 200, ""],
      [TEXT, [`${json};charset=UTF-8`], 200, ""],
      [TEXT, [`${json}; charset="utf-8"`], 200, ""],
      [TEXT, [`${json};`], 200, ""],
      [TEXT, [`${json}; charset=iso-8859-1`], 415, "unsupported-media-type"],
      [TEXT, [`${json}; charset=utf-16`], 415, "unsupported-media-type"],
      [TEXT, [`${json}; charset=`], 415, "unsupported-media-type"],
      [TEXT, [`${json}; charset=utf-8; charset=utf-16`], 415, "unsupported-media-type"],
      [TEXT, ["content-type: application/json-patch+json"], 415, "unsupported-media-type"],
      [TEXT, [json, "content-type: text/plain"], 415, "unsupported-media-type"],
      [TEXT, [], 415, "unsupported-media-type"],
      [gzipSync(TEXT), [json, "content-encoding: gzip"], 415, "unsupported-content-encoding"],
      [TEXT, [json, "content-encoding: br"], 415, "unsupported-content-encoding"],
      [TEXT, [json, "content-encoding: identity, gzip"], 415, "unsupported-content-encoding"],
      [TEXT, [json, "content-encoding: identity"], 200, ""],
      [gzipSync(TEXT), [json], 400, "invalid-json"],
      [Buffer.from(TEXT, "utf16le"), [json], 400, "invalid-json"],
      [Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(TEXT)]), [json], 200, ""],
      [Buffer.from('{"call":{"tool":"search","session":"\xff"}}', "latin1"), [json], 400, "invalid-json"],
      [Buffer.from([0xed, 0xa0, 0x80]), [json], 400, "invalid-json"],
      [TEXT, [json, "content-length: 3"], 400, "invalid-request"],
      [TEXT, [json, "transfer-encoding: chunked"], 400, "invalid-request"],
    ];
    for (const [bytes, headers, status, code] of cases) {
      assert.deepEqual(await raw(bytes, ...headers), { status, code }, headers.join(", "));
    }
  });

  it("is refused before parsing when it is deep or has many values, at any place", async () => {
    const errors: unknown[] = [];
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (fields: object) => errors.push(fields),
      isLevelEnabled: () => true,
    };
    const { ask } = await served({ logger });
    const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    const many = (count: number) => `[${"1,".repeat(count - 1)}1]`;
    const cases: [path: string, body: string][] = [];
    for (const value of [deep(300_000), deep(90), `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`, many(150_000)]) {
      cases.push(
        ["/v1/consume", `{"call":{"tool":"x","session":"s","args":${value}}}`],
        ["/v1/consume", `{"call":{"tool":"x","session":${value},"\\u005f_proto__":1}}`],
        ["/v1/consume", `{"call":{"tool":"x","session":"s","cost":${value}}}`],
        ["/v1/consume", `{"call":${value}}`],
        ["/v1/consume", value],
        ["/v1/report", `{"call":{"tool":"x","session":"s"},"result":${value}}`],
        ["/v1/end", `{"holdId":"run-1","call":{"tool":"x","session":"s"},"result":${value}}`],
        ["/v1/settle", `{"holdId":"h","call":${value}}`],
        ["/v1/batch", `{"items":[{"op":"consume","call":{"tool":"x","session":"s","args":${value}}}]}`],
        ["/v1/batch", `{"items":${value}}`],
        ["/v1/reset", `{"limit":"per-session","dimensions":${value}}`],
      );
    }
    for (const [path, body] of cases) {
      const { status, json } = await ask("POST", path, { body });
      assert.deepEqual([status, json.code], [400, "invalid-body"], `${path} ${body.slice(0, 60)}`);
    }
    // Brackets and commas in strings are none, also behind quotes that are escaped.
    const text = JSON.stringify({ call: { ...CALL, args: { text: `${'\\"[{,'.repeat(30_000)}\\` } } });
    assert.equal((await ask("POST", "/v1/peek", { body: text })).status, 200);
    assert.deepEqual(errors, []);
  });

  it("has at most ten reported faults", async () => {
    const wrong = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, {}]));
    const { json } = await server.post("/v1/peek", { call: { ...CALL, ...wrong } });
    assert.deepEqual([json.code, json.faults.length], ["invalid-body", 10]);
    const crowded = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, {}]));
    for (const [path, body] of [
      ["/v1/peek", { call: { ...CALL, ...crowded } }],
      ["/v1/peek", { call: { ...CALL, cost: crowded } }],
      ["/v1/settle", crowded],
      ["/v1/reset", { limit: "per-session", dimensions: crowded }],
    ] as const) {
      const answer = await server.post(path, body);
      assert.deepEqual([answer.status, answer.json.code, answer.json.faults.length], [400, "invalid-body", 1], path);
      assert.match(answer.json.faults[0].expected, /at most 64/);
    }
  });

  it("with a tool or a value of any length is refused or charged, and cheap", async () => {
    const tool = await server.post("/v1/peek", { call: { ...CALL, tool: "x".repeat(1_025) } });
    assert.deepEqual([tool.status, tool.json.code, tool.json.faults[0].path], [400, "invalid-dimension", "call.tool"]);
    const session = await server.post("/v1/peek", { call: { ...CALL, session: "x".repeat(65_537) } });
    assert.deepEqual([session.status, session.json.faults[0].path], [400, "call.session"]);
    assert.equal((await server.post("/v1/peek", { call: { ...CALL, session: "x".repeat(65_536) } })).status, 200);
  });
});

describe("the header Idempotency-Key", () => {
  const keyed = (header: string, body: object = {}) =>
    server.ask("POST", "/v1/consume", {
      body: { call: { ...CALL, session: "keyed", ...body } },
      headers: { "idempotency-key": header },
    });

  it("is a quoted string, as in the draft, or a bare key, and equals the one in the body", async () => {
    const first = await server.post("/v1/consume", { call: { ...CALL, session: "keyed", idempotencyKey: "k1" } });
    assert.equal(first.json.replayed, false);
    for (const header of ['"k1"', "k1", '"\\k1"'.replace("\\k", "k")]) {
      const { json } = await keyed(header);
      assert.equal(json.replayed, true, header);
    }
    assert.equal((await keyed('"k1"', { idempotencyKey: "k1" })).json.replayed, true);
    assert.equal((await keyed('"a \\"b\\" \\\\"')).json.replayed, false);
    const escaped = await server.post("/v1/consume", {
      call: { ...CALL, session: "keyed", idempotencyKey: 'a "b" \\' },
    });
    assert.equal(escaped.json.replayed, true);
  });

  it("is refused where it is not one key", async () => {
    for (const header of ['""', '"', '"k1', 'k1"', '"k1", "k2"', "k1, k2", '"k1";a=1', '"a\\b"', "a b", "\u00fc"]) {
      const { status, json } = await keyed(header);
      assert.deepEqual([status, json.code], [400, "invalid-header"], header);
    }
    const both = await keyed('"k1"', { idempotencyKey: "k2" });
    assert.deepEqual([both.status, both.json.code], [400, "invalid-header"]);
  });

  it("of another call is a conflict, in every route that takes it", async () => {
    for (const path of ["/v1/consume", "/v1/record", "/v1/reserve", "/v1/begin"]) {
      const call = { tool: "book", session: `conflict ${path}`, user: path, cost: { tokens: 1 } };
      const ask = (more: object) =>
        server.ask("POST", path, { body: { call: { ...call, ...more } }, headers: { "idempotency-key": '"job-17"' } });
      assert.equal((await ask({})).status, 200, path);
      for (const more of [{ tool: "search" }, { user: "other" }, { turn: "t" }, { args: { a: 1 } }]) {
        const { status, json } = await ask(more);
        assert.deepEqual([status, json.code], [422, "idempotency-conflict"], `${path} ${JSON.stringify(more)}`);
      }
      const again = await ask({ cost: { tokens: 2 }, toolCallId: "call_9", args: {} });
      assert.deepEqual([again.status, again.json.replayed], [200, true], path);
    }
    const call = { tool: "book", session: "in batch", user: "u1", idempotencyKey: "k" };
    const { json } = await server.post("/v1/batch", {
      items: [call, call, { ...call, user: "u2" }, { ...call, args: 1 }].map((each) => ({ op: "consume", call: each })),
    });
    assert.deepEqual(
      json.items.map((each: { status: number }) => each.status),
      [200, 200, 422, 422],
    );
  });
});

describe("arguments that cannot be hashed", () => {
  it("are misuse, and crash nothing", async () => {
    const policy = "version: 1\nlimits: [{ name: same, per: [session, args], quota: 5 }]";
    const service = createService({ policy, store: memoryStore(), keys: false });
    const ask = async (args: string) => {
      const body = `{"call":{"tool":"x","session":"s","args":${args}}}`;
      const headers = { "content-type": "application/json" };
      const response = await service.fetch(
        new Request("http://localhost/v1/consume", { method: "POST", headers, body }),
      );
      const { code } = (await response.json()) as { readonly code?: string };
      return [response.status, code];
    };
    assert.deepEqual(await ask(`[${"1,".repeat(30_000)}1]`), [400, "invalid-call"]);
    assert.deepEqual(await ask(JSON.stringify(`[${"1,".repeat(30_000)}1]`)), [400, "invalid-call"]);
    assert.deepEqual(await ask(JSON.stringify("[".repeat(100_000))), [200, undefined]);
    assert.deepEqual(await ask(JSON.stringify("[".repeat(100_000) + "]".repeat(100_000))), [400, "invalid-call"]);
    await service.close();
  });
});

describe("tenants whose names are alike", () => {
  const long = (length: number) => "t".repeat(length);
  const { keys, texts } = keysOf({
    a: { scopes: ["decide", "read"], tenants: [long(200)] },
    b: { scopes: ["decide", "read"], tenants: [long(203)] },
    c: { scopes: ["decide", "read"], tenants: [long(900)] },
  });

  it("get only their own calls, for any length of names", async () => {
    const alike = await served({ policy: POLICY, keys });
    const heard = async (key: string | undefined) => {
      const abort = new AbortController();
      const headers = { authorization: `Bearer ${key}` };
      const response = await fetch(`${alike.url}/v1/events`, { signal: abort.signal, headers });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      return { reader, abort };
    };
    const listeners = await Promise.all([texts.a, texts.b, texts.c].map(heard));
    for (const [session, key] of [
      ["of-a", texts.a],
      ["of-b", texts.b],
      ["of-c", texts.c],
    ] as const) {
      assert.equal(
        (await alike.post("/v1/consume", { call: { tool: "search", session } }, { key })).json.allowed,
        true,
      );
    }
    for (const [i, name] of ["of-a", "of-b", "of-c"].entries()) {
      const { reader, abort } = listeners[i] as (typeof listeners)[number];
      let text = "";
      while (!text.includes("event:")) text += new TextDecoder().decode((await reader.read()).value);
      assert.deepEqual(text.match(/"session":"[^"]*"/g), [`"session":"${name}"`]);
      assert.deepEqual(text.match(/"tenant":"(t*)"/)?.[1]?.length, 200);
      abort.abort();
    }
  });
});

describe("a hold of another tenant", () => {
  const policy = `
version: 1
limits:
  - { name: per-tool, per: [tool], unit: tokens, quota: 10 }
  - { name: mine, per: [tenant], unit: tokens, quota: 10 }
`;
  const { keys, texts } = keysOf({
    acme: { scopes: ["decide", "read"], tenants: ["acme"] },
    globex: { scopes: ["decide", "read"], tenants: ["globex"] },
    both: { scopes: ["decide", "read"], tenants: ["acme", "globex"] },
    root: { scopes: ["decide", "read"] },
  });

  for (const route of ["reserve", "begin"]) {
    it(`is unknown, and frees nothing: ${route}`, async () => {
      const { post, ask } = await served({ policy, keys });
      const cost = { tokens: 3 };
      const made = await post(`/v1/${route}`, { call: { tool: "x", session: "s", cost } }, { key: texts.acme });
      const { holdId } = made.json;
      const usedOf = async () => {
        const { json } = await ask("GET", "/v1/usage?tool=x&tenant=acme", { key: texts.root });
        return Object.fromEntries(json.items.map((each: { limit: string; used: number }) => [each.limit, each.used]));
      };
      assert.deepEqual(await usedOf(), { "per-tool": 3, mine: 3 });
      const call = { tool: "x", session: "s", cost };
      for (const [key, more] of [
        [texts.globex, {}],
        [texts.both, { tenant: "globex" }],
        [texts.root, { tenant: "globex" }],
        [texts.root, {}],
      ] as const) {
        for (const path of ["/v1/release", "/v1/extend"]) {
          const wrong = await post(path, { holdId, call: { tenant: "globex", ...call, ...more } }, { key });
          assert.deepEqual([wrong.status, wrong.json.code], [409, "unknown-hold"], path);
        }
      }
      const op = { holdId, call };
      const settled = await post("/v1/settle", { ...op, usage: { tokens: 0 } }, { key: texts.globex });
      assert.equal(settled.json.status, "unknown-hold");
      assert.deepEqual(await usedOf(), { "per-tool": 3, mine: 3 });
      const mixed = await post(
        "/v1/batch",
        {
          items: [
            { op: "release", holdId, call: { ...call, tenant: "globex" } },
            { op: "peek", call: { ...call, tenant: "acme" } },
          ],
        },
        { key: texts.both },
      );
      assert.deepEqual(
        mixed.json.items.map(({ status }: { status: number }) => status),
        [409, 200],
      );
      assert.deepEqual(await usedOf(), { "per-tool": 3, mine: 3 });
      const right = await post("/v1/release", op, { key: texts.acme });
      assert.deepEqual([right.status, right.json.status], [200, "settled"]);
      assert.deepEqual(await usedOf(), { "per-tool": 0, mine: 0 });
    });
  }
});
