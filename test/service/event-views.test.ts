// What the log of the service and its listeners get of each event.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type BucketUsage, type LimiterEvent, MisuseError, StoreError } from "tollgate";
import { compiledPolicy } from "../../src/kernel/policy/parse.ts";
import { EVENTS, type EventKind, type EventOf } from "../../src/events.ts";
import { dataFor, dataOf } from "../../src/service/event-data.ts";
import { logEvent } from "../../src/service/event-log.ts";

const SECRET = "hunter2";
const call = { tool: "search", session: SECRET, args: { q: SECRET } };
const FAULT = { at: "policy.yaml:3:12", path: "limits[0].quota", expected: "a whole number", got: "-1" };
const error = new StoreError("unavailable", "no answer", { transient: true });

const bucket = (dimensions: Record<string, string>, limit = "per-session"): BucketUsage => ({
  ...{ limit, dimensions, unit: "calls", quota: 5, capacity: 5, granted: 0, used: 1, remaining: 4, resetAfterMs: 0 },
  grants: [],
});

/** One of each. */
const SAMPLES: { readonly [Type in LimiterEvent["type"]]: EventOf<Type> } = {
  "store.unreachable": { type: "store.unreachable", error },
  "store.recovered": { type: "store.recovered", awayMs: 5, booked: 1, dropped: 0, raised: 0 },
  "store.misconfigured": { type: "store.misconfigured", check: { name: "persistence", value: "off", problem: "lost" } },
  "store.check_failed": { type: "store.check_failed", error: new Error("not allowed") },
  "failover.no_share": { type: "failover.no_share", instances: 9, limits: ["per-session"] },
  "failover.lost": { type: "failover.lost", bookings: 3 },
  "failover.refused": { type: "failover.refused", bookings: 3, refunds: 1, error },
  "hold.lost": { type: "hold.lost", call, holdId: SECRET, error: null },
  "hold.unsettled": { type: "hold.unsettled", call, holdId: SECRET, error },
  "hold.unknown": { type: "hold.unknown", call, holdId: SECRET, booked: { tokens: 5 } },
  "hold.limit_reached": { type: "hold.limit_reached", call, holdId: SECRET, reason: "unread", heldMs: 5 },
  "usage.unusable": {
    type: "usage.unusable",
    call,
    holdId: SECRET,
    unit: "tokens",
    expected: "a number",
    got: "a text",
  },
  "outcome.unreported": { type: "outcome.unreported", call, error },
  "outcome.unusable": { type: "outcome.unusable", call, error: new Error(SECRET) },
  "quota.unresolved": {
    ...{
      type: "quota.unresolved",
      limit: "per-session",
      dimensions: { session: SECRET },
      quota: 5,
      failures: 1,
      error,
    },
  },
  "log.unreachable": { type: "log.unreachable", storage: "sqlite", error },
  "log.recovered": { type: "log.recovered", storage: "sqlite", awayMs: 5, dropped: 1 },
  "policy.reloaded": {
    ...{ type: "policy.reloaded", version: "abc", restarted: ["per-session"], added: [], removed: [] },
    ...{ reason: null, actor: "file:policy.yaml" },
  },
  "policy.refused": { type: "policy.refused", error: new MisuseError("invalid-policy", FAULT) },
  "policy.differs": { type: "policy.differs" },
  "bucket.reset": {
    ...{ type: "bucket.reset", before: bucket({ session: "acme/s1" }), after: bucket({ session: "acme/s1" }) },
    ...{ reason: "a ticket", actor: "key:k1" },
  },
  "bucket.granted": {
    ...{ type: "bucket.granted", grant: { id: "g", units: 1, durationMs: 5 }, after: bucket({ session: "acme/s1" }) },
    ...{ reason: null, actor: null },
  },
  "bucket.revoked": {
    ...{ type: "bucket.revoked", id: "g", after: bucket({ session: "acme/s1" }) },
    ...{ reason: "a ticket", actor: "anonymous" },
  },
};

/** The lines of a log. */
function linesOf(event: LimiterEvent): readonly { level: string; fields: object; message: string }[] {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  const [debug, info, warn, fault] = [at("debug"), at("info"), at("warn"), at("error")];
  logEvent({ debug, info, warn, error: fault, isLevelEnabled: () => true }, event);
  return lines;
}

describe("the log", () => {
  for (const [name, { log }] of Object.entries<EventKind>(EVENTS)) {
    it(`has the line of ${name}, and nothing of a call`, () => {
      const lines = linesOf(SAMPLES[name as LimiterEvent["type"]]);
      assert.deepEqual(
        lines.map(({ level, fields, message }) => ({ level, event: "event" in fields && fields.event, message })),
        log === undefined ? [] : [{ ...log, event: name }],
      );
      assert.ok(!JSON.stringify(lines).includes(SECRET));
    });
  }

  it("shows the reason", () => {
    assert.deepEqual(linesOf(SAMPLES["store.unreachable"])[0]?.fields, {
      ...{ event: "store.unreachable", code: "unavailable", problem: "no answer" },
    });
    assert.deepEqual(linesOf(SAMPLES["policy.reloaded"])[0]?.fields, {
      ...{ event: "policy.reloaded", version: "abc", restarted: ["per-session"], added: [], removed: [] },
      ...{ reason: null, actor: "file:policy.yaml" },
    });
    const problem = "policy.yaml:3:12: limits[0].quota: expected a whole number, got -1";
    assert.deepEqual(linesOf(SAMPLES["policy.refused"])[0]?.fields, { event: "policy.refused", problem });
    assert.deepEqual(dataOf(SAMPLES["policy.refused"]), { problem });
  });
});

describe("listeners", () => {
  const policy = compiledPolicy({
    version: 1,
    limits: [
      { name: "per-session", per: ["session"], quota: 5 },
      { name: "per-tenant-user", per: ["tenant", "user"], quota: 5 },
      { name: "per-tool", per: ["tool", "args"], quota: 5 },
    ],
  });

  it("get the fields of the table, without arguments", () => {
    for (const [name, { stream }] of Object.entries<EventKind>(EVENTS)) {
      const data = dataOf(SAMPLES[name as LimiterEvent["type"]]);
      assert.deepEqual(data && Object.keys(data).toSorted(), stream?.toSorted() ?? null, name);
    }
    const long = { tool: "x".repeat(300), args: SECRET };
    const data = dataOf({ ...SAMPLES["bucket.reset"], after: bucket(long, "per-tool") }) as EventOf<"bucket.reset">;
    assert.deepEqual(data.after.dimensions, { tool: "x".repeat(200) });
  });

  it("with a bound key get only their own buckets, in their own names, without actor and reason", () => {
    const reset = (dimensions: Record<string, string>, limit: string) => {
      const usage = bucket(dimensions, limit);
      const event = { type: "bucket.reset", before: usage, after: usage, reason: "a ticket", actor: "key:k1" } as const;
      const data = dataFor(["acme", "beta"], policy, event) as Partial<EventOf<"bucket.reset">> | null;
      assert.equal(data !== null && ("reason" in data || "actor" in data), false);
      assert.deepEqual(data?.before, data?.after);
      return data?.after?.dimensions;
    };
    assert.deepEqual(reset({ session: "acme/s1" }, "per-session"), { session: "s1" });
    assert.deepEqual(reset({ tenant: "beta", user: "beta/u" }, "per-tenant-user"), { tenant: "beta", user: "u" });
    for (const session of ["globex/s1", "acme", "acmes/s1"]) assert.equal(reset({ session }, "per-session"), undefined);
    assert.equal(reset({ tenant: "beta", user: "acme/u" }, "per-tenant-user"), undefined, "of two tenants");
    assert.equal(reset({ tenant: "globex", user: "acme/u" }, "per-tenant-user"), undefined);
    assert.equal(reset({ tool: "acme/x" }, "per-tool"), undefined, "a bucket of all");
    for (const event of Object.values(SAMPLES)) {
      assert.equal(dataFor(["acme"], policy, event) !== null, event.type.startsWith("bucket."), event.type);
    }
  });
});
