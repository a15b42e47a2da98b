// The routes of the decision log, on a log in memory.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { StoreError } from "tollgate";
import { functionLog, type LogStorage, memoryLog } from "tollgate/log";
import { prometheusMetrics } from "tollgate/service/node";
import { memoryStore } from "tollgate/stores/memory";
import { LOG_ROUTES } from "../../scripts/log-routes.ts";
import type { Schema } from "../../src/kernel/policy/schema-kinds.ts";
import { SCOPES } from "../../src/service/keys.ts";
import { logPart } from "../../src/service-log/log.ts";
import { isExactly, keysOf, served } from "./served.ts";

const POLICY = `
version: 1
limits:
  - { name: per-turn, per: [session, turn], onMissing: skip, quota: 3 }
  - { name: money, per: [user], onMissing: skip, unit: usd_micros, quota: $5.00 }
`;

const log = memoryLog({ flushMs: 10 });
const { ask, post } = await served({ policy: POLICY, log, parts: [logPart(log)] });
for (let i = 0; i < 5; i++)
  await post("/v1/consume", { call: { tool: "search", session: "s1", turn: "t1", user: "u1" } });
await post("/v1/consume", {
  call: { tool: "book", session: "s2", turn: "t1", user: "u1", cost: { usd_micros: 4_500_000 } },
});
const bucket = { limit: "per-turn", dimensions: { session: "s1", turn: "t1" } };
await post("/v1/grant", { ...bucket, grant: { id: "g1", units: 2, durationMs: 60_000 }, reason: "demo", actor: "ann" });
await log.flush();

/** Asks a route, and checks the form of its answer. */
async function read(path: string) {
  const answer = await ask("GET", path);
  assert.equal(answer.status, 200, `${path}: ${answer.text}`);
  const route = LOG_ROUTES.find((each) => each.path === path.replace(/\?.*/, "")) ?? assert.fail("no route");
  assert.ok(isExactly(route.response as Schema, answer.json), answer.text);
  return answer.json;
}

describe("decisions", () => {
  it("are listed, the newest first, with what each limit said", async () => {
    const { items, nextCursor } = await read("/v1/decisions");
    assert.deepEqual(
      items.map(
        (each: { type?: string; tool: string; allowed: boolean }) => each.type ?? `${each.tool} ${each.allowed}`,
      ),
      [
        "bucket.granted",
        "book true",
        "search false",
        "search false",
        "search true",
        "search true",
        "search true",
        "log.started",
      ],
    );
    assert.equal(nextCursor, null);
    const [grant, booked, denied] = items;
    assert.deepEqual(
      [grant.limit, grant.dimensions, grant.reason, grant.actor],
      ["per-turn", bucket.dimensions, "demo", "anonymous for ann"],
    );
    assert.deepEqual([booked.via, booked.verb, booked.weight, booked.dimensions.user], ["http", "consume", 1, "u1"]);
    assert.equal(denied.deniedBy, "per-turn");
    for (const { durationMs } of [booked, denied]) assert.ok(durationMs >= 0 && durationMs < 1_000, durationMs);
    assert.deepEqual([denied.verdicts[0].remainingBefore, denied.verdicts[0].per], [0, ["session", "turn"]]);
  });

  it("are filtered", async () => {
    const count = async (query: string) => (await read(`/v1/decisions?${query}`)).items.length;
    assert.equal(await count("allowed=false"), 2);
    assert.equal(await count("kind=event"), 2);
    assert.equal(await count("kind=decision&tool=book"), 1);
    assert.equal(await count("session=s1&allowed=true"), 3);
    assert.equal(await count("limit=per-turn&allowed=false"), 2);
    assert.equal(await count("user=u2"), 0);
    assert.equal(await count(`fromMs=${Date.now() + 60_000}`), 0);
  });

  it("come in pages, and go on from the last position", async () => {
    const first = await read("/v1/decisions?pageSize=5");
    const second = await read(`/v1/decisions?pageSize=5&cursor=${first.nextCursor}`);
    assert.deepEqual([first.items.length, second.items.length, second.nextCursor], [5, 3, null]);
    const { items } = await read(`/v1/decisions?after=${first.lastPosition}`);
    assert.deepEqual(items, []);
    await post("/v1/consume", { call: { tool: "late", session: "s3" } });
    await log.flush();
    const later = await read(`/v1/decisions?after=${first.lastPosition}`);
    assert.deepEqual([later.items.length, later.items[0].tool], [1, "late"]);
  });
});

describe("an explanation", () => {
  it("is of an entry", async () => {
    const [denied] = (await read("/v1/decisions?allowed=false")).items;
    const { status, json } = await ask("GET", `/v1/explain/${denied.id}`);
    const route = LOG_ROUTES.find(({ path }) => path === "/v1/explain/:id") ?? assert.fail("no route");
    assert.ok(status === 200 && isExactly(route.response as Schema, json), JSON.stringify(json));
    assert.deepEqual(json.entry, denied);
    assert.match(json.rule, /^per-turn allows 3 calls per session and turn\.$/);
    const commands = json.helps.map(({ command }: { command: string | null }) => command).join();
    assert.match(commands, /tollgate grant --limit per-turn --session s1 --turn t1 --units 1 /);
  });

  it("is of an entry that the log has", async () => {
    const { status, json } = await ask("GET", "/v1/explain/none");
    assert.deepEqual([status, json.code], [404, "unknown-entry"]);
    assert.equal((await ask("GET", "/v1/explain/none?tenant=a")).status, 404);
  });
});

describe("figures", () => {
  it("say what made most calls", async () => {
    const { items, fromMs, toMs } = await read("/v1/top?by=tool");
    assert.deepEqual(items[0], { value: "search", calls: 5, denied: 2, units: 0, error: 0 });
    assert.equal(toMs - fromMs, 3_600_000);
    assert.equal((await read("/v1/top?by=session&count=1")).items.length, 1);
    const byLimit = (await read("/v1/top?by=limit")).items;
    assert.deepEqual(byLimit.find(({ value }: { value: string }) => value === "per-turn")?.denied, 2);
  });

  it("say what spent most of a unit", async () => {
    const { items } = await read("/v1/top?by=session&unit=usd_micros");
    assert.deepEqual(items, [
      { value: "s2", calls: 1, denied: 0, units: 4_500_000, error: 0 },
      { value: "s1", calls: 5, denied: 2, units: 0, error: 0 },
    ]);
    assert.deepEqual((await read("/v1/top?by=tool&unit=tokens")).items, []);
  });

  it("say which buckets are nearly full", async () => {
    const { items } = await read("/v1/near");
    const money = items.find(({ limit }: { limit: string }) => limit === "money");
    assert.deepEqual([money.used, money.capacity, money.dimensions], [4_500_000, 5_000_000, { user: "u1" }]);
    const full = (await read("/v1/near?over=0.95")).items;
    assert.ok(!full.some(({ limit }: { limit: string }) => limit === "money"));
  });

  it("list sessions", async () => {
    const { items } = await read("/v1/sessions?prefix=s1");
    assert.equal(items.length, 1);
    const { session, calls, denied, deniedBy, user } = items[0];
    assert.deepEqual([session, calls, denied, deniedBy, user], ["s1", 5, 2, "per-turn", "u1"]);
    const page = await read("/v1/sessions?pageSize=1");
    const next = await read(`/v1/sessions?pageSize=1&cursor=${encodeURIComponent(page.nextCursor)}`);
    assert.notEqual(next.items[0].session, page.items[0].session);
  });

  it("count over time", async () => {
    const { items, stepMs } = await read("/v1/series");
    assert.equal(stepMs, 60_000);
    const sum = (of: "calls" | "denied") =>
      items.reduce((all: number, point: Record<string, number>) => all + (point[of] ?? 0), 0);
    assert.equal(sum("denied"), 2);
    const byLimit = await read("/v1/series?by=limit");
    assert.ok(
      byLimit.items.some(({ of, units }: { of: string; units: number }) => of === "money" && units === 4_500_000),
    );
  });

  it("say how nearly full buckets stand now", async () => {
    const nearOf = async (user: string) =>
      (await read("/v1/near")).items.find(
        ({ dimensions }: { dimensions: { user?: string } }) => dimensions.user === user,
      );
    const call = { tool: "book", session: "s9", turn: "t1", user: "u9", cost: { usd_micros: 4_500_000 } };
    await post("/v1/consume", { call });
    await log.flush();
    const spent = { limit: "money", dimensions: { user: "u9" } };
    assert.equal((await nearOf("u9")).capacity, 5_000_000);
    // Neither is in the log yet.
    await post("/v1/grant", { ...spent, grant: { id: "g9", units: 500_000, durationMs: 60_000 } });
    assert.deepEqual([(await nearOf("u9")).used, (await nearOf("u9")).capacity], [4_500_000, 5_500_000]);
    await post("/v1/reset", spent);
    assert.equal(await nearOf("u9"), undefined);
  });
});

describe("buckets near their limits", () => {
  it("stand as the log has them while the store does not answer", async () => {
    const inner = memoryStore();
    let isAway = false;
    const away = new StoreError("unavailable", "the store is away", { transient: true });
    const store = {
      apply: (requests: Parameters<typeof inner.apply>[0]) => (isAway ? Promise.reject(away) : inner.apply(requests)),
      close: async () => {},
    };
    const own = memoryLog({ flushMs: 10 });
    const service = await served({ policy: POLICY, store, log: own, parts: [logPart(own)] });
    const call = { tool: "book", session: "s1", user: "u1", cost: { usd_micros: 4_500_000 } };
    await service.post("/v1/consume", { call });
    await own.flush();
    const near = async () => (await service.ask("GET", "/v1/near")).json.items[0];
    const { used, capacity } = await near();
    isAway = true;
    const logged = await near();
    assert.deepEqual([logged.used, logged.capacity, logged.atMs <= Date.now()], [used, capacity, true]);
  });
});

describe("the metrics", () => {
  it("count what became of the entries, and only once", async () => {
    const own = memoryLog({ flushMs: 10 });
    const policy = `${POLICY}log: { allowed: 0, denied: 1 }\n`;
    const service = await served({ policy, log: own, metrics: prometheusMetrics() });
    for (let i = 0; i < 5; i++) await service.post("/v1/consume", { call: { tool: "x", session: "s1", turn: "t1" } });
    await own.flush();
    for (let i = 0; i < 2; i++) {
      const { text } = await service.ask("GET", "/metrics");
      const counts = [...text.matchAll(/^tollgate_log_entries_total\{outcome="(\w+)"\} (\d+)$/gm)];
      assert.deepEqual(Object.fromEntries(counts.map(([, outcome, count]) => [outcome, Number(count)])), {
        // Two denials, and that the log has started.
        ...{ kept: 3, sampled: 3, dropped: 0 },
      });
    }
  });
});

describe("a reader that is an instance of a class", () => {
  it("answers all routes", async () => {
    const own = memoryLog();
    // Its methods are not its own, as with a class.
    const storage = { name: "own", isShared: false, read: Object.create(own.storage.read) } as LogStorage;
    const service = await served({ policy: POLICY, store: memoryStore(), parts: [logPart({ storage })] });
    for (const path of ["decisions", "top", "near", "sessions", "series"]) {
      const { status, json } = await service.ask("GET", `/v1/${path}`);
      assert.deepEqual([status, json.items], [200, []], path);
    }
  });
});

describe("a query", () => {
  const wrong: readonly [path: string, name: string][] = [
    ["/v1/decisions?allowed=maybe", "allowed"],
    ["/v1/decisions?pageSize=0", "pageSize"],
    ["/v1/decisions?pageSize=501", "pageSize"],
    ["/v1/decisions?unknown=1", "unknown"],
    ["/v1/decisions?tool=a&tool=b", "tool"],
    ["/v1/decisions?tool=", "tool"],
    ["/v1/decisions?__proto__=1", "__proto__"],
    ["/v1/top?by=color", "by"],
    ["/v1/near?over=0.5", "over"],
    ["/v1/series?stepMinutes=1&fromMs=0", "stepMinutes"],
    ["/v1/top?fromMs=2&toMs=1", "fromMs"],
    [`/v1/sessions?prefix=${"a".repeat(1_001)}`, "prefix"],
  ];
  for (const [path, name] of wrong) {
    it(`is refused: ${path.slice(0, 40)}`, async () => {
      const { status, json } = await ask("GET", path);
      assert.deepEqual([status, json.code, json.faults[0].path], [400, "invalid-query", name]);
    });
  }

  it("with a made-up place is refused", async () => {
    for (const path of ["/v1/decisions?cursor=x", "/v1/decisions?after=x", "/v1/sessions?cursor=x"]) {
      assert.equal((await ask("GET", path)).status, 400, path);
    }
  });
});

describe("a service without a readable log", () => {
  it("says so, and still answers what a key may do", async () => {
    const none = await served({ parts: [logPart(null)] });
    assert.equal((await none.ask("GET", "/v1/me")).json.log, null);
    const writing = functionLog(async () => {});
    const written = await served({ log: writing, parts: [logPart(writing)] });
    assert.equal((await written.ask("GET", "/v1/me")).json.log.storage, "function");
    for (const { path } of LOG_ROUTES.filter(({ query }) => query !== undefined)) {
      for (const each of [none, written]) {
        const { status, json } = await each.ask("GET", path.replace(":id", "x"));
        assert.deepEqual([status, json.code], [501, "no-log"], path);
      }
    }
  });
});

describe("keys", () => {
  const { keys, texts } = keysOf({
    decide: { scopes: ["decide"] },
    read: { scopes: ["read"] },
    admin: { scopes: ["admin"] },
    quotas: { scopes: ["quotas"], tenants: ["acme"] },
  });

  it("are asked for, with the scope of each route", async () => {
    const { ask } = await served({ keys, log, parts: [logPart(log)] });
    for (const { method, path, scope } of LOG_ROUTES) {
      assert.equal((await ask(method, path)).status, 401, path);
      for (const each of SCOPES) {
        const { status } = await ask(method, path, { key: texts[each] });
        assert.equal(status === 403, scope !== "any" && each !== scope, `${path} ${each}`);
      }
    }
    const { json } = await ask("GET", "/v1/me", { key: texts.quotas });
    assert.deepEqual([json.keyId, json.scopes, json.tenants], ["quotas", ["quotas"], ["acme"]]);
  });
});

describe("the check of a policy", () => {
  const check = (source: string) => post("/v1/policy/check", { source });

  it("says what is wrong, by line", async () => {
    const { status, json } = await check("version: 1\nlimits:\n  - { name: a, per: [session], quota: lots }\n");
    assert.deepEqual([status, json.version, json.findings.length], [200, null, 1]);
    const [{ level, path, line, column }] = json.findings;
    assert.deepEqual([level, path, line, column], ["error", "limits[0].quota", 3, 39]);
  });

  it("says what has no effect, and which version it would be", async () => {
    const { json } = await check("version: 1\nlimits: [{ name: a, per: [sesion], quota: 5 }]");
    assert.match(json.findings[0].message, /no dimension "sesion"/);
    assert.deepEqual([json.findings[0].level, json.findings[0].line], ["warning", 2]);
    assert.match(json.version, /^\w+$/);
    const { json: policy } = await ask("GET", "/v1/policy");
    assert.equal((await check(policy.source)).json.version, policy.version);
    assert.deepEqual((await check(policy.source)).json.findings, []);
  });

  it("is not for keys of tenants, and takes no endless text", async () => {
    const { keys, texts } = keysOf({ acme: { scopes: ["read"], tenants: ["acme"] } });
    const bound = await served({ keys, parts: [logPart(null)] });
    const { json } = await bound.post("/v1/policy/check", { source: "version: 1" }, { key: texts.acme });
    assert.equal(json.code, "not-for-tenants");
    assert.equal((await check("")).status, 400);
    assert.equal((await check("a: ".repeat(400_000))).status, 413);
  });
});

describe("the document of the API", () => {
  it("has the routes of the log", async () => {
    const { json } = await ask("GET", "/openapi.json");
    const { valid, errors } = await new Validator().validate(structuredClone(json));
    assert.deepEqual([valid, errors], [true, undefined]);
    for (const { path } of LOG_ROUTES) assert.ok(path.replace(":id", "{id}") in json.paths, path);
    assert.ok("/v1/consume" in json.paths);
    // The part adds a method to a path of the service.
    assert.deepEqual(Object.keys(json.paths["/v1/policy"]), ["get", "put"]);
    assert.match((await ask("GET", "/docs")).text, /GET \/v1\/decisions<\/code><\/td><td>read/);
  });
});
