// Answers that no service gives: whatever was asked for, they are an error, and nothing of them is believed.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, it } from "node:test";
import { type Limiter, StoreError } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { served } from "../service/served.ts";

const server = await served();
const call = { tool: "search", session: "s1" };
const bucket = { limit: "per-session", session: "s1" };

/** Every verb of a client, and of a hold. */
const VERBS: Readonly<Record<string, (limiter: Limiter) => Promise<unknown>>> = {
  consume: (limiter) => limiter.consume(call),
  "consume with a wait": (limiter) => limiter.consume(call, { maxWaitMs: 10 }),
  record: (limiter) => limiter.record(call),
  peek: (limiter) => limiter.peek(call),
  reserve: (limiter) => limiter.reserve(call),
  "reserve with a wait": (limiter) => limiter.reserve(call, { maxWaitMs: 10 }),
  run: (limiter) => limiter.run(call, () => "value"),
  "run with a wait": (limiter) => limiter.run(call, () => "value", { maxWaitMs: 10 }),
  usage: (limiter) => limiter.usage({ session: "s1" }),
  reset: (limiter) => limiter.reset(bucket),
  grant: (limiter) => limiter.grant(bucket, { id: "g", units: 1, durationMs: 1_000 }),
  revoke: (limiter) => limiter.revoke(bucket, "g"),
  settle: (limiter) => limiter.getHold("h", call).settle({ calls: 1 }),
  release: (limiter) => limiter.getHold("h", call).release(),
  extend: (limiter) => limiter.getHold("h", call).extend(),
  report: (limiter) => limiter.reportOutcome(call, { error: true }),
};

const isInvalid = (error: unknown) =>
  StoreError.isInstance(error) && error.code === "invalid-reply" && error.transient === false;

function clientOf(answer: () => Response): Limiter {
  return createRemoteLimiter({ url: "http://service", fetch: async () => answer(), deadlineMs: 60_000 });
}

describe("an invalid answer", () => {
  const bodies: readonly (readonly [what: string, answer: () => Response])[] = [
    ["HTML", () => new Response("<!doctype html><p>Hello", { headers: { "content-type": "text/html" } })],
    ["text that is cut off", () => new Response('{"items":[{"status":200,"body":{"allo')],
    ["another value", () => new Response("7")],
    ["a list", () => new Response("[]")],
    ["an empty object", () => new Response("{}")],
    ["no items", () => new Response('{"items":[]}')],
    ["an item without a body", () => new Response('{"items":[{"status":200}]}')],
    ["an item with the status 0", () => new Response('{"items":[{"status":0,"body":null}]}')],
    ["an item whose status is a text", () => new Response('{"items":[{"status":"200","body":null}]}')],
    ["an item with a status of redirects", () => new Response('{"items":[{"status":302,"body":null}]}')],
    ["an item that is no object", () => new Response('{"items":["allowed"]}')],
    ["two items for one", () => new Response('{"items":[{"status":200,"body":{}},{"status":200,"body":{}}]}')],
    ["what is no UTF-8", () => new Response(new Uint8Array([0x7b, 0xff, 0x7d]))],
    ["a redirect", () => new Response(null, { status: 307, headers: { location: "http://elsewhere/v1/batch" } })],
    ["a status that means nothing", () => new Response("{}", { status: 418 })],
  ];
  for (const [what, answer] of bodies) {
    it(`is refused by every verb: ${what}`, async () => {
      for (const [verb, ask] of Object.entries(VERBS)) await assert.rejects(ask(clientOf(answer)), isInvalid, verb);
    });
  }

  it("is refused by every verb but report, which has no answer: an empty body", async () => {
    for (const [verb, ask] of Object.entries(VERBS)) {
      await assert.rejects(ask(clientOf(() => new Response(null, { status: 204 }))), isInvalid, verb);
    }
  });

  it("is not read to its end: 30 MB", async () => {
    let sent = 0;
    const chunk = new TextEncoder().encode(" ".repeat(100_000));
    const endless = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += chunk.byteLength;
            if (sent > 30_000_000) controller.close();
            else controller.enqueue(chunk);
          },
        }),
      );
    for (const [verb, ask] of Object.entries(VERBS)) {
      sent = 0;
      await assert.rejects(ask(clientOf(endless)), isInvalid, verb);
      assert.ok(sent < 17_000_000, `${verb}: ${sent}`);
    }
  });
});

/** A value with one field left out, or of another kind. */
function* spoilt(value: unknown, isMap = false): Generator<unknown> {
  if (typeof value !== "object" || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    const kind = inner === null ? "text or null" : Array.isArray(inner) ? "list" : typeof inner;
    for (const [other, fits] of [
      [undefined, isMap ? "any" : "none"],
      [{}, "object"],
      ["x", "string"],
      [1.5, "none"],
      [-1, "none"],
      [[{}], "none"],
      [true, "boolean"],
    ] as const) {
      const isFine = fits === "any" || fits === kind || (fits === "string" && kind === "text or null");
      if (!isFine) yield Array.isArray(value) ? [other] : { ...value, [name]: other };
    }
    for (const changed of spoilt(inner, name === "dimensions")) {
      yield Array.isArray(value) ? [changed] : { ...value, [name]: changed };
    }
  }
}

describe("a right answer with one wrong field", () => {
  /** What the service answers to a verb, and then what the answer is with one field spoilt. */
  async function answersTo(ask: (limiter: Limiter) => Promise<unknown>) {
    let body: unknown;
    const listening: typeof fetch = async (url, init) => {
      const response = await fetch(String(url).replace("http://service", server.url), init);
      body = await response.clone().json();
      return response;
    };
    await ask(createRemoteLimiter({ url: "http://service", fetch: listening, deadlineMs: 60_000 }));
    return body as { readonly items?: readonly { readonly body: unknown }[] };
  }

  for (const verb of ["consume", "record", "peek", "reserve", "run", "usage", "reset", "grant", "settle", "extend"]) {
    it(`is refused: ${verb}`, async () => {
      const ask =
        verb === "settle" || verb === "extend"
          ? async (limiter: Limiter) => {
              const held = await limiter.reserve({ tool: "search", session: verb, cost: { tokens: 1 } });
              assert.ok(held.allowed);
              return verb === "settle" ? held.hold.settle() : held.hold.extend();
            }
          : (VERBS[verb] as (limiter: Limiter) => Promise<unknown>);
      const withCost = { tool: "search", session: verb, cost: { tokens: 1 } };
      const asked = (limiter: Limiter) => (verb === "reserve" ? limiter.reserve(withCost) : ask(limiter));
      const right = await answersTo(asked);
      const body = right.items?.[0]?.body ?? right;
      let count = 0;
      for (const wrong of spoilt(body)) {
        const text = JSON.stringify(right.items === undefined ? wrong : { items: [{ status: 200, body: wrong }] });
        const limiter = clientOf(() => new Response(text));
        const again =
          verb === "settle" || verb === "extend"
            ? limiter.getHold("h", call)[verb]()
            : verb === "run"
              ? limiter.run(call, () => assert.fail("ran"))
              : asked(limiter);
        await assert.rejects(again, isInvalid, `${verb}: ${text}`);
        count++;
      }
      assert.ok(count >= 4, `${count}`);
    });
  }
});

describe("a service that moved", () => {
  it("is not followed, so that the key is not sent elsewhere", async () => {
    const asked: (string | undefined)[] = [];
    const other = createServer((request, response) => {
      asked.push(request.headers.authorization);
      response.end("{}");
    });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const moved = createServer((_, response) => {
      const { port } = other.address() as AddressInfo;
      response.writeHead(307, { location: `http://127.0.0.1:${port}/v1/batch` }).end();
    });
    await new Promise<void>((resolve) => moved.listen(0, "127.0.0.1", resolve));
    after(() => {
      other.close();
      moved.close();
    });
    const limiter = createRemoteLimiter({
      url: `http://127.0.0.1:${(moved.address() as AddressInfo).port}`,
      apiKey: "tg_a_b",
    });
    await assert.rejects(limiter.consume(call), isInvalid);
    assert.deepEqual(asked, []);
  });
});
