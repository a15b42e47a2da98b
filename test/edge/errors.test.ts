// Which errors of the runtime mean what, and which policies objects cannot keep. Neither needs workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { definePolicy, MisuseError, type PolicyInput, StoreError, type StoreErrorCode } from "tollgate";
import { durableObjectStore } from "tollgate/edge";
import type { StoreRequest } from "tollgate/store";
import { callError, storageError } from "../../src/edge/errors.ts";
import { checkPolicy } from "../../src/edge/policy.ts";

/** An error as the runtime makes it. */
const thrown = (message: string, more: object = {}) => Object.assign(new Error(message), more);

describe("an error of the runtime", () => {
  const cases: [error: Error, code: StoreErrorCode, transient: boolean, says: RegExp][] = [
    [thrown("Durable Object is overloaded. Too many requests queued."), "overloaded", true, /over more partitions/],
    [thrown("Requests queued for too long", { overloaded: true }), "overloaded", true, /over more partitions/],
    [thrown("Network connection lost.", { retryable: true }), "unavailable", true, /may have been charged/],
    [
      thrown("Durable Object reset because its code was updated.", { retryable: true, durableObjectReset: true }),
      "unavailable",
      true,
      /new version was deployed; the call may have been charged/,
    ],
    [thrown("Durable Object exceeded its CPU time limit and was reset."), "unavailable", true, /was restarted/],
    [thrown("Durable Object's isolate exceeded its memory limit and was reset."), "unavailable", true, /was restarted/],
    [
      thrown("Exceeded allowed rows written in Durable Objects free tier."),
      "unavailable",
      false,
      /raise its plan or its cap/,
    ],
    [thrown("something else"), "unavailable", true, /something else: the call may have been charged/],
  ];
  for (const [error, code, transient, says] of cases) {
    it(`"${error.message}" is ${code}`, () => {
      const failed = callError(error);
      assert.deepEqual([failed.code, failed.transient, failed.cause], [code, transient, error]);
      assert.match(failed.message, says);
    });
  }

  it("of the object's SQLite says that it is full, or that nothing was charged", () => {
    const codes = ["database or disk is full: SQLITE_FULL", "string or blob too big: SQLITE_TOOBIG", "disk I/O error"];
    assert.deepEqual(
      codes.map((message) => storageError(new Error(message))).map(({ code, transient }) => [code, transient]),
      [
        ["capacity", true],
        ["capacity", false],
        ["unavailable", true],
      ],
    );
    assert.match(storageError(new Error("disk I/O error")).message, /nothing was charged/);
  });
});

describe("a call to an object", () => {
  const request: StoreRequest = {
    mode: "judge",
    steps: [
      {
        bucket: "rate:1:{s1}:a",
        limit: { algorithm: "budget", quota: 1, ttlMs: 1_000, ttlFrom: "first" },
        event: { type: "charge", cost: 1 },
      },
    ],
  };
  const names: unknown[] = [];
  const answerOf = async (decide: () => Promise<unknown>) => {
    const namespace = { idFromName: (name: string) => names.push(name), get: () => ({ decide }) };
    const store = durableObjectStore({ namespace, deadlineMs: 20 });
    const [answer] = await store.apply([request]);
    return StoreError.isInstance(answer) ? [answer.code, answer.transient, answer.message] : [];
  };

  it("asks the object of the prefix and the partition", async () => {
    await answerOf(async () => JSON.stringify({ answers: [] }));
    assert.equal(names.at(-1), "rate:1:{s1}");
  });

  it("fails when there is no answer in time", async () => {
    const [code, transient, message] = await answerOf(() => new Promise(() => {}));
    assert.deepEqual([code, transient], ["unavailable", true]);
    assert.match(String(message), /no answer within 20 ms: the call may have been charged/);
  });

  it("fails when the object is overloaded", async () => {
    const [code, transient] = await answerOf(async () => {
      throw thrown("Requests queued for too long", { overloaded: true });
    });
    assert.deepEqual([code, transient], ["overloaded", true]);
  });
});

describe("a policy for objects", () => {
  const rate = { name: "rate", per: ["user"], algorithm: "token-bucket", window: "1m", quota: 5 } as const;
  const values = (per: string[], more: object = {}) => ({ name: "values", per, distinct: "tool", quota: 3, ...more });
  const time = (per: string[]) => ({ name: "time", per, algorithm: "elapsed", quota: "1h" });
  const refusalOf = (policy: object): string => {
    const compiled = definePolicy({ version: 1, ...policy } as PolicyInput as never);
    try {
      checkPolicy(compiled);
      return "";
    } catch (error) {
      assert.ok(MisuseError.isInstance(error) && error.code === "unsupported-limit");
      return error.message;
    }
  };

  it("may have limits of any objects whose units can be held", () => {
    const wide = { name: "all", per: [], quota: 9 };
    const pause = { name: "pause", per: ["tenant"], algorithm: "cooldown", pause: "1s" };
    const errors = { name: "errors", per: ["tool"], algorithm: "streak", of: "errors", quota: 3 };
    assert.equal(refusalOf({ limits: [rate, wide, pause, errors, { name: "s", per: ["session"], quota: 3 }] }), "");
  });

  it("may count values and time in the partition's object, or in the only one", () => {
    assert.equal(refusalOf({ limits: [rate, values(["session"]), time(["session", "turn"])] }), "");
    assert.equal(refusalOf({ partition: "user", limits: [rate, values(["user"])] }), "");
    assert.equal(refusalOf({ limits: [values(["user"]), rate] }), "");
    assert.equal(refusalOf({ limits: [values(["user"]), { ...rate, per: ["session"], mode: "shadow" }] }), "");
  });

  it("may not count them elsewhere, where another object may deny the call", () => {
    const session = { name: "per-session", per: ["session"], quota: 9 };
    assert.match(
      refusalOf({ limits: [session, values(["user"])] }),
      /^limits\.values\.per: expected a limit per session: a value of tool that it counts cannot be taken back when per-session, in another object, denies the call, got \["user"\]/,
    );
    assert.match(refusalOf({ limits: [session, time(["user"])] }), /the time that it starts cannot be taken back/);
    assert.match(refusalOf({ limits: [rate, values(["session"], { onMissing: "shared" })] }), /^limits\.values\.per/);
  });

  it("may borrow, whichever object has the limit", () => {
    const hot = { algorithm: "fixed-window", window: "1h", quota: 9_000, borrow: "auto" };
    const limits = [["user"], ["session"], []].map((per, i) => ({ ...hot, name: `hot-${i}`, per }));
    assert.equal(refusalOf({ limits: [rate, ...limits] }), "");
  });
});
