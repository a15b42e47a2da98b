// One charge for a call: over the rounds that input_required makes, as a task, and over resumed streams.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { type Clock, fakeClock } from "tollgate/testing";
import type { Origin } from "../../src/gateway/contract.ts";
import { createSeal } from "../../src/gateway/seal.ts";
import { callsOf } from "../../src/client/calls.ts";
import { anyRedis } from "../servers.ts";
import { served } from "../service/served.ts";
import {
  answerOf,
  clientSays,
  forwardOf,
  LEGACY,
  ledgerFor,
  notify,
  ORIGIN,
  resultOf,
  SECRETS,
  serverSays,
  toolCall,
} from "./calls-fixture.ts";

const redis = await anyRedis();
const memories = new Map<Clock, Store>();
/** Each opens a store for one more instance. */
const STORES: Readonly<Record<string, (clock: Clock) => Store>> = {
  memory(clock) {
    const store = memories.get(clock) ?? memoryStore({ clock });
    memories.set(clock, store);
    return store;
  },
  redis: (clock) => redisStore(redis.ioredis(), { clock, deadlineMs: 10_000 }),
};
const WIDE: PolicyInput = {
  version: 1,
  limits: [
    { name: "calls", per: ["session"], quota: 1_000 },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 20, hold: { lease: "1m" } },
  ],
};

const TEXT = '{"content":[{"type":"text","text":"done"}]}';
const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
};
const withState = (id: number, state: string, more = "") =>
  toolCall(id, `,"inputResponses":{"a":1},"requestState":${JSON.stringify(state)}${more}`);
const asking = (id: number, own: string | null = null) =>
  resultOf(
    id,
    `{ "resultType":"input_required", "inputRequests":{"a":{"n":1.0}}${own === null ? "" : `,"requestState":${own}`} }`,
  );
/** What our part of a sealed state says. */
const contentOf = (state: string) => JSON.parse(Buffer.from(state.split(".")[3] ?? "", "base64url").toString());
const stateIn = (bytes: Buffer): string => JSON.parse(String(bytes)).result.requestState;

describe("a call that needs input", () => {
  for (const [name, open] of Object.entries(STORES)) {
    it(`charges a call once over its rounds, polls and resumed streams (${name})`, async () => {
      const clock = fakeClock(Date.UTC(2040, 0, 1));
      const [one, other] = [
        ledgerFor({ policy: WIDE, store: open(clock) }, clock),
        ledgerFor({ policy: WIDE, store: open(clock) }, clock),
      ] as const;
      let state = stateIn(await (await one.open()).answered(asking(1, '"own 1"')));
      assert.deepEqual([one.ledger.size, await one.used()], [0, { calls: 1, "at-once": 1 }]);
      for (let round = 2; round <= 4; round++) {
        clock.advance(120_000);
        // The same state five times, at two instances, at once: one goes on, and four are new calls.
        const presented = [one, other, one, other, one].map(({ judge }, i) => judge(withState(10 * round + i, state)));
        const calls = (await Promise.all(presented)).map(forwardOf);
        for (const { bytes } of calls) assert.equal(JSON.parse(String(bytes)).params.requestState, `own ${round - 1}`);
        assert.deepEqual(await one.used(), { calls: 1 + 4 * (round - 1), "at-once": 5 });
        const answers = await Promise.all(
          calls.map(({ call }) => call.answered(asking(Number(call.rawId), `"own ${round}"`))),
        );
        const states = answers.map(stateIn);
        state = states.find((each) => contentOf(each).r === round) ?? assert.fail("none went on");
        // The others are answered by their clients.
        const ends = states
          .filter((each) => each !== state)
          .map(async (each, i) => {
            const { call } = forwardOf(await other.judge(withState(100 * round + i, each)));
            await call.answered(resultOf(100 * round + i, TEXT));
          });
        await Promise.all(ends);
        assert.deepEqual(await one.used(), { calls: 1 + 4 * (round - 1), "at-once": 1 });
      }
    });
  }

  it("charges a call once where a service decides", async () => {
    const { url } = await served({ policy: WIDE });
    const limiter = createRemoteLimiter({ url, deadlineMs: 10_000 });
    const { open, judge } = ledgerFor({ limiter: callsOf(limiter) });
    const used = async () => (await limiter.usage({ session: "s1" })).map((usage) => usage.used);
    const state = stateIn(await (await open()).answered(asking(1)));
    assert.deepEqual(await used(), [1, 1]);
    const [one, other] = await Promise.all([judge(withState(2, state)), judge(withState(3, state))]);
    assert.deepEqual(await used(), [2, 2]);
    for (const judgement of [one, other]) await forwardOf(judgement).call.answered(resultOf(2, TEXT));
    assert.deepEqual(await used(), [2, 0]);
    await limiter.close();
  });

  it("goes on in another instance, and is settled there", async () => {
    const clock = fakeClock();
    const one = ledgerFor({}, clock);
    const other = ledgerFor({ store: one.store }, clock);
    const answer = await (await one.open()).answered(asking(1));
    assert.match(String(answer), /"inputRequests":\{"a":\{"n":1\.0\}\}/);
    clock.advance(500_000);
    // The turn has moved on meanwhile: the call is that of the first round.
    const moved: Origin = { ...ORIGIN, session: "s2", scope: "another" };
    const { bytes, call } = forwardOf(await other.judge(withState(7, stateIn(answer)), moved));
    // The server gave no state.
    assert.deepEqual(JSON.parse(String(bytes)).params, {
      name: "search",
      arguments: { q: "x" },
      inputResponses: { a: 1 },
    });
    assert.deepEqual(await one.used(), { calls: 1, "at-once": 1 });
    await call.answered(resultOf(7, TEXT));
    assert.deepEqual(
      [await one.used(), await one.used("s2")],
      [
        { calls: 1, "at-once": 0 },
        { calls: 0, "at-once": 0 },
      ],
    );
  });

  it("is a new call without a state, and with one that is too old", async () => {
    const { open, judge, used, clock } = ledgerFor();
    await (await open(toolCall(1, ',"inputResponses":{}'))).answered(resultOf(1, TEXT));
    assert.equal((await used()).calls, 1);
    const state = stateIn(await (await open(toolCall(2))).answered(asking(2, '"own"')));
    clock.advance(540_001);
    const { bytes, call } = forwardOf(await judge(withState(3, state)));
    assert.equal(JSON.parse(String(bytes)).params.requestState, "own");
    assert.deepEqual(await used(), { calls: 3, "at-once": 2 });
    await call.answered(resultOf(3, TEXT));
    // The first one holds its slot for ten minutes.
    clock.advance(60_000);
    assert.equal((await used())["at-once"], 0);
  });

  it("is refused with a state of another request, principal, server or key, or one that was changed", async () => {
    const { open, judge, used, clock } = ledgerFor();
    const state = stateIn(await (await open()).answered(asking(1)));
    const principal = { user: "bob", tenant: null, claims: {} };
    const wrong = [
      judge(withState(2, state), { ...ORIGIN, principal }),
      judge(withState(3, state), { ...ORIGIN, principal: { ...ORIGIN.principal, tenant: "acme" } }),
      judge(withState(4, state), { ...ORIGIN, server: "docs" }),
      judge(withState(5, `${state}A`)),
      judge(withState(6, "own")),
      judge(withState(7, "")),
      judge(toolCall(8, ',"requestState":5')),
      judge(toolCall(9, ',"requestState":null')),
      judge(clientSays(String(withState(10, state).bytes).replace('"q":"x"', '"q":"y"'))),
      judge(clientSays(String(withState(11, state).bytes).replace("search", "delete"))),
      judge(
        withState(
          12,
          createSeal([{ id: "a", secret: new Uint8Array(32) }], clock).seal("state", "{}", ["alice", null]),
        ),
      ),
    ];
    for (const judgement of await Promise.all(wrong)) {
      const { error } = answerOf(judgement);
      assert.deepEqual(error, {
        code: -32602,
        message: "requestState is not valid for this request",
        data: { source: "tollgate" },
      });
    }
    assert.deepEqual(await used(), { calls: 1, "at-once": 1 });
    // Equal arguments may be written in another way.
    const spaced = String(withState(99, state).bytes).replace('{"q":"x"}', '{ "q" : "\\u0078" }');
    assert.equal((await judge(clientSays(spaced))).is, "forward");
    assert.equal((await used()).calls, 1);
    assert.equal(SECRETS.length, 1);
  });

  it("compares arguments past the bounds of their hash by their bytes", async () => {
    const { open, judge, used } = ledgerFor();
    const large = (id: number, state: string) =>
      clientSays(
        `{"id":${id},"method":"tools/call","params":{"name":"a","arguments":{"n":[${"1,".repeat(20_000)}1]}${state}}}`,
      );
    const state = stateIn(await (await open(large(1, ""))).answered(asking(1)));
    assert.equal((await judge(large(2, `,"requestState":"${state}"`))).is, "forward");
    assert.equal((await used()).calls, 1);
  });

  it("fails when the server's state cannot be sealed", async () => {
    for (const own of ["5", `"${"x".repeat(3 * 2 ** 20)}"`]) {
      const { open, used, ledger } = ledgerFor();
      const { id, error } = JSON.parse(String(await (await open(toolCall('"a"'))).answered(asking(1, own))));
      assert.deepEqual([id, error.code, ledger.size], ["a", -32603, 0]);
      assert.equal((await used())["at-once"], 0);
    }
  });

  it("is a new call after the policy has changed so that the first round cannot be judged", async () => {
    const { open, judge, limiter } = ledgerFor();
    const state = stateIn(await (await open()).answered(asking(1)));
    limiter.reload({ version: 1, limits: [{ name: "per-agent", per: ["agent"], onMissing: "skip", quota: 3 }] });
    assert.equal((await judge(withState(2, state))).is, "forward");
  });
});

describe("a call that becomes a task", () => {
  const modernTask = (id: number, ttl = "") =>
    resultOf(id, `{"resultType":"task","taskId":"t1","status":"working"${ttl}}`);
  const legacyTask = (id: number) => resultOf(id, '{"task":{"taskId":"t1","status":"working","ttl":60000}}');
  const poll = (method: string, taskId = "t1") =>
    clientSays(`{"id":9,"method":"${method}","params":{"taskId":"${taskId}"}}`);

  it("keeps its slot until a poll or a notification says that it has ended", async () => {
    const ends: readonly [method: string | null, answer: string, calls: number, origin?: Origin][] = [
      ["tasks/get", '{"taskId":"t1","status":"completed","result":{"isError":false}}', 1],
      ["tasks/get", '{"taskId":"t1","status":"completed","result":{"isError":true}}', 0],
      ["tasks/get", '{"taskId":"t1","status":"failed"}', 0],
      ["tasks/get", '{"taskId":"t1","status":"cancelled"}', 0, LEGACY],
      ["tasks/result", '{"isError":true,"content":[]}', 0, LEGACY],
      ["tasks/result", TEXT, 1, LEGACY],
      ["tasks/cancel", "{}", 0],
      [null, '"notifications/tasks","params":{"taskId":"t1","status":"completed","result":{}}', 1],
      [null, '"notifications/tasks/status","params":{"taskId":"t1","status":"failed"}', 0, LEGACY],
    ];
    for (const [method, answer, calls, origin = ORIGIN] of ends) {
      const { ledger, open, used } = ledgerFor({
        policy: {
          version: 1,
          onError: "refund",
          limits: [
            { name: "calls", per: ["session"], quota: 5 },
            { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 2 },
          ],
        },
      });
      const response = origin === LEGACY ? legacyTask(1) : modernTask(1);
      const call = await open(toolCall(1), origin);
      assert.equal(await call.answered(response), response.bytes);
      // What its stream does later does not end it.
      call.detached();
      await call.lost("client-gone");
      await call.answered(resultOf(1, TEXT));
      assert.deepEqual([ledger.size, (await used())["at-once"]], [1, 1]);
      for (const other of ["ping", "tasks/list", "tasks/update"])
        assert.equal(ledger.sawRequest(poll(other), origin), false);
      assert.equal(ledger.sawRequest(poll("tasks/get", "t2"), origin), false);
      assert.equal(
        ledger.sawRequest(poll("tasks/get"), { ...origin, principal: { ...origin.principal, user: "bob" } }),
        false,
      );
      assert.equal(ledger.sawRequest(poll("tasks/get"), origin), true);
      ledger.sawAnswer(poll("tasks/get"), resultOf(9, '{"taskId":"t1","status":"working"}'), origin);
      ledger.sawAnswer(poll("tasks/get"), serverSays('{"id":9,"error":{"code":-32602,"message":"x"}}'), origin);
      assert.equal(ledger.size, 1);
      if (method === null) ledger.sawAnswer(null, serverSays(`{"method":${answer}}`), origin);
      else ledger.sawAnswer(poll(method), resultOf(9, answer), origin);
      assert.equal(ledger.size, 0, answer);
      await ledger.close();
      assert.deepEqual(await used(), { calls, "at-once": 0 }, answer);
    }
  });

  it("ends by its time to live, and by the policy's maxHold", async () => {
    for (const [ttl, ms] of [
      [',"ttlMs":90000', 90_000],
      ["", 3_600_000],
      [',"ttlMs":1e12', 3_600_000],
    ] as const) {
      const { ledger, open, clock } = ledgerFor();
      await (await open()).answered(modernTask(1, ttl));
      clock.advance(ms - 1);
      assert.equal(ledger.size, 1, ttl);
      clock.advance(1);
      await turns();
      assert.equal(ledger.size, 0, ttl);
    }
  });

  it("ends when its id is used again, and when the ledger closes", async () => {
    const { ledger, open, used } = ledgerFor();
    await (await open(toolCall(1))).answered(modernTask(1));
    await (await open(toolCall(2))).answered(modernTask(2));
    await turns();
    assert.deepEqual([ledger.size, (await used())["at-once"]], [1, 1]);
    await ledger.close();
    assert.deepEqual([ledger.size, (await used())["at-once"]], [0, 0]);
  });
});

describe("a call whose stream ended before its answer", () => {
  it("goes on while a stream of its session is resumed, and for two minutes after that", async () => {
    const { ledger, open, clock, used } = ledgerFor();
    const call = await open(toolCall(1), LEGACY);
    const closed = ledger.resumed(LEGACY);
    call.detached();
    clock.advance(300_000);
    assert.equal(ledger.size, 1);
    closed();
    clock.advance(119_999);
    const again = ledger.resumed(LEGACY);
    clock.advance(119_999);
    again();
    again();
    clock.advance(119_999);
    assert.equal(ledger.size, 1);
    clock.advance(1);
    await turns();
    assert.deepEqual([ledger.size, (await used())["at-once"]], [0, 0]);
  });

  it("ends by the answer in a resumed stream of its session alone, or by a cancellation", async () => {
    const { ledger, open, used } = ledgerFor();
    const response = resultOf(1, TEXT);
    const call = await open(toolCall(1), LEGACY);
    ledger.sawAnswer(null, response, LEGACY);
    assert.equal(ledger.size, 1);
    call.detached();
    ledger.sawAnswer(null, response, { ...LEGACY, scope: "another" });
    ledger.sawAnswer(null, resultOf('"1"', TEXT), LEGACY);
    assert.equal(ledger.size, 1);
    ledger.sawAnswer(null, response, LEGACY);
    assert.equal(ledger.size, 0);
    (await open(toolCall(2), LEGACY)).detached();
    ledger.sawRequest(notify("notifications/cancelled", '{"requestId":2}'), LEGACY);
    assert.equal(ledger.size, 0);
    await ledger.close();
    assert.deepEqual(await used(), { calls: 2, "at-once": 0 });
  });
});
