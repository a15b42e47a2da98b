// What administrators do and try, as operators see it: in the audit log, in the log, in the metrics.

import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import type { LimiterEvent } from "tollgate";
import type { Act } from "../../src/service/audit.ts";
import type { Logger } from "../../src/service/logger.ts";
import { Refusals } from "../../src/service/refusals.ts";
import { keysOf, served } from "./served.ts";

interface Line {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A logger that keeps its lines. */
function kept(): { readonly logger: Logger; readonly lines: Line[] } {
  const lines: Line[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields: fields as Line["fields"], message });
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  return { logger: { ...logger, isLevelEnabled: () => false }, lines };
}

const BUCKET = { limit: "per-session", dimensions: { session: "s1" } };
const { keys, texts } = keysOf({
  decide: { scopes: ["decide"] },
  admin: { scopes: ["admin"] },
  acme: { scopes: ["decide", "admin"], tenants: ["acme"] },
});

describe("the audit log", () => {
  it("has a line for a grant that could not be revoked", async () => {
    const acts: Act[] = [];
    const { post } = await served({ keys, audit: (act) => acts.push(act) });
    const key = texts.admin;
    const revoked = async () => (await post("/v1/revoke", { ...BUCKET, id: "g1" }, { key })).json.revoked;
    assert.equal(await revoked(), false);
    await post("/v1/grant", { ...BUCKET, grant: { id: "g1", units: 5, durationMs: 60_000 } }, { key });
    assert.equal(await revoked(), true);
    assert.equal(await revoked(), false);
    assert.deepEqual(
      acts.map(({ act, failed }) => [act, failed]),
      [
        ["revoke", undefined],
        ["revoke", "unknown-grant"],
        ["grant", undefined],
        ["revoke", undefined],
        ["revoke", undefined],
        ["revoke", "unknown-grant"],
      ],
    );
  });
});

describe("requests of administrators that are refused", () => {
  it("are logged with route, reason and key", async () => {
    const { logger, lines } = kept();
    const { post } = await served({ keys, logger });
    assert.equal((await post("/v1/reset", BUCKET, { key: texts.decide })).status, 403);
    assert.equal((await post("/v1/reset", BUCKET, { key: "tg_none_x" })).status, 401);
    assert.equal((await post("/v1/consume", { call: { tool: "x" } })).status, 401);
    const refused = lines.filter(({ message }) => message === "an administrator's request was refused");
    assert.deepEqual(
      refused.map(({ level, fields }) => ({ level, ...fields })),
      [
        { level: "warn", path: "/v1/reset", code: "missing-scope", keyId: "decide", requests: 1 },
        { level: "warn", path: "/v1/reset", code: "unauthorized", keyId: null, requests: 1 },
      ],
    );
  });

  it("are logged as calls where a call is wrong: what is, and not what was found", async () => {
    const { logger, lines } = kept();
    const { post } = await served({ keys: false, logger });
    assert.equal((await post("/v1/consume", { call: { tool: "x", session: { secret: "hunter2" } } })).status, 400);
    const refused = lines.filter(({ message }) => message === "a call was refused");
    assert.deepEqual(
      refused.map(({ level, fields: { path, requests } }) => [level, path, requests]),
      [["warn", "/v1/consume", 1]],
    );
    assert.match(String(refused[0]?.fields.fault), /^call\.session: expected /);
    assert.doesNotMatch(JSON.stringify(refused), /hunter2/);
  });

  it("cannot fill the log: further ones are counted", () => {
    mock.timers.enable({ apis: ["setInterval"] });
    const { logger, lines } = kept();
    const refusals = new Refusals(logger);
    const counts = () => lines.splice(0).map(({ fields }) => [fields.code, fields.requests]);
    for (let i = 0; i < 1_000; i++) refusals.add({ path: "/v1/reset", code: "unauthorized", keyId: null });
    refusals.add({ path: "/v1/reset", code: "missing-scope", keyId: "k" });
    assert.deepEqual(counts(), [
      ["unauthorized", 1],
      ["missing-scope", 1],
    ]);
    mock.timers.tick(10_000);
    assert.deepEqual(counts(), [["unauthorized", 999]]);
    for (let i = 0; i < 5; i++) refusals.add({ path: "/v1/reset", code: "unauthorized", keyId: null });
    refusals.close();
    assert.deepEqual(counts(), [["unauthorized", 5]]);
    refusals.add({ path: "/v1/reset", code: "unauthorized", keyId: null });
    assert.deepEqual(counts(), [["unauthorized", 1]]);
    mock.timers.tick(20_000);
    assert.deepEqual(counts(), []);
    mock.timers.reset();
  });
});

describe("a policy that is refused", () => {
  it("is an event, a line of the log and a number, and the previous policy stays", async () => {
    const { logger, lines } = kept();
    const events: LimiterEvent[] = [];
    const { service, ask } = await served({ logger, onEvent: (event) => void events.push(event) });
    for (const wrong of ["version: 1\nlimits: [{ name: a, per: [session], quota: -1 }]", "limits: ["]) {
      assert.throws(() => service.reload(wrong), { code: "invalid-policy" });
    }
    assert.throws(() => service.limiter.reload({} as never), { code: "invalid-policy" });
    assert.deepEqual(
      events.map(({ type }) => type),
      ["policy.refused", "policy.refused", "policy.refused"],
    );
    const [line] = lines.filter(({ fields }) => fields.event === "policy.refused");
    assert.equal(line?.level, "error");
    assert.match(String(line?.fields.problem), /^policy:2:\d+: limits\[0\]\.quota: expected .*, got -1/);
    const { text } = await ask("GET", "/metrics");
    assert.match(text, /^tollgate_policy_reloads_total\{outcome="refused"\} 3$/m);
    assert.match(text, /^tollgate_policy_reloads_total\{outcome="applied"\} 0$/m);
    assert.match(text, /^tollgate_events_total\{type="policy\.refused"\} 3$/m);
  });
});

describe("a hold that is not known", () => {
  it("is an event with the booked units; a repeated settle and a release emit none", async () => {
    const { logger, lines } = kept();
    const events: LimiterEvent[] = [];
    const { post, ask } = await served({ logger, onEvent: (event) => void events.push(event) });
    const call = { tool: "book", session: "s1" };
    const held = await post("/v1/reserve", { call });
    await post("/v1/settle", { holdId: held.json.holdId, call, usage: { tokens: 3 } });
    assert.deepEqual(events, []);
    for (let i = 0; i < 2; i++) {
      const { json } = await post("/v1/settle", { holdId: "made-up", call, usage: { tokens: 7 } });
      assert.equal(json.status, "unknown-hold");
    }
    assert.equal((await post("/v1/release", { holdId: "other", call })).status, 409);
    assert.deepEqual(events, [{ type: "hold.unknown", call, holdId: "made-up", booked: { calls: 1, tokens: 7 } }]);
    const found = lines.filter(({ message }) => message === "a call was settled whose hold is not known");
    assert.deepEqual(
      found.map(({ level, fields }) => ({ level, ...fields })),
      [{ level: "warn", event: "hold.unknown", booked: { calls: 1, tokens: 7 } }],
    );
    assert.match((await ask("GET", "/metrics")).text, /^tollgate_events_total\{type="hold\.unknown"\} 1$/m);
  });
});

describe("an error for a key of a tenant", () => {
  it("has the tenant's own names", async () => {
    const { post } = await served({ keys });
    const key = texts.acme;
    for (const idempotencyKey of ["job-1", "acme/job-1"]) {
      const call = { tool: "search", session: `of ${idempotencyKey}`, idempotencyKey };
      assert.equal((await post("/v1/consume", { call }, { key })).status, 200);
      const other = { call: { ...call, tool: "book" } };
      const { status, json, text } = await post("/v1/consume", other, { key });
      assert.deepEqual([status, json.faults[0].got], [422, JSON.stringify(idempotencyKey)]);
      assert.ok(!text.includes("acme/acme"));
      const batch = await post("/v1/batch", { items: [{ op: "consume", ...other }] }, { key });
      assert.equal(batch.json.items[0].body.faults[0].got, JSON.stringify(idempotencyKey));
    }
  });
});
