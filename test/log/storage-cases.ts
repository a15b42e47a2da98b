// What every storage of a decision log has to do, as cases for each of them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EntryQuery, KeepOptions, LogBatch, LogEntry, LogReader, MinuteTop, ReadableStorage } from "tollgate/log";
import { batchOf, decisionOf, eventOf, idAt, START_MS, type Written } from "./batches.ts";

/** Opens a storage with nothing in it. Called again with the same name, it opens the same one. */
export type OpenStorage = (name: string, keep?: KeepOptions) => ReadableStorage | Promise<ReadableStorage>;

export interface StorageTraits {
  /** How many entries there may be beyond `maxEntries`. */
  readonly slack: number;
  /** Whether it is still there when it was closed and is opened again. */
  readonly isKept: boolean;
}

const all = { tenants: null, pageSize: 100 } as const;
const idsOf = (entries: readonly LogEntry[]) => entries.map(({ id }) => Number(id.slice(18)));
const entriesOf = (...written: Written[]) => ({ entries: written.map(decisionOf) });

async function find(read: LogReader, query: Partial<EntryQuery>): Promise<number[]> {
  return idsOf((await read.entries({ ...all, ...query })).items);
}

/** All pages of a query. */
async function findAll(read: LogReader, query: Partial<EntryQuery>): Promise<number[]> {
  const found: number[] = [];
  for (let from: Partial<EntryQuery> = {}; ; ) {
    const { items, nextCursor } = await read.entries({ ...all, ...query, ...from });
    found.push(...idsOf(items));
    if (nextCursor === null) return found;
    from = { cursor: nextCursor };
  }
}

/** Each case has a storage of its own, with batches in it. */
export function testStorage(name: string, open: OpenStorage, traits: StorageTraits): void {
  let count = 0;
  const using = (batches: readonly LogBatch[], run: (read: LogReader, storage: ReadableStorage) => Promise<void>) => {
    return async () => {
      const storage = await open(`case-${count++}`);
      try {
        for (const batch of batches) await storage.write(batch);
        await run(storage.read, storage);
      } finally {
        await storage.close();
      }
    };
  };

  describe(`${name} keeps entries`, () => {
    const mixed = batchOf({
      entries: [
        decisionOf({ n: 1, session: "s1", tenant: "acme", tool: "search" }),
        decisionOf({ n: 2, session: "s2", tenant: "acme", user: "u1", tool: "book" }),
        decisionOf({ n: 3, session: "s1", tenant: "other", allowed: false, limit: "money" }),
        eventOf(4, "bucket.granted", { session: "s1", tenant: "acme" }),
        decisionOf({ n: 5, tool: "pay" }),
        eventOf(6, "store.unreachable"),
      ],
    });

    it(
      "as they were written, newest first",
      using([mixed], async (read) => {
        const { items, nextCursor } = await read.entries(all);
        assert.deepEqual(items, mixed.entries.toReversed());
        assert.equal(nextCursor, null);
      }),
    );

    it(
      "and finds them by what they are",
      using([mixed], async (read) => {
        assert.deepEqual(await find(read, { kind: "event" }), [6, 4]);
        assert.deepEqual(await find(read, { kind: "decision" }), [5, 3, 2, 1]);
        assert.deepEqual(await find(read, { allowed: false }), [3]);
        assert.deepEqual(await find(read, { allowed: true }), [5, 2, 1]);
        assert.deepEqual(await find(read, { session: "s1" }), [4, 3, 1]);
        assert.deepEqual(await find(read, { session: "s1", allowed: true }), [1]);
        assert.deepEqual(await find(read, { session: "s3" }), []);
        assert.deepEqual(await find(read, { user: "u1" }), [2]);
        assert.deepEqual(await find(read, { tool: "pay" }), [5]);
        assert.deepEqual(await find(read, { limit: "money" }), [3]);
        assert.deepEqual(await find(read, { limit: "calls" }), [6, 5, 4, 2, 1]);
        assert.deepEqual(await find(read, { fromMs: START_MS + 2, toMs: START_MS + 4 }), [3, 2]);
      }),
    );

    it(
      "of a tenant apart from others",
      using([mixed], async (read) => {
        assert.deepEqual(await find(read, { tenants: ["acme"] }), [4, 2, 1]);
        assert.deepEqual(await find(read, { tenants: ["acme", "other"] }), [4, 3, 2, 1]);
        assert.deepEqual(await find(read, { tenants: [] }), []);
        assert.deepEqual(await find(read, { tenants: ["other"], session: "s1" }), [3]);
        assert.deepEqual(await find(read, { tenants: ["acme"], allowed: false }), []);
        assert.deepEqual(await find(read, { tenants: [""] }), []);
      }),
    );

    it(
      "and finds one by its id",
      using([mixed], async (read) => {
        assert.deepEqual(await read.entry(idAt(START_MS + 2, 2), null), mixed.entries[1]);
        assert.deepEqual(await read.entry(idAt(START_MS + 4, 4), ["acme"]), mixed.entries[3]);
        assert.equal(await read.entry(idAt(START_MS + 3, 3), ["acme"]), null);
        assert.equal(await read.entry(idAt(START_MS + 5, 5), ["acme"]), null, "it has no tenant");
        assert.equal(await read.entry(idAt(START_MS + 2, 9), null), null);
        assert.equal(await read.entry("not-an-id", null), null);
      }),
    );

    it(
      "in pages that continue, while more are written",
      using([batchOf(entriesOf(...range(1, 25)))], async (read, storage) => {
        const first = await read.entries({ ...all, pageSize: 10 });
        assert.deepEqual(idsOf(first.items), down(25, 16));
        await storage.write(batchOf({ number: 2, ...entriesOf(...range(26, 30)) }));
        const second = await read.entries({ ...all, pageSize: 10, cursor: first.nextCursor ?? "" });
        assert.deepEqual(idsOf(second.items), down(15, 6));
        const third = await read.entries({ ...all, pageSize: 10, cursor: second.nextCursor ?? "" });
        assert.deepEqual(idsOf(third.items), down(5, 1));
        assert.equal(third.nextCursor, null);
        assert.deepEqual(await findAll(read, { pageSize: 7 }), down(30, 1));
      }),
    );

    it(
      "and says what came after a position, oldest first",
      using([batchOf(entriesOf(...range(1, 5)))], async (read, storage) => {
        const { lastPosition } = await read.entries({ ...all, pageSize: 1 });
        const nothing = await read.entries({ ...all, after: lastPosition });
        assert.deepEqual(nothing.items, []);
        await storage.write(
          batchOf({ number: 2, entries: range(6, 9).map((each) => decisionOf({ ...each, allowed: each.n !== 8 })) }),
        );
        const two = await read.entries({ ...all, after: lastPosition, pageSize: 2 });
        assert.deepEqual(idsOf(two.items), [6, 7]);
        const others = await read.entries({ ...all, after: two.nextCursor ?? "", pageSize: 10 });
        assert.deepEqual(idsOf(others.items), [8, 9]);
        assert.deepEqual(await find(read, { after: lastPosition, allowed: false }), [8]);
        assert.deepEqual(await find(read, { after: others.lastPosition }), []);
      }),
    );

    it(
      "and has no page of an empty log",
      using([], async (read) => {
        const { items, nextCursor, lastPosition } = await read.entries(all);
        assert.deepEqual([items, nextCursor], [[], null]);
        assert.deepEqual(await find(read, { after: lastPosition }), []);
      }),
    );

    it(
      "and refuses a cursor that no page returned",
      using([], async (read) => {
        await assert.rejects(read.entries({ ...all, cursor: "x" }), { code: "invalid-option" });
        await assert.rejects(read.entries({ ...all, after: "-1" }), { code: "invalid-option" });
        await assert.rejects(read.sessions({ ...all, cursor: "{}" }), { code: "invalid-option" });
      }),
    );

    it("up to a number and an age", async () => {
      const storage = await open("bounded", { maxEntries: 100, maxAgeMs: 3_600_000 });
      const atMs = Date.now();
      for (let batch = 0; batch < 20; batch++) {
        const entries = range(batch * 50 + 1, batch * 50 + 50).map((each) =>
          decisionOf({ ...each, ms: atMs - START_MS }),
        );
        await storage.write(batchOf({ number: batch + 1, entries }));
      }
      const kept = await findAll(storage.read, {});
      assert.ok(kept.length >= 100 && kept.length <= 100 + traits.slack, `${kept.length}`);
      assert.deepEqual(kept, down(1_000, 1_001 - kept.length));
      await storage.close();
    });
  });

  describe(`${name} keeps sums`, () => {
    const minute = START_MS / 60_000;
    const count = {
      minute,
      limit: "",
      unit: "",
      tool: "search",
      tenant: "acme",
      calls: 5,
      denied: 1,
      exceeded: 1,
      units: 0,
      logged: 5,
      dropped: 0,
    };
    const ofLimit = { ...count, limit: "money", unit: "usd_micros", units: 70, logged: 0 };
    const spent = { ...count, unit: "usd_micros", logged: 0 };
    const counts = batchOf({
      minutes: [
        count,
        ofLimit,
        { ...count, tool: "book", calls: 7 },
        { ...count, tenant: "", calls: 2, denied: 0 },
        { ...count, minute: minute + 1, calls: 1 },
        { ...spent, units: 70 },
        { ...spent, tool: "book", calls: 2, denied: 0, units: 400 },
        { ...spent, tool: "book", unit: "tokens", units: 9_000 },
        { ...spent, tool: "write", limit: "tokens-per-day", unit: "tokens", units: 9_000 },
      ],
    });
    const span = { fromMs: START_MS, toMs: START_MS + 120_000, tenants: null };
    const nothing = { calls: 0, denied: 0, units: 0, error: 0 };
    const most: MinuteTop = { minute, dimension: "session", unit: "", value: "", tenant: "acme", ...nothing };

    it(
      "of two instances, and of each batch once",
      using([counts, { ...counts, instance: "two" }, counts, { ...counts, number: 2 }], async (read) => {
        const [first] = await read.top({ ...span, by: "tool", count: 10 });
        assert.deepEqual(first, { value: "search", calls: 24, denied: 6, units: 0, error: 0 });
      }),
    );

    it(
      "and shows who calls most",
      using([counts], async (read) => {
        const top = async (by: "tool" | "tenant" | "limit", more = {}) =>
          (await read.top({ ...span, by, count: 10, ...more })).map(({ value, calls, denied }) => [
            value,
            calls,
            denied,
          ]);
        assert.deepEqual(await top("tool"), [
          ["search", 8, 2],
          ["book", 7, 1],
        ]);
        assert.deepEqual(await top("tool", { count: 1 }), [["search", 8, 2]]);
        assert.deepEqual(await top("tool", { toMs: START_MS + 60_000 }), [
          ["book", 7, 1],
          ["search", 7, 1],
        ]);
        assert.deepEqual(await top("tenant"), [["acme", 13, 3]]);
        assert.deepEqual(await top("limit"), [
          ["money", 5, 1],
          ["tokens-per-day", 5, 1],
        ]);
        assert.deepEqual(await top("tool", { tenants: ["missing"] }), []);
        assert.deepEqual(await top("tool", { tenants: ["acme"], fromMs: START_MS + 60_000 }), [["search", 1, 1]]);
      }),
    );

    it(
      "and shows what spends most of a unit",
      using([counts], async (read) => {
        const top = async (by: "tool" | "tenant" | "limit", unit: string) =>
          (await read.top({ ...span, by, unit, count: 10 })).map(({ value, calls, units }) => [value, calls, units]);
        assert.deepEqual(await top("tool", "usd_micros"), [
          ["book", 2, 400],
          ["search", 5, 70],
        ]);
        assert.deepEqual(await top("tenant", "usd_micros"), [["acme", 7, 470]]);
        assert.deepEqual(await top("limit", "tokens"), [["tokens-per-day", 5, 9_000]]);
        assert.deepEqual(await top("tool", "gpu_seconds"), []);
      }),
    );

    it(
      "and shows how they change with time",
      using([counts], async (read) => {
        const series = async (by: "limit" | "tool" | null, stepMinutes: number) =>
          (await read.series({ ...span, by, stepMinutes })).map(({ atMs, of, calls, units }) => [
            atMs - START_MS,
            of,
            calls,
            units,
          ]);
        assert.deepEqual(await series(null, 1), [
          [0, "", 14, 0],
          [60_000, "", 1, 0],
        ]);
        assert.deepEqual(await series("tool", 5), [
          [0, "book", 7, 0],
          [0, "search", 8, 0],
        ]);
        assert.deepEqual(await series("limit", 1), [
          [0, "money", 5, 70],
          [0, "tokens-per-day", 5, 9_000],
        ]);
      }),
    );

    it(
      "of sessions and users",
      using(
        [
          batchOf({
            tops: [
              { ...most, value: "s1", calls: 5, denied: 1 },
              { ...most, value: "s2", calls: 9, error: 2 },
              { ...most, dimension: "user", value: "u1", tenant: "", calls: 3 },
              { ...most, value: "s1", calls: 2, unit: "usd_micros", units: 300 },
              { ...most, value: "s2", calls: 4, unit: "usd_micros", units: 200, error: 50 },
              { ...most, value: "s2", calls: 1, unit: "tokens", units: 9_000 },
            ],
          }),
          batchOf({
            number: 2,
            tops: [
              { ...most, value: "s1", calls: 5, denied: 1 },
              { ...most, value: "s2", calls: 4, unit: "usd_micros", units: 150, error: 1 },
            ],
          }),
        ],
        async (read) => {
          assert.deepEqual(await read.top({ ...span, by: "session", count: 10 }), [
            { value: "s1", calls: 10, denied: 2, units: 0, error: 0 },
            { value: "s2", calls: 9, denied: 0, units: 0, error: 2 },
          ]);
          assert.deepEqual(await read.top({ ...span, by: "session", unit: "usd_micros", count: 10 }), [
            { value: "s2", calls: 8, denied: 0, units: 350, error: 51 },
            { value: "s1", calls: 2, denied: 0, units: 300, error: 0 },
          ]);
          assert.deepEqual(await read.top({ ...span, by: "user", count: 10, tenants: ["acme"] }), []);
        },
      ),
    );
  });

  describe(`${name} keeps what it saw`, () => {
    const sum = {
      session: "s1",
      tenant: "acme",
      user: "u1",
      firstMs: START_MS,
      lastMs: START_MS + 10,
      calls: 2,
      denied: 0,
      deniedBy: null,
    };

    it(
      "of sessions, those that called last first",
      using(
        [
          batchOf({ sessions: [sum, { ...sum, session: "s2", tenant: "", lastMs: START_MS + 20 }] }),
          batchOf({
            number: 2,
            sessions: [
              {
                ...sum,
                user: "",
                firstMs: START_MS + 30,
                lastMs: START_MS + 40,
                calls: 3,
                denied: 1,
                deniedBy: "money",
              },
            ],
          }),
        ],
        async (read) => {
          const one = { ...sum, lastMs: START_MS + 40, calls: 5, denied: 1, deniedBy: "money" };
          const two = { ...sum, session: "s2", tenant: "", lastMs: START_MS + 20 };
          assert.deepEqual(await read.sessions(all), { items: [one, two], nextCursor: null });
          assert.deepEqual((await read.sessions({ ...all, tenants: ["acme"] })).items, [one]);
          assert.deepEqual((await read.sessions({ ...all, prefix: "s2" })).items, [two]);
          const first = await read.sessions({ ...all, pageSize: 1 });
          assert.deepEqual(first.items, [one]);
          const second = await read.sessions({ ...all, pageSize: 1, cursor: first.nextCursor ?? "" });
          assert.deepEqual(second, { items: [two], nextCursor: null });
        },
      ),
    );

    it(
      "of buckets near their limit, the fullest first",
      using(
        [
          batchOf({ near: [nearOf("s1", 9), nearOf("s2", 10), nearOf("s3", 8)] }),
          batchOf({ number: 2, near: [nearOf("s2", 1), { ...nearOf("s4", 10), endsAtMs: START_MS + 5 }] }),
          // A change by hand does not say the tenant.
          batchOf({ number: 3, near: [{ ...nearOf("s3", 8), tenant: "" }] }),
        ],
        async (read) => {
          const query = { tenants: null, over: 0.8, nowMs: START_MS + 10, count: 10 };
          assert.deepEqual(await read.near(query), [nearOf("s1", 9), nearOf("s3", 8)]);
          assert.deepEqual(await read.near({ ...query, over: 0.9 }), [nearOf("s1", 9)]);
          assert.deepEqual(await read.near({ ...query, count: 1 }), [nearOf("s1", 9)]);
          assert.deepEqual(await read.near({ ...query, tenants: ["other"] }), []);
        },
      ),
    );

    it(
      "of policies",
      using([batchOf({ policies: [{ version: "p1", atMs: START_MS, source: '{"version":1}' }] })], async (read) => {
        assert.equal(await read.policy("p1"), '{"version":1}');
        assert.equal(await read.policy("p2"), null);
      }),
    );

    it(
      "and has one salt",
      using([], async (_, storage) => {
        const salt = await storage.salt();
        assert.ok(salt.length >= 16);
        assert.equal(await storage.salt(), salt);
      }),
    );
  });

  it(`${name} is there again when it was closed`, { skip: traits.isKept ? false : "it is in memory" }, async () => {
    const first = await open("again");
    await first.write(batchOf(entriesOf({ n: 1 }, { n: 2 })));
    const salt = await first.salt();
    await first.close();
    const second = await open("again");
    assert.deepEqual(await find(second.read, {}), [2, 1]);
    assert.equal(await second.salt(), salt);
    await second.write(batchOf(entriesOf({ n: 3 })));
    assert.deepEqual(await find(second.read, {}), [2, 1], "the batch was written before");
    await second.close();
  });
}

function range(from: number, to: number): Written[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({ n: from + i }));
}

function down(from: number, to: number): number[] {
  return range(to, from)
    .map(({ n }) => n)
    .reverse();
}

function nearOf(session: string, used: number) {
  const bucket = { limit: "calls", dimensions: { session }, tenant: "acme", unit: "calls" };
  return { ...bucket, used, capacity: 10, atMs: START_MS, endsAtMs: START_MS + 60_000 };
}
