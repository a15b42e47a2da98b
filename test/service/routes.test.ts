import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { definePolicy } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { ROUTES } from "../../src/service/routes.ts";
import { sqliteStore } from "../../src/stores/sqlite.ts";
import { temporaryFolder } from "../temporary.ts";
import { fits, POLICY, served } from "./served.ts";

const server = await served({ store: sqliteStore(join(temporaryFolder(), "state.db")) });
const { ask, post } = server;
let sessions = 0;
const fresh = () => ({ tool: "search", session: `session-${++sessions}` });

describe("deciding routes", () => {
  it("consume until a limit denies, which is an answer like any other", async () => {
    const call = fresh();
    for (let left = 4; left >= 0; left--) {
      const { status, json } = await post("/v1/consume", { call });
      assert.equal(status, 200);
      assert.ok(fits("/v1/consume", json));
      assert.deepEqual([json.allowed, json.verdicts[0].remaining], [true, left]);
    }
    const denied = await post("/v1/consume", { call });
    assert.equal(denied.status, 200);
    assert.ok(fits("/v1/consume", denied.json));
    assert.deepEqual([denied.json.allowed, denied.json.verdicts[0].allowed], [false, false]);
    assert.match(denied.json.message, /^Limit reached \(per-session\), call denied: /);
    assert.match(denied.json.detail, /^Limit reached: \d+ calls per session\.$/);
  });

  it("peek and charge nothing, record and charge past the quota", async () => {
    const call = fresh();
    for (let i = 0; i < 3; i++) {
      const { json } = await post("/v1/peek", { call });
      assert.equal(json.verdicts[0].remaining, 4);
    }
    for (let i = 0; i < 6; i++) assert.equal((await post("/v1/record", { call })).status, 200);
    const { json } = await ask("GET", `/v1/usage?session=${call.session}`);
    assert.ok(fits("/v1/usage", json));
    const { used, remaining } = json.items.find(({ limit }: { limit: string }) => limit === "per-session");
    assert.deepEqual([used, remaining], [6, 0]);
  });

  it("admit a call with force past the quota, without a wait, and give that answer again under its key", async () => {
    const used = async (session: string, limit: string) => {
      const { json } = await ask("GET", `/v1/usage?session=${session}`);
      return json.items.find((each: { limit: string }) => each.limit === limit).used;
    };
    for (const path of ["/v1/consume", "/v1/reserve", "/v1/begin"]) {
      const call = { ...fresh(), cost: { calls: 6, tokens: 1 }, idempotencyKey: "k1" };
      const denied = await post(path, { call });
      assert.deepEqual([denied.json.allowed, await used(call.session, "per-session")], [false, 0], path);
      const forced = await post(path, { call, maxWaitMs: 30_000, force: true });
      assert.ok(fits(path, forced.json), path);
      const { allowed, message, verdicts, replayed } = forced.json;
      assert.deepEqual([allowed, message, replayed], [true, null, false], path);
      assert.deepEqual([verdicts[0].allowed, verdicts[0].exceeded], [true, true], path);
      for (const more of [{}, { force: true }]) {
        const again = await post(path, { call, ...more });
        assert.deepEqual(again.json, { ...forced.json, replayed: true }, path);
      }
      assert.equal(await used(call.session, "per-session"), 6, path);
    }
  });

  it("end a hold that was made with force as any other", async () => {
    const call = { ...fresh(), cost: { tokens: 101 } };
    const tokens = async () => {
      const { json } = await ask("GET", `/v1/usage?session=${call.session}`);
      return json.items[1].used;
    };
    for (const [path, before] of [
      ["/v1/reserve", 0],
      ["/v1/begin", 7],
    ] as const) {
      const { holdId } = (await post(path, { call, force: true })).json;
      assert.equal(await tokens(), before + 101);
      assert.deepEqual((await post("/v1/extend", { holdId, call })).json, { extended: true });
      const settled = await post("/v1/settle", { holdId, call, usage: { tokens: 7 } });
      assert.equal(settled.json.status, "settled");
      assert.equal(await tokens(), before + 7);
    }
  });

  it("hold, extend and settle, and repeat the answer", async () => {
    const call = { ...fresh(), tool: "book" };
    const held = await post("/v1/reserve", { call, leaseMs: 60_000 });
    assert.ok(fits("/v1/reserve", held.json));
    assert.match(held.json.holdId, /^[\w-]{36}$/);
    const { holdId } = held.json;
    assert.deepEqual((await post("/v1/extend", { holdId, call, leaseMs: 90_000 })).json, { extended: true });
    const settled = await post("/v1/settle", { holdId, call, usage: { tokens: 7, calls: 1 } });
    assert.ok(fits("/v1/settle", settled.json));
    const tokens = settled.json.usages.find(({ unit }: { unit: string }) => unit === "tokens");
    assert.equal(tokens.used, 7);
    const again = await post("/v1/settle", { holdId, call, usage: { tokens: 7, calls: 1 } });
    assert.equal(again.json.replayed, true);
    const other = await post("/v1/settle", { holdId, call, usage: { tokens: 8 } });
    assert.deepEqual([other.status, other.json.code], [409, "already-settled"]);
    const late = await post("/v1/release", { holdId, call });
    assert.match(late.json.detail, /^holdId: expected a hold that was not settled/);
  });

  it("release a hold once, and refuse an unknown one", async () => {
    const call = { ...fresh(), tool: "book" };
    const { holdId } = (await post("/v1/reserve", { call })).json;
    const released = await post("/v1/release", { holdId, call });
    assert.ok(fits("/v1/release", released.json));
    assert.equal(
      released.json.usages.every(({ used }: { used: number }) => used === 0 || used === 1),
      true,
    );
    const unknown = await post("/v1/release", { holdId: "never-made", call });
    assert.deepEqual([unknown.status, unknown.json.code], [409, "unknown-hold"]);
    const denied = await post("/v1/reserve", { call: { ...call, cost: { tokens: 101 } } });
    assert.deepEqual([denied.status, denied.json.allowed, denied.json.holdId], [200, false, null]);
  });

  it("begin a call as run does: charge it, hold the rest of its estimate, and end it by its hold", async () => {
    const call = { ...fresh(), tool: "book" };
    const begun = await post("/v1/begin", { call, leaseMs: 60_000 });
    assert.ok(fits("/v1/begin", begun.json));
    const { holdId, leaseMs } = begun.json;
    assert.equal(leaseMs, 60_000);
    assert.deepEqual((await post("/v1/extend", { holdId, call })).json, { extended: true });
    const used = async () => {
      const { json } = await ask("GET", `/v1/usage?session=${call.session}`);
      return json.items.slice(0, 2).map((each: { used: number }) => each.used);
    };
    assert.deepEqual(await used(), [1, 10]);
    await post("/v1/settle", { holdId, call, usage: { tokens: 3 } });
    assert.deepEqual(await used(), [1, 3]);
    const plain = await post("/v1/begin", { call: { tool: "search", session: call.session } });
    assert.deepEqual([plain.json.leaseMs, (await used())[0]], [null, 2]);
    await post("/v1/settle", { holdId: plain.json.holdId, call, usage: { calls: 1 } });
    assert.equal((await used())[0], 2);
    const denied = await post("/v1/begin", { call: { ...call, cost: { tokens: 101 } } });
    assert.deepEqual([denied.json.allowed, denied.json.holdId], [false, null]);
  });

  it("report outcomes, which streaks count", async () => {
    const call = fresh();
    for (let i = 0; i < 3; i++) {
      const { status, text } = await post("/v1/report", { call, error: true });
      assert.deepEqual([status, text], [204, ""]);
    }
    assert.equal((await post("/v1/peek", { call })).json.allowed, false);
    await post("/v1/report", { call, result: { found: 1 } });
    assert.equal((await post("/v1/peek", { call })).json.allowed, true);
  });

  it("let a call wait for its turn", async () => {
    const call = { ...fresh(), user: "waiting" };
    const answers = await Promise.all([1, 2, 3].map(() => post("/v1/consume", { call, maxWaitMs: 2_000 })));
    assert.deepEqual(
      answers.map(({ json }) => json.allowed),
      [true, true, true],
    );
    const tooLong = await post("/v1/consume", { call, maxWaitMs: 30_001 });
    assert.deepEqual([tooLong.status, tooLong.json.faults[0].path], [400, "maxWaitMs"]);
  });

  it("let a call that is held wait for its turn, too", async () => {
    for (const path of ["/v1/reserve", "/v1/begin"]) {
      const call = { ...fresh(), user: `waiting at ${path}`, cost: { tokens: 1 } };
      const answers = await Promise.all([1, 2, 3].map(() => post(path, { call, maxWaitMs: 2_000 })));
      for (const { status, json } of answers) {
        assert.deepEqual([status, json.allowed], [200, true], JSON.stringify(json));
        const settled = await post("/v1/settle", { holdId: json.holdId, call });
        assert.deepEqual([settled.status, settled.json.status], [200, "settled"]);
      }
      const tooLong = await post(path, { call, maxWaitMs: 30_001 });
      assert.deepEqual([tooLong.status, tooLong.json.faults[0].path], [400, "maxWaitMs"]);
      for (const maxWaitMs of [-1, 0.5, "1", 3_600_001]) {
        assert.equal((await post(path, { call, maxWaitMs })).status, 400);
      }
    }
  });

  it("charge a call once under its key, in the header or the body", async () => {
    const call = fresh();
    const headers = { "idempotency-key": "wish-1" };
    const first = await post("/v1/consume", { call }, { headers });
    const again = await post("/v1/consume", { call: { ...call, idempotencyKey: "wish-1" } });
    assert.deepEqual([first.json.replayed, again.json.replayed], [false, true]);
    assert.deepEqual(again.json.verdicts, first.json.verdicts);
    const both = await post("/v1/consume", { call: { ...call, idempotencyKey: "wish-1" } }, { headers });
    assert.equal(both.json.replayed, true);
    const differing = await post("/v1/consume", { call: { ...call, idempotencyKey: "wish-2" } }, { headers });
    assert.deepEqual([differing.status, differing.json.code], [400, "invalid-header"]);
    const conflict = await post("/v1/consume", { call: { ...call, tool: "book", idempotencyKey: "wish-1" } });
    assert.deepEqual([conflict.status, conflict.json.code], [422, "idempotency-conflict"]);
  });
});

describe("routes of administrators and readers", () => {
  it("grant, show, revoke and reset a bucket", async () => {
    const call = fresh();
    await post("/v1/consume", { call });
    const bucket = { limit: "per-session", dimensions: { session: call.session } };
    const grant = { id: "g1", units: 10, durationMs: 60_000 };
    const granted = await post("/v1/grant", { ...bucket, grant, reason: "support" });
    assert.ok(fits("/v1/grant", granted.json));
    assert.equal(granted.json.after.remaining, 14);
    const again = await post("/v1/grant", { ...bucket, grant, reason: "support" });
    assert.equal(again.json.after.remaining, 14);
    const taken = await post("/v1/grant", { ...bucket, grant: { ...grant, units: 11 } });
    assert.deepEqual([taken.status, taken.json.code, taken.json.faults[0].path], [409, "grant-exists", "grant.id"]);
    assert.match(taken.json.detail, /Nothing was granted\. Choose another id\.$/);
    const shown = await ask("GET", `/v1/usage?session=${call.session}&tool=search`);
    assert.ok(fits("/v1/usage", shown.json));
    const usage = shown.json.items.find(({ limit }: { limit: string }) => limit === "per-session");
    const [{ endsInMs, ...listed }] = usage.grants;
    assert.deepEqual([listed, usage.granted], [{ id: "g1", units: 10 }, 10]);
    assert.ok(endsInMs > 0 && endsInMs <= 60_000);
    assert.equal(usage.quota + usage.granted - usage.used, usage.remaining);
    for (const isLive of [true, false]) {
      const { json, status } = await post("/v1/revoke", { ...bucket, id: "g1", reason: "support" });
      assert.ok(fits("/v1/revoke", json));
      assert.deepEqual([status, json.revoked, json.after.granted, json.after.remaining], [200, isLive, 0, 4]);
    }
    assert.equal((await post("/v1/grant", { ...bucket, grant })).json.code, "grant-exists", "it was revoked");
    const reset = await post("/v1/reset", { ...bucket, reason: "support" });
    assert.ok(fits("/v1/reset", reset.json));
    assert.deepEqual([reset.json.before.used, reset.json.after.used, reset.json.after.remaining], [1, 0, 5]);
    const { json } = await ask("GET", `/v1/usage?session=${call.session}&tool=search`);
    assert.equal(json.items.find(({ limit }: { limit: string }) => limit === "per-session").used, 0);
  });

  it("answer usage by query, and refuse a contradictory query", async () => {
    for (const [query, path] of [
      ["session=a&session=b", "session"],
      ["session=", "session"],
      ["args={", "args"],
      ["__proto__=a", "__proto__"],
      ["cursor=a", "cursor"],
      ["pageSize=0", "pageSize"],
      ["pageSize=1001", "pageSize"],
      ["pageSize=1&pageSize=2", "pageSize"],
    ]) {
      const { status, json } = await ask("GET", `/v1/usage?${query}`);
      assert.deepEqual([status, json.code, json.faults[0].path], [400, "invalid-query", path]);
    }
    assert.equal((await ask("GET", "/v1/usage?colour=red")).json.code, "invalid-call");
  });

  it("show the policy as it was written, or 304 for a known one", async () => {
    const { status, json, headers } = await ask("GET", "/v1/policy");
    assert.ok(fits("/v1/policy", json));
    assert.deepEqual([status, json.source], [200, POLICY]);
    const etag = headers.get("etag") ?? "";
    assert.equal(json.version, parsePolicy(POLICY).version);
    for (const known of [etag, `"other", W/${etag}`, "*"]) {
      const { status, text } = await ask("GET", "/v1/policy", { headers: { "if-none-match": known } });
      assert.deepEqual([status, text], [304, ""], known);
    }
    assert.equal((await ask("GET", "/v1/policy", { headers: { "if-none-match": '"other"' } })).status, 200);
  });
});

describe("the policy in force", () => {
  const policyOf = (quota: number) =>
    definePolicy({
      version: 1,
      limits: [{ name: "per-tool", per: ["session", "tool"], quotas: { tool: { x: quota } }, quota: 1 }],
    });

  it("has another version for any difference, also for a made policy and for a limiter's own reload", async () => {
    const server = await served({ policy: policyOf(5) });
    const [versions, etags] = [new Set<string>(), new Set<string | null>()];
    const see = async (quota: number) => {
      const { json, headers } = await server.ask("GET", "/v1/policy");
      assert.equal(JSON.parse(json.source).limits[0].quotas.tool.x, quota);
      assert.equal(json.version, policyOf(quota).version);
      versions.add(json.version);
      etags.add(headers.get("etag"));
    };
    await see(5);
    server.service.reload(policyOf(6));
    await see(6);
    server.service.limiter.reload(policyOf(7));
    await see(7);
    assert.deepEqual([versions.size, etags.size], [3, 3]);
    assert.throws(() => server.service.reload("version: 1\nlimits: [{ name: x, per: [cursor], quota: 1 }]"));
    await see(7);
  });

  it("has another ETag and the same version where only its comments differ", async () => {
    const server = await served();
    const before = await server.ask("GET", "/v1/policy");
    server.service.reload(`# A comment.${POLICY}`);
    const after = await server.ask("GET", "/v1/policy");
    assert.equal(after.json.version, before.json.version);
    assert.notEqual(after.headers.get("etag"), before.headers.get("etag"));
  });
});

describe("the service's own state", () => {
  it("is up and ready", async () => {
    assert.deepEqual((await ask("GET", "/healthz")).json, { status: "up" });
    const { status, json } = await ask("GET", "/readyz");
    assert.deepEqual([status, json], [200, { status: "ready", reason: null, awayMs: null }]);
    assert.equal((await ask("HEAD", "/readyz")).status, 200);
  });

  it("counts", async () => {
    const { text, headers } = await ask("GET", "/metrics");
    assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0.0.4/);
    assert.match(text, /^tollgate_decisions_total\{allowed="true",degraded="false",replayed="false"\} [1-9]/m);
    assert.match(text, /^tollgate_denials_total\{limit="per-session",mode="enforce"\} [1-9]/m);
    assert.match(text, /^tollgate_requests_total\{route="\/v1\/consume",status="200"\} [1-9]/m);
    assert.match(text, /^tollgate_request_duration_seconds_bucket\{le="5",route="\/v1\/consume"\} [1-9]/m);
  });

  it("has an HTML page that loads nothing", async () => {
    const { text, headers } = await ask("GET", "/docs");
    assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'/);
    assert.match(text, /POST \/v1\/consume/);
    assert.doesNotMatch(text, /<script|<link|<img|https?:/);
  });

  it("refuses other paths and other methods", async () => {
    const none = await ask("GET", "/v2/consume");
    assert.deepEqual([none.status, none.json.code], [404, "not-found"]);
    const wrong = await ask("GET", "/v1/consume");
    assert.deepEqual([wrong.status, wrong.json.code, wrong.headers.get("allow")], [405, "method-not-allowed", "POST"]);
    assert.equal((await ask("DELETE", "/v1/policy")).headers.get("allow"), "GET, HEAD");
  });

  it("answers every method that Allow names", async () => {
    for (const { path } of ROUTES) {
      const { status, headers } = await ask("PROPFIND", path);
      assert.equal(status, 405, path);
      const methods = headers.get("allow")?.split(", ") ?? [];
      assert.ok(methods.length > 0, path);
      for (const method of methods.filter((each) => each !== "GET")) {
        assert.notEqual((await ask(method, path)).status, 405, `${method} ${path}`);
      }
    }
  });

  it("answers HEAD for events with the headers alone, and keeps no listener", async () => {
    const { status, headers, text } = await ask("HEAD", "/v1/events");
    assert.deepEqual([status, headers.get("content-type"), text], [200, "text/event-stream", ""]);
    assert.match((await ask("GET", "/metrics")).text, /^tollgate_event_listeners 0$/m);
    assert.equal((await ask("HEAD", "/v1/events?types=unknown")).status, 400);
  });
});
