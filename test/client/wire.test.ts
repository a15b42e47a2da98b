// How a client asks: in batches, again when that is safe, and with errors that say what is wrong.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MisuseError, StoreError } from "tollgate";
import { type ClientOptions, createRemoteLimiter } from "tollgate/client";
import { localFailover } from "tollgate/client/failover";
import { memoryStore } from "tollgate/stores/memory";
import { MAX_ITEMS, MAX_QUEUED } from "../../src/client/wire.ts";
import { parsePolicy } from "../../src/policy-file/text.ts";
import { startFaultProxy } from "../chaos/fault-proxy.ts";
import { keysOf, served } from "../service/served.ts";

const POLICY = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 1000000 }]";
const server = await served({ policy: POLICY });
const port = Number(new URL(server.url).port);
let sessions = 0;
const fresh = () => ({ tool: "search", session: `session-${++sessions}` });

/** A client whose requests are counted. */
function counted(options: Partial<ClientOptions> = {}) {
  const requests: string[] = [];
  const counting: typeof fetch = (url, init) => {
    requests.push(`${init?.method} ${new URL(String(url)).pathname}`);
    return fetch(url, init);
  };
  // No answer is late, however busy the machine is.
  const patient = { url: server.url, fetch: counting, deadlineMs: 60_000 };
  return { limiter: createRemoteLimiter({ ...patient, ...options }), requests };
}

async function usedOf(session: string): Promise<number | undefined> {
  const { json } = await server.ask("GET", `/v1/usage?session=${session}`);
  return json.items[0]?.used;
}

const isStoreError = (code: string, transient: boolean) => (error: unknown) =>
  StoreError.isInstance(error) && error.code === code && error.transient === transient;
const isMisuse = (code: string, path: string) => (error: unknown) =>
  MisuseError.isInstance(error) && error.code === code && error.faults[0]?.path === path;

describe("the calls of one tick", () => {
  it("go in one request, up to 256 calls", async () => {
    const { limiter, requests } = counted();
    const call = fresh();
    const decisions = await Promise.all(Array.from({ length: 300 }, () => limiter.consume(call)));
    assert.ok(decisions.every(({ allowed }) => allowed));
    assert.deepEqual(requests, ["POST /v1/batch", "POST /v1/batch"]);
    assert.equal(await usedOf(call.session), 300);
  });

  // A character of ASCII has one byte in UTF-8, and one of Chinese has three.
  for (const character of ["x", "語"]) {
    it(`go in several requests when they are large, and only a call that is too large fails: ${character}`, async () => {
      const { limiter, requests } = counted();
      const args = { text: character.repeat(120_000) };
      const large = Array.from({ length: 5 }, () => limiter.consume({ ...fresh(), args }));
      const huge = limiter.consume({ ...fresh(), args: { text: character.repeat(1_100_000) } });
      const rejected = assert.rejects(huge, isMisuse("invalid-call", "call"));
      assert.ok((await Promise.all(large)).every(({ allowed }) => allowed));
      await rejected;
      assert.equal(requests.length, 4);
    });

    it(`report a result of any length: ${character}`, async () => {
      const { limiter } = counted();
      for (const length of [290_000, 350_000, 600_000]) {
        await limiter.reportOutcome(fresh(), { result: character.repeat(length) });
      }
    });
  }

  it("go in smaller requests when the service has lower bounds", async () => {
    const bounds = [{ maxBatchItems: 100 }, { maxBodyBytes: 10_000 }];
    for (const bound of bounds) {
      const { url, ask } = await served({ policy: POLICY, bounds: bound });
      const { limiter } = counted({ url });
      const decisions = await Promise.all(
        Array.from({ length: 256 }, () => limiter.consume({ tool: "x", session: "s" })),
      );
      assert.ok(decisions.every(({ allowed }) => allowed));
      assert.equal((await ask("GET", "/v1/usage?session=s")).json.items[0].used, 256);
    }
  });

  it("have an answer each: only a wrong one fails", async () => {
    const { limiter } = counted();
    const answers = await Promise.allSettled([
      limiter.consume(fresh()),
      limiter.consume({ tool: "search" }),
      limiter.peek(fresh()),
      limiter.consume({ ...fresh(), cost: { calls: -1 } }),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled", "rejected"],
    );
  });

  it("wait while 8 batches are in flight", async () => {
    let underWay = 0;
    let most = 0;
    const slow: typeof fetch = async (url, init) => {
      most = Math.max(most, ++underWay);
      await sleep(5);
      return fetch(url, init).finally(() => underWay--);
    };
    const { limiter } = counted({ fetch: slow });
    const calls: Promise<unknown>[] = [];
    for (let tick = 0; tick < 30; tick++) {
      calls.push(limiter.consume(fresh()));
      await null;
      await null;
    }
    await Promise.all(calls);
    assert.equal(most, 8);
  });
});

describe("a call whose answer was lost", () => {
  for (const [idempotency, more] of [
    ["auto", {}],
    ["off", { idempotencyKey: "k1" }],
  ] as const) {
    it(`is sent again and charged once: ${idempotency === "auto" ? "under a key of the client's" : "under its own key"}`, async () => {
      const proxy = await startFaultProxy(port);
      const limiter = createRemoteLimiter({ url: `http://127.0.0.1:${proxy.port}`, idempotency });
      const call = { ...fresh(), ...more };
      proxy.resetInReply();
      const decision = await limiter.consume(call);
      assert.deepEqual([decision.allowed, decision.replayed], [true, true]);
      assert.equal(await usedOf(call.session), 1);
    });
  }

  it("is not sent again without a key", async () => {
    const proxy = await startFaultProxy(port);
    const limiter = createRemoteLimiter({ url: `http://127.0.0.1:${proxy.port}`, idempotency: "off" });
    const call = fresh();
    proxy.resetInReply();
    await assert.rejects(limiter.consume(call), isStoreError("unavailable", true));
    assert.equal(await usedOf(call.session), 1);
  });

  it("is sent at most 4 times within the deadline", async () => {
    let times = 0;
    const broken: typeof fetch = async () => {
      times++;
      throw new TypeError("fetch failed");
    };
    await assert.rejects(
      createRemoteLimiter({ url: server.url, fetch: broken }).consume(fresh()),
      isStoreError("unavailable", true),
    );
    assert.equal(times, 4);
    times = 0;
    const hasty = createRemoteLimiter({ url: server.url, fetch: broken, deadlineMs: 10 });
    await assert.rejects(hasty.consume(fresh()), isStoreError("unavailable", true));
    assert.ok(times <= 2);
  });
});

describe("a service that does not answer", () => {
  it("fails each call at its deadline, also calls that were never sent", async () => {
    let asked = 0;
    let answered = 0;
    // It does not even stop when it is aborted.
    const deaf: typeof fetch = async () => {
      asked++;
      await sleep(500);
      answered++;
      return Response.json({ items: [] });
    };
    const limiter = createRemoteLimiter({ url: server.url, fetch: deaf, deadlineMs: 100 });
    const calls: Promise<void>[] = [];
    for (let i = 0; i < 12; i++) {
      calls.push(assert.rejects(limiter.consume(fresh()), isStoreError("unavailable", true)));
      await new Promise(setImmediate);
    }
    await Promise.all(calls);
    assert.deepEqual([asked, answered], [8, 0]);
    await limiter.close();
  });

  it("fails a queued call at its deadline, too", async () => {
    const proxy = await startFaultProxy(port);
    const limiter = createRemoteLimiter({ url: `http://127.0.0.1:${proxy.port}`, deadlineMs: 1_000 });
    await limiter.consume(fresh());
    proxy.blackHole("both");
    const calls: Promise<void>[] = [];
    const startMs = performance.now();
    for (let i = 0; i < 40; i++) {
      calls.push(assert.rejects(limiter.consume(fresh()), isStoreError("unavailable", true)));
      await sleep(1);
    }
    await Promise.all(calls);
    assert.ok(performance.now() - startMs < 10_000);
    await proxy.heal();
    assert.equal((await limiter.consume(fresh())).allowed, true);
  });

  it("is asked again when a connection ends: another instance answers", async () => {
    const ending = await served({ policy: POLICY });
    await ending.service.close();
    const other = await served({ policy: POLICY });
    const urls = [ending.url, other.url];
    const inTurn: typeof fetch = (url, init) =>
      fetch(String(url).replace(/^http:\/\/[^/]+/, urls.shift() ?? other.url), init);
    const limiter = createRemoteLimiter({ url: "http://service", fetch: inTurn, idempotency: "off" });
    assert.equal((await limiter.consume(fresh())).allowed, true);
  });
});

describe("errors", () => {
  it("are the same as those of a limiter", async () => {
    const { limiter } = counted();
    await assert.rejects(limiter.consume({ tool: "search" }), isMisuse("missing-dimension", "session"));
    await assert.rejects(limiter.consume({ ...fresh(), cost: { stones: 1 } }), isMisuse("unknown-unit", "cost"));
    await assert.rejects(limiter.for({ session: "s" }).reset({ limit: "none" }), isMisuse("unknown-limit", "limit"));
    await assert.rejects(limiter.consume({ session: "s" } as never), isMisuse("invalid-call", "tool"));
    await assert.rejects(limiter.consume(null as never), isMisuse("invalid-call", "call"));
    await assert.rejects(limiter.consume(fresh(), { maxWaitMs: -1 }), isMisuse("invalid-option", "maxWaitMs"));
    await assert.rejects(limiter.consume(fresh(), { maxWaitMs: 40_000 }), isMisuse("invalid-option", "maxWaitMs"));
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    await assert.rejects(limiter.consume({ ...fresh(), args: cycle }), isMisuse("invalid-call", "call"));
    const opaque = { query: new URLSearchParams("q=1") };
    await assert.rejects(limiter.consume({ ...fresh(), args: opaque }), isMisuse("invalid-call", "call"));
    const signal = AbortSignal.abort(new Error("stopped"));
    await assert.rejects(limiter.consume(fresh(), { signal }), /stopped/);
    assert.throws(() => limiter.getHold("a b", fresh()), isMisuse("invalid-option", "id"));
    assert.throws(() => limiter.reload({ version: 1, limits: [] }), isMisuse("invalid-option", "policy"));
    await limiter.close();
    await limiter.close();
    await assert.rejects(limiter.consume(fresh()), isMisuse("limiter-closed", "limiter"));
  });

  it("report an unknown key, a missing scope, and another tenant", async () => {
    const { keys, texts } = keysOf({
      reader: { scopes: ["read"] },
      acme: { scopes: ["decide"], tenants: ["acme"] },
    });
    const { url } = await served({ policy: POLICY, keys });
    const ask = (apiKey: string | undefined, call: object) =>
      createRemoteLimiter({ url, apiKey }).consume({ ...fresh(), ...call });
    await assert.rejects(ask(undefined, {}), isStoreError("unauthorized", false));
    await assert.rejects(ask(texts.reader, {}), isStoreError("unauthorized", false));
    await assert.rejects(ask(texts.acme, { tenant: "other" }), isStoreError("unauthorized", false));
    assert.equal((await ask(texts.acme, { tenant: "acme" })).allowed, true);
  });

  it("report an answer that is not from the service", async () => {
    const answers = (text: string, status = 200): typeof fetch => {
      return async () => new Response(text, { status });
    };
    for (const [fetch, code] of [
      [answers("<html>"), "invalid-reply"],
      [answers("[]"), "invalid-reply"],
      [answers('{"items":[{"status":200,"body":{}}]}'), "invalid-reply"],
      [answers('{"items":[null]}'), "invalid-reply"],
      [answers("moved", 302), "invalid-reply"],
      [answers("", 404), "unsupported-request"],
      [answers("", 405), "unsupported-request"],
      [answers("oh", 500), "unavailable"],
    ] as const) {
      await assert.rejects(createRemoteLimiter({ url: server.url, fetch }).consume(fresh()), isStoreError(code, false));
    }
  });

  it("accept the end of a call also when too many calls wait", async () => {
    let answer: (response: Response) => void = () => {};
    const answered = new Promise<Response>((resolve) => {
      answer = resolve;
    });
    const limiter = createRemoteLimiter({
      url: server.url,
      deadlineMs: 60_000,
      fetch: async () => (await answered).clone(),
    });
    const asked: Promise<unknown>[] = [];
    const isOverloaded = isStoreError("overloaded", true);
    let refused: unknown = null;
    for (let i = 0; i < MAX_QUEUED + 8 * MAX_ITEMS + 1; i++) {
      asked.push(
        limiter.consume(fresh()).catch((error) => {
          if (isOverloaded(error)) refused = error;
        }),
      );
      if (i % MAX_ITEMS === 0) await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
    assert.ok(refused !== null, "calls are refused");
    let isRefused = false;
    const end = limiter.getHold("h1", fresh()).settle();
    end.catch((error) => {
      isRefused ||= isOverloaded(error);
    });
    await new Promise(setImmediate);
    assert.equal(isRefused, false);
    answer(new Response("{}", { status: 400 }));
    await Promise.allSettled([...asked, end]);
    assert.equal(isRefused, false);
  });

  it("name wrong options", () => {
    for (const [options, path] of [
      [{ url: "127.0.0.1:8420" }, "url"],
      [{ url: "http://" }, "url"],
      [{ apiKey: "a b" }, "apiKey"],
      [{ deadlineMs: 5 }, "deadlineMs"],
      [{ idempotency: true }, "idempotency"],
      [{ fetch: 1 }, "fetch"],
      [{ retries: 3 }, "options"],
      [{ failover: { policy: { version: 1, limits: [] }, instances: 2 } }, "failover"],
    ] as const) {
      const given = { url: server.url, ...options } as unknown as ClientOptions;
      assert.throws(
        () => createRemoteLimiter(given),
        (error) => MisuseError.isInstance(error) && error.faults[0]?.path === path,
        path,
      );
    }
    for (const [options, path] of [
      [{ instances: 2 }, "policy"],
      [{ policy: { version: 1, limits: [{ name: "a", per: [], quota: 1 }] } }, "failover.instances"],
    ] as const) {
      assert.throws(
        () => localFailover(options as never),
        (error) => MisuseError.isInstance(error) && error.faults[0]?.path === path,
        path,
      );
    }
  });
});

describe("a call that waits", () => {
  it("resolves at its turn, and is freed by an abort", async () => {
    const policy =
      "version: 1\nlimits: [{ name: row, per: [session], algorithm: token-bucket, quota: 5, window: 3s, burst: 1 }]";
    const { url, service } = await served({ policy, store: memoryStore() });
    // The fourth call waits for longer than this: waiting does not count.
    const limiter = createRemoteLimiter({ url, deadlineMs: 2_000 });
    const call = fresh();
    await limiter.consume(call);
    const startMs = performance.now();
    const waited = await Promise.all(Array.from({ length: 4 }, () => limiter.consume(call, { maxWaitMs: 20_000 })));
    assert.ok(waited.every(({ allowed }) => allowed));
    assert.ok(performance.now() - startMs >= 2_300);
    const controller = new AbortController();
    const aborted = limiter.consume(call, { maxWaitMs: 5_000, signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 10);
    await assert.rejects(aborted, /enough/);
    assert.ok(service.isKeyless);
  });

  it("runs, or is reserved, at its turn, also for a slot", async () => {
    const policy = [
      "version: 1",
      "limits:",
      "  - { name: row, per: [session], algorithm: token-bucket, quota: 20, window: 1s, burst: 1 }",
      "  - { name: at-once, per: [session], algorithm: concurrency, quota: 1 }",
    ].join("\n");
    const { url, ask } = await served({ policy, store: memoryStore() });
    const limiter = createRemoteLimiter({ url, deadlineMs: 1_000 });
    const call = fresh();
    let atWork = 0;
    const work = async () => {
      assert.equal(++atWork, 1);
      await sleep(20);
      atWork--;
    };
    const ran = await Promise.all(Array.from({ length: 6 }, () => limiter.run(call, work, { maxWaitMs: 20_000 })));
    assert.ok(ran.every(({ allowed }) => allowed));
    const held = await limiter.reserve(call, { maxWaitMs: 5_000 });
    assert.ok(held.allowed);
    const controller = new AbortController();
    const aborted = limiter.run(call, work, { maxWaitMs: 20_000, signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 20);
    await assert.rejects(aborted, /enough/);
    const closed = limiter.reserve(call, { maxWaitMs: 20_000 });
    await Promise.all([limiter.close(), assert.rejects(closed, isMisuse("limiter-closed", "limiter"))]);
    // The service has given back what waited: one slot is held, by the reservation.
    const slots = async () => (await ask("GET", `/v1/usage?session=${call.session}`)).json.items[1]?.used;
    while ((await slots()) !== 1) await sleep(5);
  });

  it("is decided at once when the maximum of calls waits, which is no outage", async () => {
    const policy = "version: 1\nlimits: [{ name: at-once, per: [session], algorithm: concurrency, quota: 1 }]";
    const events: string[] = [];
    for (const more of [{}, { failover: localFailover({ policy: parsePolicy(policy), instances: 1 }) }]) {
      const { url, post } = await served({ policy, store: memoryStore(), bounds: { maxWaiting: 1 } });
      const limiter = createRemoteLimiter({ url, onEvent: ({ type }) => events.push(type), ...more });
      const [call, free] = [fresh(), fresh()];
      const held = await limiter.reserve(call);
      const stop = new AbortController();
      const waiting = limiter.reserve(call, { maxWaitMs: 20_000, signal: stop.signal });
      await sleep(200);
      assert.equal((await post("/v1/reserve", { call, maxWaitMs: 1 })).json.code, "too-many-waiting");
      assert.equal((await limiter.run(call, () => "never", { maxWaitMs: 20_000 })).allowed, false);
      assert.equal((await limiter.reserve(call, { maxWaitMs: 20_000 })).allowed, false);
      assert.equal((await limiter.run(free, () => "ran", { maxWaitMs: 20_000 })).allowed, true);
      stop.abort(new Error("enough"));
      await assert.rejects(waiting, /enough/);
      assert.ok(held.allowed);
      await held.hold.release();
      await limiter.close();
    }
    assert.deepEqual(events, []);
  });

  describe("of a client", () => {
    const policy =
      "version: 1\nlimits: [{ name: row, per: [session], algorithm: token-bucket, quota: 1, window: 25s, burst: 1 }]";
    /** A call that waits in a row at the service, whose one unit is used. */
    const waiting = async (signal?: AbortSignal) => {
      const { url, ask } = await served({ policy, store: memoryStore() });
      const limiter = createRemoteLimiter({ url });
      const call = fresh();
      await limiter.consume(call);
      const used = async () => (await ask("GET", `/v1/usage?session=${call.session}`)).json.items[0]?.used;
      const untilUsed = async (units: number) => {
        while ((await used()) !== units) await sleep(5);
      };
      const waited = limiter.consume(call, { maxWaitMs: 30_000, ...(signal === undefined ? {} : { signal }) });
      const outcome = waited.then(
        ({ allowed }) => allowed,
        (error: unknown) => error,
      );
      // A place is held beside what is spent.
      while (!(await ask("GET", `/v1/usage?session=${call.session}`)).text.includes('"used":2')) await sleep(5);
      return { limiter, outcome, untilUsed };
    };

    it("that is closed fails, and its turn is freed", async () => {
      const { limiter, outcome, untilUsed } = await waiting();
      const closing = limiter.close();
      assert.equal(limiter.close(), closing);
      await closing;
      assert.ok(isMisuse("limiter-closed", "limiter")(await outcome));
      await untilUsed(1);
    });

    it("that aborts it fails, and its turn is freed, although it had a key", async () => {
      const controller = new AbortController();
      const { limiter, outcome, untilUsed } = await waiting(controller.signal);
      const reason = new Error("enough");
      controller.abort(reason);
      assert.equal(await outcome, reason);
      await untilUsed(1);
      await limiter.close();
    });
  });
});
