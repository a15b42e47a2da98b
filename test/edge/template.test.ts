// The template of examples/cloudflare, unchanged, in real workerd: its routes, its keys, and what it says when it is not set up.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createRemoteLimiter } from "tollgate/client";
import { makeKey } from "../../src/service/key-file.ts";
import { ROUTES } from "../../src/service/routes.ts";
import { startTemplate, type Template } from "./template.ts";

const worker = await startTemplate();

async function ask(path: string, { body, key = worker.apiKey, at = worker }: Asked = {}) {
  const response = await fetch(new URL(path, at.url), {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json", ...(key === "" ? {} : { authorization: `Bearer ${key}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they know to be there.
  return { status: response.status, text, json: (text.startsWith("{") ? JSON.parse(text) : undefined) as any };
}

interface Asked {
  readonly body?: unknown;
  readonly key?: string;
  readonly at?: Pick<Template, "url">;
}

/** Waits for a line of the Worker's log, which may come after the answer. */
async function untilLogged(at: Pick<Template, "log">, line: RegExp): Promise<void> {
  for (let tries = 0; tries < 100 && !line.test(at.log()); tries++) await sleep(100);
  assert.match(at.log(), line);
}

const call = (session: string) => ({ call: { tool: "search", session, turn: 1 } });

describe("the Worker of the template", () => {
  it("decides calls by its policy", async () => {
    const answers = [];
    for (let i = 0; i < 6; i++) answers.push((await ask("/v1/consume", { body: call("s1") })).json);
    assert.deepEqual(
      answers.map(({ allowed }) => allowed),
      [true, true, true, true, true, false],
    );
    assert.equal(answers.at(-1).deniedBy, "tool-per-turn");
    const { json } = await ask("/v1/usage?session=s1&turn=1&tool=search");
    assert.deepEqual(
      json.items.map(({ limit, used }: { limit: string; used: number }) => [limit, used]),
      [
        ["tool-per-turn", 5],
        ["tool-per-session", 5],
      ],
    );
  });

  it("asks for a key, and for its scopes", async () => {
    assert.equal((await ask("/v1/consume", { body: call("s2"), key: "" })).status, 401);
    const { key } = makeKey({ scopes: ["decide"] });
    assert.equal((await ask("/v1/consume", { body: call("s2"), key })).status, 401);
    assert.equal((await ask("/v1/consume", { body: call("s2") })).status, 200);
  });

  it("keeps the tenants of bound keys apart", async () => {
    const { stored, key } = makeKey({ scopes: ["decide", "read"], tenants: ["acme"] });
    const bindings = { TOLLGATE_KEYS: JSON.stringify({ version: 1, keys: [stored] }) };
    const at = await startTemplate({ bindings });
    const own = { call: { ...call("s1").call, tenant: "acme" } };
    assert.equal((await ask("/v1/consume", { body: own, key, at })).json.allowed, true);
    const other = { call: { ...call("s1").call, tenant: "globex" } };
    assert.equal((await ask("/v1/consume", { body: other, key, at })).json.code, "other-tenant");
    await at.stop();
  });

  it("has the routes of the service, without events and metrics", async () => {
    const { json } = await ask("/openapi.json");
    const paths = ROUTES.map(({ path }) => path).filter((path) => path !== "/v1/events" && path !== "/metrics");
    assert.deepEqual(Object.keys(json.paths).sort(), [...new Set(paths)].sort());
    const { text } = await ask("/docs");
    for (const path of paths) assert.ok(text.includes(` ${path}<`), path);
    for (const path of ["/v1/events", "/metrics"]) {
      assert.equal((await ask(path)).status, 404);
      assert.ok(!text.includes(` ${path}<`), path);
    }
    assert.deepEqual((await ask("/readyz")).json.status, "ready");
  });

  it("takes a batch, and administrators' requests", async () => {
    const items = Array.from({ length: 6 }, () => ({ op: "consume", ...call("s3") }));
    const { json } = await ask("/v1/batch", { body: { items } });
    const allowed = json.items.filter(({ body }: { body: { allowed: boolean } }) => body.allowed);
    assert.equal(allowed.length, 5);
    const bucket = { limit: "tool-per-turn", dimensions: { session: "s3", turn: 1, tool: "search" } };
    const { json: emptied } = await ask("/v1/reset", { body: bucket });
    assert.deepEqual([emptied.before.used, emptied.after.used], [5, 0]);
  });

  it("judges by calendars", async () => {
    const monthly = { name: "monthly", per: ["session"], window: "month", timezone: "Europe/Berlin", quota: 1 };
    const at = await startTemplate({ policy: { version: 1, limits: [monthly] } });
    const answers = [];
    for (let i = 0; i < 2; i++) answers.push((await ask("/v1/consume", { body: call("s1"), at, key: at.apiKey })).json);
    assert.deepEqual(
      answers.map(({ allowed }) => allowed),
      [true, false],
    );
    await at.stop();
  });

  it("lets calls of several requests wait for their turn", async () => {
    const rate = { name: "rate", per: ["session"], algorithm: "token-bucket", quota: 10, window: "1s", burst: 1 };
    const at = await startTemplate({ policy: { version: 1, limits: [rate] } });
    const waiting = Array.from({ length: 6 }, async () => {
      return (await ask("/v1/consume", { body: { ...call("s1"), maxWaitMs: 20_000 }, at, key: at.apiKey })).json;
    });
    const answers = await Promise.all(waiting);
    assert.deepEqual(new Set(answers.map(({ allowed }) => allowed)), new Set([true]));
    await at.stop();
  });

  it("is a limiter for tollgate/client", async () => {
    const limiter = createRemoteLimiter({ url: worker.url, apiKey: worker.apiKey, deadlineMs: 10_000 });
    const results = await Promise.all(
      Array.from({ length: 8 }, () => limiter.run({ tool: "search", session: "s4", turn: 1 }, async () => "found")),
    );
    assert.equal(results.filter(({ allowed }) => allowed).length, 5);
    await limiter.close();
  });
});

describe("a Worker that is not set up", () => {
  const objects = { TOLLGATE: { className: "TollgateObject", useSQLite: true } };
  const keys = JSON.stringify({ version: 1, keys: [makeKey({ scopes: ["decide"] }).stored] });
  const cases: Readonly<Record<string, [options: Parameters<typeof startTemplate>[0], log: RegExp]>> = {
    "without a binding": [
      { objects: { OTHER: objects.TOLLGATE }, bindings: { TOLLGATE_KEYS: keys } },
      /env\.TOLLGATE: expected a binding to the class TollgateObject, got nothing\. Add .* in wrangler\.jsonc/,
    ],
    "without keys": [
      { bindings: {} },
      /env\.TOLLGATE_KEYS: expected the text of a key file as a secret, got nothing\. Make one: .*\.dev\.vars/,
    ],
    "with keys that are none": [{ bindings: { TOLLGATE_KEYS: "{}" } }, /keys: expected a key file/],
  };
  for (const [what, [options, log]] of Object.entries(cases)) {
    it(`answers ${what} that its log says why, and logs what to do`, async () => {
      const at = await startTemplate(options);
      const { status, json } = await ask("/v1/consume", { body: call("s1"), at });
      assert.deepEqual([status, json.code], [500, "internal"]);
      assert.match(json.detail, /The Worker is not set up: its log says why\./);
      await untilLogged(at, log);
      await at.stop();
    });
  }

  it("whose class has no SQLite fails calls, and logs which migration is missing", async () => {
    const at = await startTemplate({ objects: { TOLLGATE: { className: "TollgateObject", useSQLite: false } } });
    const { status, json } = await ask("/v1/consume", { body: call("s1"), at, key: at.apiKey });
    assert.deepEqual([status, json.code], [500, "store-error"]);
    await untilLogged(at, /new_sqlite_classes/);
    await at.stop();
  });
});
