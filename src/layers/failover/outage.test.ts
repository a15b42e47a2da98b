import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { asStoreError, StoreError } from "../../store/error.ts";
import { fakeClock } from "../../testing/fake-clock.ts";
import { isOutage, Outage, type OutageWork } from "./outage.ts";

const failure = (message: string) => new StoreError("unavailable", message, { transient: true });

/** An outage on a fake clock whose probes and last bookings do what a test says. */
function machine(state: "new" | "here" = "here", more: Partial<OutageWork> = {}) {
  const clock = fakeClock();
  const events: string[] = [];
  const probesAtMs: number[] = [];
  const does = {
    probe: () => Promise.reject<void>(failure("gone")),
    finish: async (): Promise<void> => {},
    progress: 0,
  };
  const startMs = clock.nowMs();
  const work: OutageWork = {
    pausesFirst: false,
    instances: () => 200,
    progress: () => does.progress,
    probe: () => {
      probesAtMs.push(clock.nowMs() - startMs);
      return does.probe();
    },
    finish: () => does.finish(),
    left: ({ message }) => events.push(`left: ${message}`),
    returned: (awayMs) => events.push(`returned after ${awayMs} ms`),
    ...more,
  };
  const outage = new Outage(work, state, failure("never reached"), clock);
  const turns = async () => {
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  };
  const advance = async (ms: number) => {
    for (let i = 0; i < ms; i += 10) {
      clock.advance(10);
      await turns();
    }
  };
  return { clock, outage, events, probesAtMs, does, turns, advance };
}

describe("an outage", () => {
  it("is looked at soon when there is reason to think that it is over", async () => {
    const { outage, probesAtMs, advance } = machine();
    outage.lookSoon();
    outage.leave(failure("gone"));
    await advance(2_000);
    const before = probesAtMs.length;
    outage.lookSoon();
    await advance(60);
    assert.equal(probesAtMs.length, before + 1);
    outage.close();
  });

  it("is new until the store answers for the first time or an outage begins", () => {
    const [opened, left] = [machine("new").outage, machine("new").outage];
    assert.equal(opened.state, "new");
    opened.open();
    assert.equal(opened.state, "here");
    left.leave(failure("gone"));
    left.open();
    assert.equal(left.state, "away");
    left.close();
  });

  it("begins once, and then only remembers the newest error", () => {
    const { outage, events } = machine();
    assert.equal(outage.failure.message, "never reached");
    assert.equal(outage.leave(failure("one")), true);
    assert.equal(outage.leave(failure("two")), false);
    assert.deepEqual([outage.state, outage.failure.message, events], ["away", "two", ["left: one"]]);
    outage.close();
    assert.equal(outage.leave(failure("three")), false);
    assert.equal(outage.state, "closed");
  });

  it("ends when a probe is answered and the last bookings are done", async () => {
    const { outage, events, does, advance } = machine();
    does.probe = async () => {};
    const finish = Promise.withResolvers<void>();
    does.finish = () => finish.promise;
    outage.leave(failure("gone"));
    await advance(30);
    assert.deepEqual([outage.state, outage.isHeld], ["away", true]);
    finish.resolve();
    await outage.recovering;
    assert.deepEqual([outage.state, outage.isHeld, outage.recovering], ["here", false, null]);
    assert.deepEqual(events, ["left: gone", "returned after 30 ms"]);
  });

  it("continues when a probe fails or gets no answer, or when the last bookings fail", async () => {
    const { outage, events, does, advance, turns } = machine();
    outage.leave(failure("gone"));
    await turns();
    assert.equal(outage.failure.message, "gone");
    does.probe = () => Promise.reject(new Error("refused"));
    await advance(210);
    assert.equal(outage.failure.message, "the store: refused");
    does.probe = async () => {};
    does.finish = () => Promise.reject(failure("full"));
    await advance(410);
    assert.deepEqual([outage.state, outage.isHeld, outage.failure.message], ["away", false, "full"]);
    does.finish = async () => {};
    await advance(1_010);
    assert.equal(outage.state, "here");
    assert.equal(events.length, 2);
  });
});

describe("the probes of an outage", () => {
  it("begin at once, or after a pause", async () => {
    const [atOnce, later] = [machine(), machine("here", { pausesFirst: true })];
    for (const { outage, advance } of [atOnce, later]) {
      outage.leave(failure("gone"));
      await advance(90);
    }
    assert.deepEqual([atOnce.probesAtMs, later.probesAtMs], [[0], []]);
    await later.advance(120);
    assert.equal(later.probesAtMs.length, 1);
    for (const { outage } of [atOnce, later]) outage.close();
  });

  it("become rarer, and return to the first pace after progress", async () => {
    const { outage, probesAtMs, does, advance } = machine();
    outage.leave(failure("gone"));
    await advance(8_000);
    const pauses = () => probesAtMs.slice(1).map((atMs, i) => atMs - (probesAtMs[i] ?? 0));
    const [first = 0, second = 0] = pauses();
    assert.ok(first >= 100 && first <= 210, `${first}`);
    assert.ok(second >= 200 && second <= 410, `${second}`);
    for (const ms of pauses().slice(3)) assert.ok(ms >= 500 && ms <= 1_010, `${ms}`);
    const before = probesAtMs.length;
    does.probe = async () => {
      does.progress++;
      throw failure("slow");
    };
    await advance(2_000);
    for (const ms of pauses().slice(before)) assert.ok(ms <= 210, `${ms}`);
    outage.close();
  });

  it("come sooner when an answer was late, once in an outage", async () => {
    const { outage, probesAtMs, advance } = machine();
    outage.leave(failure("gone"));
    await advance(8_000);
    const { random } = Math;
    Math.random = () => 0;
    try {
      const before = probesAtMs.length;
      outage.hasten();
      await advance(10);
      assert.equal(probesAtMs.length, before + 1);
      outage.hasten();
      await advance(100);
      assert.equal(probesAtMs.length, before + 1);
    } finally {
      Math.random = random;
      outage.close();
    }
  });

  it("come sooner also in an outage after one that a late answer had ended already", async () => {
    const { outage, probesAtMs, does, advance } = machine();
    does.probe = async () => {};
    outage.leave(failure("gone"));
    await advance(100);
    assert.equal(outage.state, "here");
    // The late answer to a probe of that outage.
    outage.hasten();
    does.probe = () => Promise.reject(failure("gone"));
    outage.leave(failure("gone"));
    await advance(8_000);
    const { random } = Math;
    Math.random = () => 0;
    try {
      const before = probesAtMs.length;
      outage.hasten();
      await advance(10);
      assert.equal(probesAtMs.length, before + 1);
    } finally {
      Math.random = random;
      outage.close();
    }
  });

  it("end with the process: in a pause, in flight, and during the last bookings", async () => {
    for (const under of ["pause", "probe", "finish"]) {
      const { outage, events, probesAtMs, does, advance } = machine();
      const work = Promise.withResolvers<void>();
      does.probe = async () => {
        if (under === "probe") await work.promise;
        if (under !== "finish") throw failure("gone");
      };
      does.finish = () => work.promise;
      outage.leave(failure("gone"));
      await advance(10);
      outage.close();
      work.resolve();
      await outage.recovering;
      await advance(2_000);
      assert.deepEqual([events, probesAtMs, outage.state], [["left: gone"], [0], "closed"], under);
    }
  });
});

describe("the gate of an outage", () => {
  it("lets a call pass at once when there is nothing to wait for", async () => {
    const { outage, clock } = machine();
    assert.equal(await outage.pass(clock.nowMs() + 250), 250);
    assert.equal(await outage.pass(clock.nowMs()), 0);
  });

  it("lets calls wait until it opens, or until their own deadlines", async () => {
    const { outage, clock, advance } = machine();
    const awaited = Promise.withResolvers<void>();
    const held = outage.hold(awaited.promise);
    const left: Record<string, number> = {};
    const pass = async (name: string, ms: number) => {
      left[name] = await outage.pass(clock.nowMs() + ms);
    };
    const calls = [pass("short", 50), pass("long", 250)];
    await advance(100);
    assert.deepEqual(left, { short: 0 });
    awaited.resolve();
    await Promise.all([held, ...calls]);
    assert.deepEqual([left, outage.isHeld], [{ short: 0, long: 150 }, false]);
  });

  it("rejects calls with the reason of its end, and is open then", async () => {
    const { outage, clock } = machine("new");
    const wrong = new StoreError("unauthorized", "no", { transient: false });
    outage.hold(Promise.reject(wrong));
    await assert.rejects(outage.pass(clock.nowMs() + 250), wrong);
    assert.deepEqual([outage.state, outage.isHeld], ["new", false]);
  });

  it("leaves a call the time once more in which the process stood still, where the gate opened meanwhile", async () => {
    const times = { nowMs: 0 };
    const work = { pausesFirst: false, instances: () => 1, progress: () => 0 } as OutageWork;
    const outage = new Outage(work, "here", failure("never reached"), { nowMs: () => times.nowMs });
    const leftAfter = async (stoodStillMs: number, opens: boolean) => {
      const gate = Promise.withResolvers<void>();
      outage.hold(gate.promise);
      const left = outage.pass(times.nowMs + 250);
      times.nowMs += stoodStillMs;
      if (opens) gate.resolve();
      const leftMs = await left;
      gate.resolve();
      await outage.hold(Promise.resolve());
      return leftMs;
    };
    assert.deepEqual(
      [await leftAfter(400, true), await leftAfter(900, true), await leftAfter(260, true)],
      [150, 250, -10],
    );
    assert.ok((await leftAfter(400, false)) <= 0);
  });

  it("lets calls wait for the latest reason", async () => {
    const { outage, clock, turns } = machine();
    const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    outage.hold(one.promise);
    let isThrough = false;
    const call = outage.pass(clock.nowMs() + 250).then(() => {
      isThrough = true;
    });
    outage.hold(two.promise);
    one.resolve();
    await turns();
    assert.deepEqual([isThrough, outage.isHeld], [false, true]);
    two.resolve();
    await call;
  });
});

describe("an error", () => {
  it("begins an outage when it is transient and not the fault of one request", () => {
    const found = (["unavailable", "busy", "capacity", "too-many-holds", "overloaded"] as const).filter((code) =>
      isOutage(new StoreError(code, "", { transient: true })),
    );
    assert.deepEqual(found, ["unavailable", "busy"]);
    for (const error of [new Error("x"), null, new StoreError("unavailable", "", { transient: false })]) {
      assert.equal(isOutage(error), false);
    }
    assert.ok(isOutage(asStoreError(new Error("x"))));
  });
});
