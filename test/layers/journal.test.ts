// What was admitted while the store was away is booked also when the process died meanwhile.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createLimiter, type LimiterEvent, StoreError } from "tollgate";
import { fileJournal, type Journal } from "tollgate/journal";
import { networkLayers } from "../../src/layers/network.ts";
import { temporaryFolder } from "../temporary.ts";
import { RemoteStore } from "./remote.ts";

const call = { tool: "search", session: "s1" };
const clock = { nowMs: () => Date.now() };

function instanceOf(remote: RemoteStore, journal: Journal) {
  const reasons: string[] = [];
  const events: LimiterEvent[] = [];
  /** The numbers of the batches that were closed, as often as that was asked. */
  const closed: number[] = [];
  let back: () => void;
  const isBack = new Promise<void>((resolve) => {
    back = resolve;
  });
  const limiter = createLimiter({
    policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 10 }] },
    store: {
      layers: networkLayers,
      batching: remote.batching,
      apply: remote.apply.bind(remote),
      book(requests, terms) {
        if (terms.receipt?.closes === true) closed.push(terms.receipt.number);
        return remote.book(requests, terms);
      },
      beat: remote.beat.bind(remote),
      async close() {},
    },
    failover: { deadlineMs: 250, instances: 2, journal },
    onEvent: (event: LimiterEvent) => {
      events.push(event);
      if (event.type === "store.recovered") back();
      if (event.type === "store.unreachable") reasons.push(event.error.message);
    },
  });
  return { limiter, isBack, reasons, events, closed };
}

/** A journal in memory, whose disk may be full. */
function memoryJournal() {
  const kept = new Map<string, string>();
  return {
    kept,
    isFull: false,
    entries: () => [...kept],
    write(changes: ReadonlyMap<string, string | null>) {
      if (changes.size === 0) return;
      if (this.isFull) throw new StoreError("unavailable", "the disk is full", { transient: false });
      for (const [key, text] of changes) {
        if (text === null) kept.delete(key);
        else kept.set(key, text);
      }
    },
    close() {},
  };
}

describe("fileJournal", () => {
  it("keeps entries in their order, and removes them", () => {
    const path = join(temporaryFolder(), "journal.db");
    const first = fileJournal(path);
    first.write(
      new Map([
        ["b", "1"],
        ["a", "2"],
        ["c", "3"],
      ]),
    );
    first.write(
      new Map<string, string | null>([
        ["b", "4"],
        ["a", null],
      ]),
    );
    first.close();
    const again = fileJournal(path);
    assert.deepEqual(
      [...again.entries()],
      [
        ["b", "4"],
        ["c", "3"],
      ],
    );
    again.close();
    again.close();
  });

  it("refuses a file that is open elsewhere, a foreign file, and an invalid path", () => {
    const folder = temporaryFolder();
    const path = join(folder, "journal.db");
    const journal = fileJournal(path);
    assert.throws(() => fileJournal(path), { name: "StoreError", code: "busy" });
    journal.close();
    const text = join(folder, "text.db");
    writeFileSync(text, "something else".repeat(1_000));
    assert.throws(() => fileJournal(text), { name: "StoreError", code: "foreign-database" });
    assert.throws(() => fileJournal(join(folder, "nowhere", "x.db")), { name: "StoreError", code: "unavailable" });
    assert.throws(() => fileJournal(""), { name: "MisuseError", code: "invalid-option" });
  });
});

describe("a journal", () => {
  it("books after a restart what was admitted before it, and counts it in the share meanwhile", async () => {
    const remote = new RemoteStore(clock);
    const path = join(temporaryFolder(), "journal.db");
    const before = instanceOf(remote, fileJournal(path));
    await before.limiter.consume(call);
    remote.faults.push("lose-reply");
    assert.equal((await before.limiter.consume(call)).allowed, true);
    await before.isBack;
    remote.fault = "lose-request";
    remote.faults.push("lose-reply");
    assert.equal((await before.limiter.consume(call)).allowed, true);
    assert.equal((await before.limiter.consume(call)).allowed, true);
    const held = await before.limiter.reserve(call);
    assert.equal(held.allowed, true);
    // As when the process dies: nothing is said to the store, and the file is free again.
    await before.limiter.close();

    const after = instanceOf(remote, fileJournal(path));
    const [fourth, fifth, sixth] = [
      await after.limiter.consume(call),
      await after.limiter.consume(call),
      await after.limiter.consume(call),
    ];
    assert.deepEqual([fourth.allowed, fifth.allowed, sixth.allowed], [true, true, false]);
    assert.notEqual(fourth.degraded, null);
    remote.fault = "answer";
    await after.isBack;
    assert.equal((await after.limiter.usage({ session: "s1" }))[0]?.used, 2 + 3 + 2);
    await after.limiter.close();
  });

  it("that cannot be written fails the call, and nothing of it is booked", async () => {
    const remote = new RemoteStore(clock);
    const journal = memoryJournal();
    const { limiter, isBack } = instanceOf(remote, journal);
    await limiter.consume(call);
    journal.isFull = true;
    // The store books both, and the answers are lost.
    remote.faults.push("lose-reply", "lose-reply");
    await assert.rejects(limiter.consume(call), { name: "StoreError", message: "the disk is full" });
    await isBack;
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 1);
    await limiter.close();
  });

  it("that cannot be written does not keep the instance away from a store that answers", async () => {
    const remote = new RemoteStore(clock);
    const journal = memoryJournal();
    const { limiter, isBack } = instanceOf(remote, journal);
    await limiter.consume(call);
    remote.faults.push("lose-reply");
    assert.equal((await limiter.consume(call)).allowed, true);
    journal.isFull = true;
    await isBack;
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 2);
    assert.equal(journal.kept.size, 1);
    journal.isFull = false;
    // The next write removes the batch that is settled.
    remote.faults.push("lose-reply");
    await limiter.consume(call);
    await limiter.close();
    assert.equal(journal.kept.size, 0);
  });

  it("that cannot be written fails a call with a key, and a retry is decided again and counted", async () => {
    const remote = new RemoteStore(clock);
    const journal = memoryJournal();
    const { limiter, isBack } = instanceOf(remote, journal);
    await limiter.consume(call);
    remote.fault = "lose-request";
    journal.isFull = true;
    // The first one finds that the store is away, the second one is decided alone from the start.
    for (const idempotencyKey of ["k1", "k2"]) {
      await assert.rejects(limiter.consume({ ...call, idempotencyKey }), { message: "the disk is full" });
    }
    journal.isFull = false;
    for (const idempotencyKey of ["k1", "k2"]) {
      const { allowed, replayed } = await limiter.consume({ ...call, idempotencyKey });
      assert.deepEqual([allowed, replayed], [true, false]);
    }
    remote.fault = "answer";
    await isBack;
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 3);
    await limiter.close();
  });

  it("that is full when the store is back keeps no bookings from the store, and forgets them when there is room", async () => {
    const remote = new RemoteStore(clock);
    const journal = memoryJournal();
    const { limiter, isBack } = instanceOf(remote, journal);
    await limiter.consume(call);
    remote.fault = "lose-request";
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal((await limiter.consume(call)).allowed, true);
    journal.isFull = true;
    remote.fault = "answer";
    await isBack;
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 3);
    assert.notEqual(journal.kept.size, 0);
    journal.isFull = false;
    await limiter.close();
    assert.equal(journal.kept.size, 0);
  });

  it("is booked first where the store answers at the start, and the event says why the store does not decide yet", async () => {
    const remote = new RemoteStore(clock);
    const journal = memoryJournal();
    remote.fault = "lose-request";
    const before = instanceOf(remote, journal);
    assert.equal((await before.limiter.consume(call)).allowed, true);
    await before.limiter.close({ withinMs: 0 });
    remote.fault = "answer";
    const after = instanceOf(remote, journal);
    await after.limiter.consume(call);
    await after.isBack;
    assert.deepEqual(after.reasons, ["the store gets what an earlier process of this instance admitted"]);
    assert.equal(journal.kept.size, 0);
    await after.limiter.close();
  });

  it("that has lost what it wrote last has batches that were settled, and the store is asked once for each", async () => {
    const remote = new RemoteStore(clock);
    const journal = memoryJournal();
    const before = instanceOf(remote, journal);
    await before.limiter.consume(call);
    remote.faults.push("lose-reply");
    await before.limiter.consume(call);
    const lost = new Map(journal.kept);
    await before.isBack;
    // Until the store forgets the receipt of the batch.
    for (let i = 0; i < 4; i++) assert.equal((await before.limiter.consume(call)).degraded, null);
    await before.limiter.close();

    for (const [key, text] of lost) journal.kept.set(key, text);
    const after = instanceOf(remote, journal);
    await after.limiter.consume(call);
    await after.isBack;
    assert.deepEqual(after.closed.slice(0, 2), [2, 1], "the batch of the journal, then what was admitted meanwhile");
    const types = after.events.map(({ type }) => type);
    assert.deepEqual(types, ["store.unreachable", "store.recovered"]);
    assert.equal((await after.limiter.usage({ session: "s1" }))[0]?.used, 7);
    assert.equal(journal.kept.size, 0);
    await after.limiter.close();
  });

  it("admits nothing at the start without the number of instances", async () => {
    const remote = new RemoteStore(clock);
    remote.fault = "lose-request";
    const journal = fileJournal(join(temporaryFolder(), "journal.db"));
    const limiter = createLimiter({
      policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 10 }] },
      store: remote,
      failover: { deadlineMs: 250, journal },
    });
    assert.equal((await limiter.consume(call)).allowed, false);
    await limiter.close();
  });
});
