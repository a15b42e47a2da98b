// What every answer has, and how it may grow.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { createRemoteLimiter } from "tollgate/client";
import { ROUTES } from "../../src/service/routes.ts";
import { bodyFor, keysOf, served } from "./served.ts";

const MANY = `
version: 1
tools: { ${Array.from({ length: 7 }, (_, i) => `t${i}: {}`).join(", ")} }
limits:
  - { name: per-tool, per: [session, tool], quota: 5 }
  - { name: everybodys, per: [tool], quota: 5 }
`;

async function idsOf(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(text);
  let answer = "";
  for await (const chunk of socket.setEncoding("utf8")) answer += chunk;
  return /^x-request-id: (.*)\r$/im.exec(answer)?.[1] ?? `none in ${answer}`;
}

describe("x-request-id", () => {
  it("is on every answer: the request's, or one of the service", async () => {
    const { url, ask, port } = await served();
    for (const { method, path } of ROUTES) {
      for (const given of ["abc-1", "a b"]) {
        const controller = new AbortController();
        const body = bodyFor(path);
        const response = await fetch(url + path, {
          method,
          headers: { "x-request-id": given, ...(body === undefined ? {} : { "content-type": "application/json" }) },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: controller.signal,
        });
        const id = response.headers.get("x-request-id") ?? "none";
        assert.match(id, given === "abc-1" ? /^abc-1$/ : /^[0-9a-f]{8}-[0-9a-z]+$/, `${method} ${path}`);
        controller.abort();
      }
    }
    const etag = (await ask("GET", "/v1/policy")).headers.get("etag") ?? "";
    for (const [method, path, headers, status] of [
      ["GET", "/v1/policy", { "if-none-match": etag }, 304],
      ["HEAD", "/healthz", {}, 200],
      ["GET", "/nowhere", {}, 404],
      ["DELETE", "/v1/policy", {}, 405],
    ] as const) {
      const answer = await ask(method, path, { headers: { ...headers, "x-request-id": "r1" } });
      assert.deepEqual([answer.status, answer.headers.get("x-request-id")], [status, "r1"], path);
    }
    const own = /^[0-9a-f]{8}-[0-9a-z]+$/;
    assert.equal(
      await idsOf(port, "GET / HTTP/1.1\r\nhost: elsewhere\r\nx-request-id: r2\r\nconnection: close\r\n\r\n"),
      "r2",
    );
    assert.match(await idsOf(port, "nonsense\r\n\r\n"), own);
  });
});

describe("usage", () => {
  const { keys, texts } = keysOf({ acme: { scopes: ["read"], tenants: ["acme"] }, root: { scopes: ["read"] } });

  it("is a list, page by page", async () => {
    const { ask, url } = await served({ policy: MANY, keys });
    const pages: string[][] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const { json } = await ask("GET", `/v1/usage?session=s&pageSize=5${query}`, { key: texts.root });
      pages.push(
        json.items.map(
          ({ limit, dimensions }: { limit: string; dimensions: { tool: string } }) => limit + dimensions.tool,
        ),
      );
      cursor = json.nextCursor;
    }
    assert.deepEqual(
      pages.map(({ length }) => length),
      [5, 5, 4],
    );
    assert.equal(new Set(pages.flat()).size, 14);
    const whole = await ask("GET", "/v1/usage?session=s", { key: texts.root });
    assert.deepEqual([whole.json.items.length, whole.json.nextCursor], [14, null]);
    const bound = await ask("GET", "/v1/usage?session=s&pageSize=10", { key: texts.acme });
    assert.deepEqual([bound.json.items.length, typeof bound.json.nextCursor], [7, "string"]);
    const asked: string[] = [];
    const small: typeof fetch = (to, init) => {
      asked.push(String(to));
      return fetch(`${String(to)}&pageSize=5`, init);
    };
    const limiter = createRemoteLimiter({ url, apiKey: texts.root as string, fetch: small });
    assert.equal((await limiter.usage({ session: "s" })).length, 14);
    assert.equal(asked.length, 3);
  });
});

describe("a client", () => {
  it("accepts answers with fields that it does not know", async () => {
    const { url } = await served();
    const grown = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(grown);
      if (typeof value !== "object" || value === null) return value;
      const more = Object.entries(value).map(([name, inner]) => [name, grown(inner)]);
      const isMap = Object.values(value).every((inner) => typeof inner === "string");
      return Object.fromEntries(isMap ? more : [...more, ["later", { than: "this client" }]]);
    };
    const later: typeof fetch = async (to, init) => {
      const response = await fetch(to, init);
      const text = await response.text();
      return new Response(JSON.stringify(grown(JSON.parse(text))), { status: response.status });
    };
    const limiter = createRemoteLimiter({ url, fetch: later });
    const call = { tool: "book", session: "later" };
    const bucket = { limit: "per-session", session: "later" };
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal((await limiter.consume(call, { maxWaitMs: 5 })).allowed, true);
    assert.equal((await limiter.run(call, () => 1)).allowed, true);
    const held = await limiter.reserve(call);
    assert.ok(held.allowed);
    assert.equal(await held.hold.extend(), true);
    assert.equal((await held.hold.settle()).replayed, false);
    assert.equal((await limiter.usage({ session: "later" }))[0]?.used, 4);
    assert.equal(
      (await limiter.grant(bucket, { id: "g", units: 1, durationMs: 60_000 }, { reason: "test" }))?.granted,
      1,
    );
    assert.equal((await limiter.revoke(bucket, "g"))?.revoked, true);
    assert.equal((await limiter.reset(bucket))?.after.used, 0);
    await assert.rejects(limiter.consume({ tool: "book" }), { code: "missing-dimension" });
    await limiter.close();
  });
});

describe("a dimension", () => {
  it("may have the name of an option beside a call", async () => {
    const names = ["op", "items", "usage", "result", "error", "call", "failed", "reason"];
    const limits = names.map((name) => `  - { name: "of-${name}", per: [${name}], quota: 5 }`).join("\n");
    const { post } = await served({ policy: `version: 1\nlimits:\n${limits}` });
    const call = { tool: "x", ...Object.fromEntries(names.map((name) => [name, "value"])) };
    for (const item of [{ call, maxWaitMs: 5 }, { call }]) {
      const { status, json } = await post("/v1/consume", item);
      assert.deepEqual([status, json.verdicts?.length], [200, names.length], JSON.stringify(json));
    }
    const { json } = await post("/v1/batch", { items: [{ op: "consume", call }] });
    assert.equal(json.items[0].body.allowed, true);
  });
});
