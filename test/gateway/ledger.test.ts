// The way of a call from its decision to its end, on a real store.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PolicyInput } from "tollgate";
import { createHostedLimiter } from "../../src/limiter.ts";
import { memoryStore } from "tollgate/stores/memory";
import { type Store, StoreError } from "tollgate/store";
import { fakeClock } from "tollgate/testing";
import {
  answerOf,
  clientSays,
  forwardOf,
  ledgerFor,
  LEGACY,
  notify,
  ORIGIN,
  POLICY,
  resultOf,
  serverSays,
  toolCall,
} from "./calls-fixture.ts";

const TEXT = '{ "content":[{"type":"text","text":"1.0"}], "structuredContent":{"n":1.0} }';

describe("a call of a tool", () => {
  it("is forwarded as it came, charged once, and its answer is passed as it came", async () => {
    const { ledger, judge, used, seen } = ledgerFor();
    const message = toolCall("9007199254740993");
    const { bytes, call } = forwardOf(await judge(message));
    assert.equal(bytes, message.bytes);
    assert.deepEqual([call.rawId, ledger.size, await used()], ["9007199254740993", 1, { calls: 1, "at-once": 1 }]);
    const response = resultOf("9007199254740993", TEXT);
    assert.equal(await call.answered(response), response.bytes);
    assert.deepEqual([ledger.size, await used()], [0, { calls: 1, "at-once": 0 }]);
    assert.deepEqual(seen, [["github", "github_search", true]]);
    // Later answers and losses change nothing.
    assert.equal(await call.answered(response), response.bytes);
    await call.lost("server-gone");
    assert.deepEqual(await used(), { calls: 1, "at-once": 0 });
  });

  it("is answered by a result that the model reads when it is denied, never by an error", async () => {
    const { judge, open, used, seen } = ledgerFor();
    await Promise.all([open(toolCall(1)), open(toolCall(2))]);
    const judgement = await judge(toolCall('"x"'));
    const { id, error, result } = answerOf(judgement);
    assert.deepEqual([id, error, result.isError, result.resultType], ["x", undefined, true, "complete"]);
    assert.match(result.content[0].text, /at-once/);
    assert.deepEqual(result._meta["tollgate/denial"], {
      allowed: false,
      limit: "at-once",
      remaining: 0,
      retryAfterMs: 60_000,
    });
    assert.equal("structuredContent" in result, false);
    assert.equal(judgement.is === "answer" && judgement.reply.status, 200);
    assert.deepEqual([await used(), seen.at(-1)], [{ calls: 2, "at-once": 2 }, ["github", "github_search", false]]);
    const legacy = answerOf(await judge(toolCall(4), LEGACY));
    assert.deepEqual([legacy.result.isError, "resultType" in legacy.result], [true, false]);
  });

  it("is answered by an error when it asked for a task (legacy)", async () => {
    const { judge, open } = ledgerFor();
    await Promise.all([open(toolCall(1)), open(toolCall(2))]);
    const { error } = answerOf(await judge(toolCall(3, ',"task":{"ttl":1}'), LEGACY));
    assert.deepEqual([error.code, error.data.limit, error.data.source], [429, "at-once", "tollgate"]);
  });

  it("is refused while another call has its id", async () => {
    const { ledger, judge, used } = ledgerFor({ config: { maxWaitMs: 60_000 } });
    const { call } = forwardOf(await judge(toolCall(1)));
    forwardOf(await judge(toolCall(2)));
    const waiting = judge(toolCall(3));
    for (const id of ["1", "1.0", "3"]) {
      const again = await judge(toolCall(id));
      assert.deepEqual([answerOf(again).error.code, again.is === "answer" && again.reply.status], [-32600, 400]);
    }
    await call.answered(resultOf(1, TEXT));
    forwardOf(await waiting);
    assert.equal((await judge(toolCall(1), { ...ORIGIN, scope: "another" }, AbortSignal.abort())).is, "answer");
    await ledger.close();
    assert.equal((await used()).calls, 3);
  });

  it("is not made when it cannot be judged, and the log alone says why", async () => {
    const limiter = createHostedLimiter({ policy: POLICY, store: memoryStore() });
    limiter.begin = () => Promise.reject(new StoreError("unavailable", "secret-host: no answer", { transient: true }));
    const { judge, logged, ledger } = ledgerFor({ limiter });
    const { result } = answerOf(await judge());
    assert.deepEqual([result.isError, result._meta], [true, { "tollgate/fault": { code: "unavailable" } }]);
    assert.match(result.content[0].text, /^This call was not made/);
    assert.match(logged[0] ?? "", /could not be judged.*StoreError unavailable/);
    assert.equal(ledger.size, 0);
    const task = answerOf(await judge(toolCall(2, ',"task":{}'), LEGACY));
    assert.deepEqual([task.error.code, task.error.data], [-32603, { source: "tollgate" }]);

    const missing = ledgerFor({
      policy: { version: 1, limits: [{ name: "per-agent", per: ["agent"], quota: 1 }] },
    });
    assert.equal(answerOf(await missing.judge()).result._meta["tollgate/fault"].code, "missing-dimension");
    assert.match(missing.logged[0] ?? "", /agent: expected/);
  });

  it("costs what onError says when it failed, and its slot is free at once", async () => {
    const refund = { ...POLICY, onError: "refund" as const };
    const ends: Record<string, (call: Awaited<ReturnType<ReturnType<typeof ledgerFor>["open"]>>) => Promise<unknown>> =
      {
        isError: (call) => call.answered(resultOf(1, '{"isError": true,"content":[]}')),
        error: (call) => call.answered(serverSays('{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}')),
        cancelled: (call) => call.lost("cancelled"),
        "client-gone": (call) => call.lost("client-gone"),
        "server-gone": (call) => call.lost("server-gone"),
        "refused-by-server": (call) => call.lost("refused-by-server"),
        "too-large": (call) => call.lost("too-large"),
        stopping: (call) => call.lost("stopping"),
      };
    for (const [name, end] of Object.entries(ends)) {
      const charged = ledgerFor();
      await end(await charged.open());
      assert.deepEqual(await charged.used(), { calls: 1, "at-once": 0 }, name);
      const refunded = ledgerFor({ policy: refund });
      await end(await refunded.open());
      assert.deepEqual([await refunded.used(), refunded.ledger.size], [{ calls: 0, "at-once": 0 }, 0], name);
    }
    const worked = ledgerFor({ policy: refund });
    await (await worked.open()).answered(resultOf(1, TEXT));
    assert.deepEqual(await worked.used(), { calls: 1, "at-once": 0 });
  });

  it("is answered before it is settled, and the next one of its client waits for that", async () => {
    const { promise: gate, resolve: letThrough } = Promise.withResolvers<void>();
    const memory = memoryStore({ clock: fakeClock() });
    const store: Store = {
      clock: memory.clock,
      async apply(requests) {
        if (requests.some(({ mode }) => mode === "force")) await gate;
        return memory.apply(requests);
      },
      close: () => memory.close(),
    };
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1 }],
    };
    const { judge, open, ledger } = ledgerFor({ policy, store });
    await (await open()).answered(resultOf(1, TEXT));
    const other = judge(toolCall(2), { ...ORIGIN, session: "s2" });
    assert.equal((await other).is, "forward", "another client waits for nothing");
    const next = judge(toolCall(3));
    letThrough();
    const { call } = forwardOf(await next);
    await call.lost("cancelled");
    await ledger.close();
  });

  it("keeps its slot for as long as its server takes, and frees it when its gateway has died", async () => {
    const { open, used, clock, ledger } = ledgerFor();
    const call = await open();
    for (let i = 0; i < 10; i++) {
      clock.advance(30_000);
      await new Promise(setImmediate);
    }
    assert.equal((await used())["at-once"], 1);
    await call.answered(resultOf(1, TEXT));
    assert.deepEqual([await used(), ledger.size], [{ calls: 1, "at-once": 0 }, 0]);
  });

  it("reports its outcome to limits that count outcomes, and nothing when its client ended it", async () => {
    const policy = {
      version: 1,
      limits: [{ name: "errors", per: ["session"], algorithm: "streak", of: "errors", quota: 2 }],
    } as const;
    const { open, judge } = ledgerFor({ policy: policy as never });
    const failed = resultOf(1, '{"isError":true,"content":[]}');
    await (await open()).answered(failed);
    for (const why of ["cancelled", "client-gone", "stopping"] as const) await (await open()).lost(why);
    await (await open()).answered(failed);
    assert.equal((await judge()).is, "answer");
  });

  it("has a notice in _meta, and for the model alone in its content", async () => {
    const policy = {
      version: 1 as const,
      limits: [{ name: "calls", per: ["session"], quota: 5, notice: { at: 0.8 } }],
    };
    const noticed = ledgerFor({ policy, config: { notices: "content" } });
    let last = "";
    for (let i = 0; i < 5; i++) last = String(await (await noticed.open()).answered(resultOf(1, TEXT)));
    const { content, _meta, structuredContent } = JSON.parse(last).result;
    assert.match(_meta["tollgate/notice"], /\w/);
    assert.deepEqual(content[1], {
      type: "text",
      text: _meta["tollgate/notice"],
      annotations: { audience: ["assistant"] },
    });
    assert.deepEqual(structuredContent, { n: 1 });
    assert.match(last, /"structuredContent":\{"n":1\.0\} \}/);
  });
});

describe("a cancellation", () => {
  const cancelled = (rawId: string) => notify("notifications/cancelled", `{"requestId":${rawId}}`);

  it("frees the slot of the call with that id in its scope alone", async () => {
    const { ledger, open, used } = ledgerFor();
    await open(toolCall("9007199254740993"));
    await open(toolCall('"1"'));
    for (const rawId of ["9007199254740992", "1", '"2"', "null", "{}"])
      assert.equal(ledger.sawRequest(cancelled(rawId), ORIGIN), false);
    ledger.sawRequest(cancelled("9007199254740993"), { ...ORIGIN, scope: "another" });
    assert.equal(ledger.size, 2);
    ledger.sawRequest(cancelled("9007199254740993"), ORIGIN);
    ledger.sawRequest(cancelled('"\\u0031"'), ORIGIN);
    assert.equal(ledger.size, 0);
    await ledger.close();
    assert.deepEqual(await used(), { calls: 2, "at-once": 0 });
  });

  it("ends the wait of a call that is not decided yet", async () => {
    const { ledger, open, judge, used } = ledgerFor({ config: { maxWaitMs: 60_000 } });
    await Promise.all([open(toolCall(1)), open(toolCall(2))]);
    const waiting = judge(toolCall(3));
    await new Promise(setImmediate);
    ledger.sawRequest(cancelled("3"), ORIGIN);
    assert.equal(answerOf(await waiting).error.code, -32000);
    assert.deepEqual([await used(), ledger.size], [{ calls: 2, "at-once": 2 }, 2]);
  });

  it("takes back what was decided while the client went away", async () => {
    const gone = new AbortController();
    const hosted = createHostedLimiter({ policy: { ...POLICY, onError: "refund" }, store: memoryStore() });
    const begin = hosted.begin.bind(hosted);
    hosted.begin = async (call, { abandoned: _, ...options }) => {
      const begun = await begin(call, options);
      gone.abort();
      return begun;
    };
    const { ledger, judge } = ledgerFor({ limiter: hosted });
    assert.equal(answerOf(await judge(toolCall(1), ORIGIN, gone.signal)).error.code, -32000);
    const usages = await hosted.usage({ session: "s1", user: "alice" });
    assert.deepEqual([usages.map(({ used }) => used), ledger.size], [[0, 0], 0]);
    assert.equal(answerOf(await judge(toolCall(1), ORIGIN, gone.signal)).error.code, -32000);
  });
});

describe("a ledger", () => {
  it("ends all calls as failed when it closes, and takes no more", async () => {
    const { ledger, open, judge, used } = ledgerFor({ config: { maxWaitMs: 60_000 } });
    const [call] = await Promise.all([open(toolCall(1)), open(toolCall(2))]);
    const waiting = judge(toolCall(3));
    await new Promise(setImmediate);
    await ledger.close();
    assert.equal(answerOf(await waiting).error.code, -32000);
    assert.deepEqual([ledger.size, await used()], [0, { calls: 2, "at-once": 0 }]);
    const late = await judge(toolCall(4));
    assert.deepEqual([answerOf(late).error.code, late.is === "answer" && late.reply.status], [-32000, 503]);
    const response = resultOf(1, TEXT);
    assert.equal(await call.answered(response), response.bytes);
  });

  it("follows so many calls and so many tasks, and refuses one more call", async () => {
    const policy = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1_000 }] } as const;
    const { ledger, open, judge, logged, used } = ledgerFor({ policy, maxCalls: 20 });
    const calls = await Promise.all(Array.from({ length: 20 }, (_, id) => open(toolCall(id))));
    const refused = await judge(toolCall(20));
    assert.deepEqual([answerOf(refused).error.code, refused.is === "answer" && refused.reply.status], [-32000, 503]);
    assert.equal((await used()).calls, 20);
    for (const call of calls) await call.answered(resultOf(call.rawId, `{"task":{"taskId":"t${call.rawId}"}}`));
    assert.deepEqual([ledger.size, logged.length], [20, 0]);
    await (await open()).answered(resultOf(1, '{"task":{"taskId":"one more"}}'));
    assert.deepEqual([ledger.size, logged.length], [20, 1]);
    await ledger.close();
    assert.equal(ledger.size, 0);
  });

  it("reads arguments that are absent, and refuses no name", async () => {
    const { judge } = ledgerFor();
    const bare = clientSays('{"id":1,"method":"tools/call","params":{"name":"a"}}');
    assert.equal((await judge(bare)).is, "forward");
    const empty = clientSays('{"id":2,"method":"tools/call","params":{"name":""}}');
    assert.equal((await judge(empty)).is, "forward");
  });
});
