// What a policy would have done with the calls of the log: the route, and the thread that plays them.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { functionLog, memoryLog } from "tollgate/log";
import { sqliteLog } from "tollgate/log/sqlite";
import type { Schema } from "../../src/kernel/policy/schema-kinds.ts";
import type { DecisionEntry } from "../../src/log/entry.ts";
import type { LogReader, ReadableStorage } from "../../src/log/storage.ts";
import { simulatedSchema } from "../../src/http/simulation-bodies.ts";
import { logPart } from "../../src/service-log/log.ts";
import { simulateLog } from "../../src/service-log/simulation-node.ts";
import { temporaryFolder } from "../temporary.ts";
import { isExactly, keysOf, type Served, served } from "./served.ts";

const policyOf = (quota: number, more = "") =>
  `version: 1\nlimits:\n  - { name: per-turn, per: [session, turn], onMissing: skip, quota: ${quota} }\n${more}`;
const POLICY = policyOf(3);
const PATH = "/v1/policy/simulate";
const folder = temporaryFolder();

const log = memoryLog({ flushMs: 10 });
const service = await served({ policy: POLICY, log, parts: [logPart(log)] });

/** Five calls of one turn, and one of another. */
async function makeCalls({ post }: Served): Promise<void> {
  for (let i = 0; i < 5; i++) await post("/v1/consume", { call: { tool: "search", session: "s1", turn: "t1" } });
  await post("/v1/consume", { call: { tool: "book", session: "s2", turn: "t1" } });
}
await makeCalls(service);
await log.flush();

async function simulated(body: object, { post }: Served = service) {
  const { status, json, text } = await post(PATH, body);
  assert.equal(status, 200, text);
  assert.ok(isExactly(simulatedSchema as Schema, json), text);
  return json;
}

/** A service whose log is read by `entries`. */
function servedBy(entries: LogReader["entries"]): Promise<Served> {
  const { storage } = memoryLog();
  const other: ReadableStorage = { ...storage, name: "other", read: { ...storage.read, entries } };
  return served({ policy: POLICY, parts: [logPart({ storage: other })] });
}

/** What waits until it is let go. */
function gate() {
  const [{ promise, resolve: open }, reached] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const wait = async () => {
    reached.resolve();
    await promise;
    return { items: [], nextCursor: null, lastPosition: "0" };
  };
  return { wait, open, reached: reached.promise };
}

function entryOf(i: number, more: Partial<DecisionEntry> = {}): DecisionEntry {
  const call = { tool: "search", dimensions: { session: `s${i % 1_000}`, turn: "t1" }, argsHash: null };
  const decided = { allowed: true, deniedBy: null, retryAfterMs: null, detail: null, verdicts: [], degraded: null };
  const about = { id: `0${i}`, atMs: Date.now(), instance: "a", policy: "p", verb: "consume", via: "http" } as const;
  return { kind: "decision", ...about, ...call, ...decided, replayed: false, durationMs: null, weight: 1, ...more };
}

describe("a simulation", () => {
  it("says what a policy denies and the one in force does not, with examples", async () => {
    const { read, policy, against, newlyDenied, newlyAllowed, notes, fromMs, toMs, ...both } = await simulated({
      source: policyOf(1),
    });
    const { firstMs, lastMs, ...counts } = read;
    assert.deepEqual(counts, { calls: 6, sessions: 2, leftOut: 0, isSample: false, standsFor: 6, isCut: false });
    assert.ok(firstMs <= lastMs && lastMs <= toMs);
    assert.equal(toMs - fromMs, 3_600_000);
    assert.deepEqual([policy.denied, policy.allowed, policy.sessionsDenied], [4, 2, 1]);
    assert.deepEqual([against.denied, against.deniedBy, against.exceeded], [2, { "per-turn": 2 }, {}]);
    assert.notEqual(policy.version, against.version);
    assert.deepEqual([newlyDenied.calls, newlyDenied.deniedBy], [2, { "per-turn": 2 }]);
    const [{ atMs, ...example }] = newlyDenied.examples;
    assert.deepEqual(example, { tool: "search", session: "s1", turn: "t1", nthOfSession: 2, limit: "per-turn" });
    assert.ok(atMs >= firstMs);
    assert.equal(newlyAllowed.calls, 0);
    assert.deepEqual(both, { deniedByBoth: 2, allowedByBoth: 2 });
    assert.match(notes.join("\n"), /begin with empty buckets.*Grants and resets of this time are not played/s);
  });

  it("compares with another policy, within a time", async () => {
    const { newlyAllowed, newlyDenied } = await simulated({ source: policyOf(5), against: policyOf(1) });
    assert.deepEqual([newlyAllowed.calls, newlyDenied.calls, newlyAllowed.examples.length], [4, 0, 4]);
    const none = await simulated({ source: POLICY, fromMs: 1, toMs: 2 });
    assert.deepEqual([none.read.calls, none.read.firstMs, none.read.lastMs, none.policy.denied], [0, null, null, 0]);
  });

  it("says what it cannot know", async () => {
    const more =
      "  - { name: at-once, per: [session], onMissing: skip, algorithm: concurrency, quota: 1, hold: { lease: 1m } }\n  - { name: per-tenant, per: [tenant], quota: 1 }";
    const { notes, read } = await simulated({ source: policyOf(3, more) });
    assert.match(notes.join("\n"), /The log has no `durationMs`.*at-once denies nothing/);
    assert.match(notes.join("\n"), /6 calls left out, because one of the policies refuses them: .*tenant/);
    assert.equal(read.calls, 0);
  });

  it("is played by a policy with a hundred limits", async () => {
    const limits = Array.from(
      { length: 100 },
      (_, i) => `  - { name: limit-${i}, per: [session], onMissing: skip, quota: ${i + 2} }`,
    );
    const { policy, newlyDenied } = await simulated({ source: `version: 1\nlimits:\n${limits.join("\n")}` });
    assert.equal(Object.keys(policy.deniedBy).length, 100);
    assert.deepEqual(newlyDenied.deniedBy, { "limit-0": 1 });
  });

  it("of a file reads what its thread has written", async () => {
    const file = sqliteLog(join(folder, "log.db"), { flushMs: 10 });
    const other = await served({ policy: POLICY, log: file, parts: [logPart(file)] });
    assert.equal((await simulated({ source: POLICY }, other)).read.calls, 0);
    await makeCalls(other);
    await file.flush();
    const { read, newlyDenied } = await simulated({ source: policyOf(1) }, other);
    assert.deepEqual([read.calls, newlyDenied.calls], [6, 2]);
  });

  it("says that the log is a sample", async () => {
    const other = await servedBy(async () => ({
      items: [
        entryOf(1, { weight: 4 }),
        entryOf(2, { allowed: false, deniedBy: "per-turn", weight: 1 }),
        entryOf(1, { weight: 4 }),
      ],
      nextCursor: null,
      lastPosition: "3",
    }));
    const { read } = await simulated({ source: policyOf(1) }, other);
    assert.deepEqual([read.isSample, read.calls, read.standsFor, read.leftOut], [true, 2, 8, 1]);
  });

  it("is of the newest calls, and says that there were more", async () => {
    let pages = 0;
    const entries: LogReader["entries"] = async () => {
      return { items: [0, 1, 2].map((i) => entryOf(i)), nextCursor: String(pages++), lastPosition: "1" };
    };
    const reader = { ...log.storage.read, entries };
    const asked = { source: POLICY, against: POLICY, fromMs: 0, reader };
    const { read } = await simulateLog({ ...asked, maxCalls: 7 }, new AbortController().signal);
    assert.deepEqual([read.calls, read.isCut, pages], [7, true, 3]);
  });
});

describe("a simulation that cannot be", () => {
  it("says at which line a policy is wrong, and in which", async () => {
    const wrong = await service.post(PATH, { source: policyOf("lots" as unknown as number) });
    assert.deepEqual([wrong.status, wrong.json.code], [400, "invalid-policy"]);
    assert.deepEqual([wrong.json.faults[0].path, wrong.json.faults[0].line], ["limits[0].quota", 3]);
    assert.match(wrong.json.detail, /^source:3:\d+: limits\[0\]\.quota: expected/);
    const other = await service.post(PATH, { source: POLICY, against: "version: 7" });
    assert.match(other.json.detail, /^against:1:/);
    assert.equal((await service.post(PATH, { source: POLICY, fromMs: 2, toMs: 1 })).json.code, "invalid-body");
    assert.equal((await service.post(PATH, { source: "" })).status, 400);
  });

  it("is refused to keys of tenants, and where there is no log to read", async () => {
    const { keys, texts } = keysOf({ acme: { scopes: ["read"], tenants: ["acme"] } });
    const bound = await served({ keys, log, parts: [logPart(log)] });
    assert.equal((await bound.post(PATH, { source: POLICY }, { key: texts.acme })).json.code, "not-for-tenants");
    const writing = functionLog(async () => {});
    for (const part of [logPart(null), logPart(writing)]) {
      const { status, json } = await (await served({ parts: [part] })).post(PATH, { source: POLICY });
      assert.deepEqual([status, json.code], [501, "no-log"]);
    }
  });

  it("says that another one runs, and runs after that", async () => {
    const { wait, open, reached } = gate();
    const other = await servedBy(wait);
    const first = other.post(PATH, { source: POLICY });
    await reached;
    const second = await other.post(PATH, { source: POLICY });
    assert.deepEqual([second.status, second.json.code, second.headers.get("retry-after")], [503, "busy", "5"]);
    assert.equal((await other.ask("GET", "/healthz")).status, 200);
    open();
    assert.equal((await first).status, 200);
    assert.equal((await other.post(PATH, { source: POLICY })).status, 200);
  });

  it("ends when the client leaves, and makes room for the next", async () => {
    const [left, next] = [gate(), gate()];
    next.open();
    const gates = [left.wait, next.wait];
    const other = await servedBy(() => (gates.shift() ?? next.wait)());
    const leaving = new AbortController();
    const first = other.post(PATH, { source: POLICY }, { signal: leaving.signal });
    await left.reached;
    leaving.abort();
    await assert.rejects(first, { name: "AbortError" });
    let status = 503;
    while (status === 503) ({ status } = await other.post(PATH, { source: POLICY }));
    assert.equal(status, 200);
  });

  it("ends when the service closes, which does not wait for it", async () => {
    const { wait, reached } = gate();
    const other = await servedBy(wait);
    const asked = other.post(PATH, { source: POLICY });
    await reached;
    const closing = other.service.close();
    const { status, json } = await asked;
    assert.deepEqual([status, json.code], [503, "stopping"]);
    await closing;
  });
});
