// Nothing that a call's arguments hold comes out anywhere; of its names and keys no log at `info` has any.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { auditFile } from "../../src/service/audit-file.ts";
import type { Logger } from "../../src/service/logger.ts";
import { LOG_LEVELS } from "../../src/service/logger.ts";
import { type Store, StoreError } from "../../src/store/api.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { temporaryFolder } from "../temporary.ts";
import { keysOf, POLICY, served } from "./served.ts";

const SECRET = "hunter2-in-the-arguments";
const NAME = "whose-session-it-is";

function recording(level: (typeof LOG_LEVELS)[number]): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const at = (own: (typeof LOG_LEVELS)[number]) => (fields: object, message: string) => {
    if (LOG_LEVELS.indexOf(own) >= LOG_LEVELS.indexOf(level)) lines.push(`${own} ${message} ${JSON.stringify(fields)}`);
  };
  const isLevelEnabled = (own: string) => LOG_LEVELS.indexOf(own as "info") >= LOG_LEVELS.indexOf(level);
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), isLevelEnabled };
}

/** A store that fails in unexpected ways. */
function failing(error: unknown): Store {
  const store = memoryStore();
  return { ...store, apply: () => Promise.reject(error), close: () => store.close() };
}

describe("a secret", () => {
  for (const level of ["debug", "info"] as const) {
    it(`in arguments shows nowhere, with a log at ${level}`, async () => {
      const logger = recording(level);
      const { ask, post, url } = await served({ logger });
      const abort = new AbortController();
      const events = await fetch(`${url}/v1/events`, { signal: abort.signal });
      const args = { password: SECRET, [SECRET]: [SECRET] };
      const call = { tool: "search", session: NAME, toolCallId: SECRET, args };
      const answers = [
        await post("/v1/consume", { call }),
        await post("/v1/consume", { call: { ...call, idempotencyKey: SECRET } }),
        await post("/v1/consume", [call]),
        await post("/v1/consume", { call: { ...call, args: undefined, cost: { password: SECRET } } }),
        await post("/v1/consume", { call: { ...call, session: args } }),
        await post("/v1/consume", { call: { ...call, tool: undefined } }),
        await post("/v1/reserve", { call: { ...call, tool: "book" }, leaseMs: SECRET }),
        await post("/v1/report", { call, result: SECRET }),
        await post("/v1/end", { holdId: "run-1", call, result: SECRET }),
        await post("/v1/report", { call, outcome: SECRET }),
        await post("/v1/settle", { holdId: SECRET.repeat(9), call }),
        await post("/v1/batch", {
          items: [{ op: "consume", call }, { op: SECRET }, { op: "peek", call: { tool: args } }],
        }),
        await post("/v1/consume", `{"call": {"tool": "${SECRET}`),
        await post("/v1/reset", { limit: "per-session", dimensions: { session: NAME, args } }),
        await ask("GET", `/v1/usage?session=${NAME}&args=${encodeURIComponent(JSON.stringify(args))}`),
        await ask("GET", "/metrics"),
      ];
      assert.ok(answers.some(({ status }) => status === 400));
      const reader = events.body?.getReader();
      let told = "";
      while (!told.includes("event: call.allowed")) told += new TextDecoder().decode((await reader?.read())?.value);
      abort.abort();
      const everything = [...answers.map(({ text }) => text), told, ...logger.lines].join("\n");
      assert.ok(!everything.includes(SECRET), everything.slice(Math.max(0, everything.indexOf(SECRET) - 300)));
      if (level === "info") assert.ok(!logger.lines.some((line) => line.includes(NAME) && !line.includes("audit")));
      else assert.ok(logger.lines.some((line) => /answered.*"path":"\/v1\/consume","status":200/.test(line)));
    });
  }

  it("of the service's environment is only in its log", async () => {
    const logger = recording("info");
    const boom = new Error("at /etc/secret-path with password hunter2");
    const broken = await served({ store: failing(boom), logger, failover: false });
    const { status, text } = await broken.post("/v1/consume", { call: { tool: "search", session: "s" } });
    assert.equal(status, 500);
    assert.doesNotMatch(text, /secret-path|hunter2|\.ts/);
    assert.ok(logger.lines.some((line) => /internal.*secret-path/.test(line)));
    const bad = new StoreError("damaged-bucket", "rate:1:{whose}:x is damaged", { transient: false });
    const damaged = await served({ store: failing(bad), logger, failover: false });
    const answer = await damaged.post("/v1/consume", { call: { tool: "search", session: "s" } });
    assert.deepEqual([answer.status, answer.json.code], [500, "store-error"]);
    assert.doesNotMatch(answer.text, /whose/);
  });
});

describe("problems", () => {
  it("of a busy store have a retry time", async () => {
    const busy = new StoreError("busy", "others hold the lock", { transient: true });
    const { post } = await served({ store: failing(busy), failover: false });
    const { status, json, headers } = await post("/v1/consume", { call: { tool: "search", session: "s" } });
    assert.deepEqual([status, json.code, headers.get("retry-after")], [503, "busy", "1"]);
  });

  it("have the path, what was expected and the kind of value that was found", async () => {
    const { post } = await served();
    const faultsOf = async (path: string, body: unknown) => (await post(path, body)).json.faults;
    assert.deepEqual(await faultsOf("/v1/consume", { call: { tool: "search" } }), [
      {
        path: "call.session",
        expected: "a string that is not empty, or a safe integer, because the limit per-session is per session",
        got: "nothing",
        hint: 'Say it with each call, or let the limit leave out such calls: "onMissing: skip".',
      },
    ]);
    for (const [path, body, at, got] of [
      ["/v1/consume", { call: { tool: "" } }, "call.tool", "a text of 0 characters"],
      ["/v1/consume", { call: { tool: ["x"] } }, "call.tool", "a list of 1"],
      ["/v1/consume", { call: { tool: "x", session: null } }, "call.session", "null"],
      ["/v1/consume", { call: { tool: "x", session: "s", cost: { calls: 1.5 } } }, "call.cost.calls", "1.5"],
      ["/v1/consume", { call: { tool: "x", session: "s", cost: { calls: -1 } } }, "call.cost.calls", "-1"],
      ["/v1/consume", { call: { tool: "x", session: "s", cost: { euros: 1 } } }, "call.cost", '"euros"'],
      ["/v1/consume", { call: { tool: "x", session: "s" }, maxWaitMs: "1" }, "maxWaitMs", "a text of 1 characters"],
      ["/v1/settle", { holdId: "h", call: { tool: "x" }, more: 1 }, "body", '"more"'],
      ["/v1/reset", { limit: "none", dimensions: {} }, "limit", '"none"'],
    ] as const) {
      const [fault] = await faultsOf(path, body);
      assert.deepEqual([fault?.path, fault?.got], [at, got], JSON.stringify(body));
    }
    for (const text of ['{"call":{"tool":"x","__proto__":{}}}', '{"call":{"tool":"x","cost":{"__pro\\u0074o__":1}}}']) {
      assert.equal((await faultsOf("/v1/consume", text))[0].path, "__proto__");
    }
  });

  it("have the request's id, or one that the log has", async () => {
    const { post } = await served();
    const own = await post("/v1/consume", { call: {} }, { headers: { "x-request-id": "abc-1" } });
    assert.equal(own.headers.get("x-request-id"), "abc-1");
    const hostile = await post("/v1/consume", { call: {} }, { headers: { "x-request-id": "<script>" } });
    assert.match(hostile.headers.get("x-request-id") ?? "", /^[0-9a-f]{8}-[0-9a-z]+$/);
  });
});

describe("the audit log", () => {
  it("has each act of an administrator before it is done, and whether it failed", async () => {
    const file = join(temporaryFolder(), "audit.jsonl");
    const { keys, texts } = keysOf({ root: { scopes: ["admin"] }, acme: { scopes: ["admin"], tenants: ["acme"] } });
    const { post } = await served({ keys, audit: auditFile(file), policy: POLICY });
    const bucket = { limit: "per-session", dimensions: { session: "s1", args: { password: SECRET } } };
    const grant = { id: "g1", units: 5, durationMs: 60_000 };
    const granted = { ...bucket, dimensions: { session: "s1" }, grant, reason: "ticket 7" };
    await post("/v1/grant", granted, { key: texts.root });
    await post("/v1/reset", { ...bucket, reason: "ticket 8" }, { key: texts.acme });
    await post("/v1/reset", { limit: "none", dimensions: {} }, { key: texts.root });
    const lines = readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const [first] = lines;
    assert.ok(Date.now() - Date.parse(first.time) < 60_000);
    const untimed = lines.map(({ time: _, ...rest }) => rest);
    const refusedReset = {
      act: "reset",
      reason: "ticket 8",
      actor: "key:acme",
      keyId: "acme",
      limit: "per-session",
      dimensions: { session: "acme/s1", tenant: "acme" },
    };
    const failedReset = { act: "reset", reason: null, actor: "key:root", keyId: "root", limit: "none", dimensions: {} };
    assert.deepEqual(untimed, [
      {
        act: "grant",
        units: 5,
        durationMs: 60_000,
        grantId: "g1",
        reason: "ticket 7",
        actor: "key:root",
        keyId: "root",
        limit: "per-session",
        dimensions: { session: "s1" },
      },
      refusedReset,
      { ...refusedReset, failed: "invalid-dimension" },
      failedReset,
      { ...failedReset, failed: "unknown-limit" },
    ]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  it("prevents an act that it cannot record", async () => {
    const { post } = await served({ audit: auditFile("/nowhere/audit.jsonl") });
    await post("/v1/consume", { call: { tool: "search", session: "s" } });
    const { status } = await post("/v1/reset", { limit: "per-session", dimensions: { session: "s" } });
    assert.equal(status, 500);
    assert.equal((await post("/v1/peek", { call: { tool: "search", session: "s" } })).json.verdicts[0].remaining, 3);
  });
});
