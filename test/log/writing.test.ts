// A log whose storage fails, is slow, or gets more than it may keep. No decision waits for it, and what is lost is counted.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type LimiterEvent } from "tollgate";
import { type FunctionLogOptions, functionLog, type LogBatch, type MinuteCount } from "tollgate/log";
import { memoryStore } from "tollgate/stores/memory";

const policy = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1_000_000 }] } as const;
const sumOf = (batches: readonly LogBatch[], word: "calls" | "logged" | "dropped") =>
  batches
    .flatMap(({ minutes }) => minutes)
    .filter(({ limit }) => limit === "")
    .reduce((sum, row: MinuteCount) => sum + row[word], 0);
const entriesOf = (batches: readonly LogBatch[]) =>
  batches.flatMap(({ entries }) => entries.filter(({ kind }) => kind === "decision"));

/** Warnings of a log that cannot write are expected. */
async function withoutWarnings(run: () => Promise<void>): Promise<string[]> {
  const { emitWarning } = process;
  const warnings: string[] = [];
  process.emitWarning = ((text: string) => warnings.push(text)) as never;
  try {
    await run();
  } finally {
    process.emitWarning = emitWarning;
  }
  return warnings;
}

function limiterWith(write: (batch: LogBatch) => unknown, options?: FunctionLogOptions) {
  const log = functionLog(write, options);
  const events: LimiterEvent[] = [];
  const onEvent = (event: LimiterEvent) => events.push(event);
  return { log, events, limiter: createLimiter({ policy, store: memoryStore(), log, onEvent }) };
}

describe("a log", () => {
  it("sends a batch that failed again under its number, and nothing is lost", async () => {
    const written: LogBatch[] = [];
    const numbers: number[] = [];
    let failures = 2;
    const { limiter, log, events } = limiterWith((batch) => {
      numbers.push(batch.number);
      if (failures-- > 0) throw new Error("away");
      written.push(batch);
    });
    const warnings = await withoutWarnings(async () => {
      await limiter.consume({ tool: "x", session: "s1" });
      await log.flush();
      await limiter.consume({ tool: "x", session: "s1" });
      await limiter.close();
    });
    assert.deepEqual(numbers, [1, 1, 1, 2]);
    assert.equal(entriesOf(written).length, 2);
    assert.equal(sumOf(written, "calls"), 2);
    assert.deepEqual(warnings, ["The decision log (function) cannot be written: Error: away"]);
    const [away, back, ...others] = events;
    assert.ok(away?.type === "log.unreachable" && back?.type === "log.recovered", "once for the outage");
    assert.deepEqual([away.storage, String(away.error), back.dropped, others], ["function", "Error: away", 0, []]);
    assert.ok(back.awayMs >= 0);
    assert.deepEqual(log.counts?.(), { kept: 5, sampled: 0, dropped: 0 });
    const types = written.flatMap(({ entries }) => entries.flatMap((each) => (each.kind === "event" ? each.type : [])));
    assert.deepEqual(types, ["log.started", "log.unreachable", "log.recovered"]);
  });

  it("decides on while its storage hangs, drops what does not fit, and counts it", async () => {
    const written: LogBatch[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { limiter, log } = limiterWith(
      async (batch) => {
        await held;
        written.push(batch);
      },
      { maxWaiting: 100, maxRate: 1_000_000 },
    );
    const flushed = log.flush();
    for (let i = 0; i < 1_000; i++) await limiter.consume({ tool: "x", session: `s${i}` });
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await flushed;
    await limiter.close();
    assert.equal(sumOf(written, "calls"), 1_000);
    assert.equal(sumOf(written, "logged"), entriesOf(written).length);
    assert.equal(sumOf(written, "logged") + sumOf(written, "dropped"), 1_000);
    assert.ok(sumOf(written, "dropped") >= 800);
    const dropped = written.flatMap(({ entries }) =>
      entries.filter((entry) => entry.kind === "event" && entry.type === "log.dropped"),
    );
    assert.equal(dropped.length, 1);
  });

  it("gives up when its storage hangs for longer than it may take to close, and says what is lost", async () => {
    const { limiter } = limiterWith(() => new Promise(() => {}));
    const warnings = await withoutWarnings(async () => {
      await limiter.consume({ tool: "x", session: "s1" });
      await limiter.close({ withinMs: 100 });
    });
    assert.deepEqual(warnings, ["The decision log (function) was closed, and 2 entries are lost."]);
  });

  it("keeps the process alive no longer than it takes to close", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const before = timers();
    const { limiter } = limiterWith(() => {});
    await limiter.consume({ tool: "x", session: "s1" });
    await limiter.close();
    assert.equal(timers(), before);
  });

  it("keeps whole sessions when there are more than it may keep", async () => {
    const written: LogBatch[] = [];
    const { limiter, log } = limiterWith((batch) => written.push(batch), { maxRate: 100, maxWaiting: 100_000 });
    for (let round = 0; round < 3; round++) {
      for (let s = 0; s < 500; s++) await limiter.consume({ tool: "x", session: `s${s}` });
      await new Promise((resolve) => setTimeout(resolve, 220));
      await log.flush();
    }
    await limiter.close();
    const counts = written.map((batch) => entriesOf([batch]).length).filter((count) => count > 0);
    assert.ok((counts.at(-1) ?? 0) < 200, `${counts}`);
    assert.equal(sumOf(written, "calls"), 1_500);
    const weights = new Set(entriesOf(written).map((entry) => (entry.kind === "decision" ? entry.weight : 0)));
    assert.ok(weights.has(1) && weights.size > 1);
  });

  it("never keeps a loop from ending its turn, and bounds what waits in it", async () => {
    const written: LogBatch[] = [];
    const { limiter } = limiterWith((batch) => written.push(batch), { maxRate: 1_000_000 });
    for (let i = 0; i < 5_000; i++) await limiter.consume({ tool: "x", session: "s1" });
    await limiter.close();
    assert.equal(sumOf(written, "calls"), 5_000);
    assert.equal(entriesOf(written).length, 5_000);
  });

  it("is flushed while calls go on", async () => {
    const written: LogBatch[] = [];
    const { limiter, log } = limiterWith(async (batch) => {
      written.push(batch);
      if (!isEnough) await limiter.consume({ tool: "x", session: "s1" });
    });
    let isEnough = false;
    await limiter.consume({ tool: "x", session: "s1" });
    await log.flush();
    isEnough = true;
    assert.ok(written.length < 10, `${written.length} batches`);
    await limiter.close();
  });

  it("writes soon what something waits for", async () => {
    const written: LogBatch[] = [];
    const { limiter, log } = limiterWith((batch) => written.push(batch), { flushMs: 60_000 });
    await log.flush();
    await limiter.consume({ tool: "x", session: "s1" });
    await new Promise((resolve) => setImmediate(resolve));
    const earlier = log.written(30_000);
    await earlier;
    assert.equal(entriesOf(written).length, 1);
    const later = log.written(30_000);
    await limiter.consume({ tool: "x", session: "s1" });
    await later;
    assert.equal(entriesOf(written).length, 2);
    await log.written(1);
    await limiter.close();
  });
});
