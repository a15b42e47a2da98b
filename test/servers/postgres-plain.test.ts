// A charge that goes alone is one statement on Postgres, where SQL adds to plain numbers. It leaves the same replies and the
// same rows as the kernel, whatever rows hold, and leaves everything else to the kernel.
// TOLLGATE_SCHEDULES says how many schedules are played.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import postgres from "postgres";
import {
  type LimitSpec,
  type Step,
  type Store,
  StoreError,
  type StoreReply,
  type StoreRequest,
  TermsError,
} from "tollgate/store";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { encodeState } from "../../src/kernel/encoding/state.ts";
import { decodeState, type ReadState } from "../../src/store/check.ts";
import { bookBatch } from "../../src/store/receipts.ts";
import type { Terms } from "../../src/store/shared-store.ts";
import { fakeClock } from "tollgate/testing";
import { startPostgres } from "../postgres.ts";

const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_130);
const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? 150);
const START_MS = Date.UTC(2027, 0, 1);
const LIFE_MS = 1_000;

const SUMS: readonly LimitSpec[] = [
  { algorithm: "budget", quota: 5, ttlMs: LIFE_MS, ttlFrom: "first" },
  { algorithm: "budget", quota: 5, ttlMs: LIFE_MS, ttlFrom: "last" },
  // A shorter life than that of the others, so that it finds ends that are ahead.
  { algorithm: "budget", quota: 9, ttlMs: LIFE_MS / 2, ttlFrom: "last" },
  { algorithm: "budget", quota: Number.MAX_SAFE_INTEGER, ttlMs: LIFE_MS, ttlFrom: "first" },
  { algorithm: "fixed-window", quota: 5, windowMs: 700, align: "epoch" },
  { algorithm: "fixed-window", quota: 5, windowMs: 700, align: "first-use" },
];
/** Their charges do more than add to a number, or end at an instant that SQL does not know. */
const OTHERS: readonly LimitSpec[] = [
  { algorithm: "fixed-window", quota: 5, align: "calendar", boundaries: [START_MS, START_MS + 900, START_MS + 90_000] },
  { algorithm: "token-bucket", burst: 5, levelPerUnit: 100, levelPerMs: 1 },
  { algorithm: "elapsed", quota: 900, ttlMs: LIFE_MS },
  { algorithm: "cooldown", quota: 1, pauseMs: 300 },
];

/** Texts that rows may hold, of this version, of another one, or damaged. */
const TEXTS = [
  "",
  "0",
  "3",
  "4",
  "007",
  "-1",
  "1.5",
  "1e3",
  " 1",
  "x",
  "999999999999999",
  "1000000000000000",
  "c1 2 0123456789abcdef",
  `p1 ${START_MS}`,
];

type Turn =
  | {
      readonly type: "ask";
      readonly steps: readonly Step[];
      readonly mode: StoreRequest["mode"];
      readonly isAgain: boolean;
    }
  | { readonly type: "wait"; readonly ms: number }
  | { readonly type: "text"; readonly bucket: string; readonly text: string; readonly leftMs: number };

const limit = fc.oneof(
  { arbitrary: fc.constantFrom(...SUMS), weight: 6 },
  { arbitrary: fc.constantFrom(...OTHERS), weight: 1 },
);
const bucket = fc.constantFrom("a", "b", "c");
const event: fc.Arbitrary<Step["event"]> = fc.oneof(
  {
    arbitrary: fc.record({
      type: fc.constant("charge" as const),
      cost: fc.oneof(
        { arbitrary: fc.constantFrom(1, 1, 2), weight: 10 },
        { arbitrary: fc.constantFrom(0, 2 ** 41), weight: 1 },
      ),
    }),
    weight: 24,
  },
  {
    arbitrary: fc.record({
      type: fc.constant("hold" as const),
      id: fc.constantFrom("h1", "h2"),
      units: fc.constantFrom(1, 2),
      onExpiry: fc.constantFrom("charge" as const, "refund" as const),
      leaseMs: fc.constant(400),
    }),
    weight: 1,
  },
  {
    arbitrary: fc.record({
      type: fc.constant("settle" as const),
      id: fc.constantFrom("h1", "h2"),
      units: fc.constantFrom(0, 1, 3),
    }),
    weight: 1,
  },
  { arbitrary: fc.constant({ type: "reset" as const }), weight: 1 },
);
const step: fc.Arbitrary<Step> = fc.record({
  bucket,
  limit,
  event,
  shadow: fc.oneof({ arbitrary: fc.constant(false), weight: 12 }, { arbitrary: fc.constant(true), weight: 1 }),
});
const turn: fc.Arbitrary<Turn> = fc.oneof(
  {
    arbitrary: fc.record({
      type: fc.constant("ask" as const),
      steps: fc.oneof(
        { arbitrary: fc.uniqueArray(step, { minLength: 1, maxLength: 3, selector: (each) => each.bucket }), weight: 9 },
        // Several limits that share a bucket.
        { arbitrary: fc.array(step, { minLength: 2, maxLength: 3 }), weight: 1 },
      ),
      mode: fc.oneof(
        { arbitrary: fc.constant("judge" as const), weight: 10 },
        { arbitrary: fc.constantFrom("force" as const, "peek" as const), weight: 1 },
      ),
      isAgain: fc.oneof({ arbitrary: fc.constant(false), weight: 8 }, { arbitrary: fc.constant(true), weight: 1 }),
    }),
    weight: 8,
  },
  {
    arbitrary: fc.record({ type: fc.constant("wait" as const), ms: fc.constantFrom(1, 50, 300, 500, 700, 1_000) }),
    weight: 3,
  },
  {
    arbitrary: fc.record({
      type: fc.constant("text" as const),
      bucket,
      text: fc.constantFrom(...TEXTS),
      leftMs: fc.constantFrom(-1e15, -1, 0, 1, 400, 1_000, 1_001, 5_000),
    }),
    weight: 1,
  },
);

const server = await startPostgres();
const pool = server.pool();
await migrate(pool);

/** What the store should hold: rows by their keys. */
class Reference {
  readonly rows = new Map<string, readonly [value: string, expiresAtMs: number]>();

  answers(requests: readonly StoreRequest[], nowMs: number, terms: Terms) {
    const read = (key: string): ReadState => {
      const row = this.rows.get(key);
      return row === undefined || row[0] === "" ? undefined : decodeState(row[0], row[1], nowMs);
    };
    const { replies, changed } = bookBatch(requests, read, nowMs, terms);
    for (const [key, state] of changed) {
      if (state === undefined) this.rows.delete(key);
      else this.rows.set(key, [encodeState(state), state.expiresAtMs]);
    }
    return replies;
  }
}

const outcomeOf = async (ask: () => unknown) => {
  try {
    return await ask();
  } catch (error) {
    return TermsError.refusalOf(error) ?? assert.fail(error as Error);
  }
};
const plain = (answers: unknown) =>
  Array.isArray(answers) ? answers.map((each) => (StoreError.isInstance(each) ? each.code : each)) : answers;

describe("charges that go alone", () => {
  it(`agree with the kernel in ${SCHEDULES} schedules, in replies and in rows`, async (context) => {
    let charges = 0;
    const own = server.pool({ max: 1 });
    own.on("connect", (client) => {
      const query = client.query.bind(client) as (...args: unknown[]) => unknown;
      client.query = ((...args: unknown[]) => {
        if (String(args[0]).includes("EXECUTE tollgate_charge")) charges++;
        return query(...args);
      }) as typeof client.query;
    });
    let [asked, tried] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(turn, { minLength: 5, maxLength: 25 }), fc.boolean(), async (turns, hasTerms) => {
        await pool.query("TRUNCATE tollgate_buckets");
        const clock = fakeClock(START_MS);
        const store = postgresStore(own, { clock });
        const reference = new Reference();
        const { incarnation } = await store.beat({ group: "g", instance: "i", livesMs: 60_000, seen: [] });
        reference.rows.set("tollgate:1:$incarnation", [`m1 ${incarnation} all`, Number.MAX_SAFE_INTEGER]);
        let number = 0;
        for (const each of turns) {
          if (each.type === "wait") clock.advance(each.ms);
          else if (each.type === "text") {
            const expiresAtMs = clock.nowMs() + each.leftMs;
            reference.rows.set(each.bucket, [each.text, expiresAtMs]);
            const values = [each.bucket, each.text, expiresAtMs];
            await pool.query(
              "INSERT INTO tollgate_buckets VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET value = $2, expires_at_ms = $3",
              values,
            );
          } else {
            const { steps, mode, isAgain } = each;
            if (!isAgain) number++;
            const late = { notAfterMs: clock.nowMs() - (number % 7 === 0 ? 1 : 0) };
            const receipt = { instance: `i${number % 2}`, number: Math.max(1, number), from: Math.max(1, number - 3) };
            // A peek needs no receipt, and the store keeps none.
            const taken = mode === "peek" ? {} : { receipt };
            const terms: Terms = hasTerms
              ? { ...late, incarnation: number % 11 === 0 ? "other" : incarnation, ...taken }
              : {};
            const request: StoreRequest = { mode, steps };
            const before = charges;
            const answers = await outcomeOf(() => (hasTerms ? store.book([request], terms) : store.apply([request])));
            const expected = await outcomeOf(() => reference.answers([request], clock.nowMs(), terms));
            assert.deepEqual(plain(answers), plain(expected));
            asked++;
            if (charges > before) tried++;
          }
          const { rows } = await pool.query(
            "SELECT key, value, expires_at_ms FROM tollgate_buckets WHERE value <> '' AND NOT starts_with(key, 'tollgate:1:$instance') ORDER BY key",
          );
          const held = rows.map(({ key, value, expires_at_ms }) => [key, value, Number(expires_at_ms)]);
          const wanted = [...reference.rows]
            .filter(([, [value]]) => value !== "")
            .map(([key, [value, end]]) => [key, value, end]);
          assert.deepEqual(
            held,
            wanted.toSorted(([one], [other]) => (String(one) < String(other) ? -1 : 1)),
          );
        }
      }),
      { numRuns: SCHEDULES, seed: SEED },
    );
    context.diagnostic(`${asked} requests, of which ${tried} were tried as one statement`);
    assert.ok(tried > asked / 4);
  });

  const limit: LimitSpec = { algorithm: "budget", quota: 100, ttlMs: 60_000, ttlFrom: "first" };
  const chargeOf = (by: LimitSpec, ...buckets: string[]): StoreRequest => ({
    mode: "judge",
    steps: buckets.map((bucket) => ({ bucket, limit: by, event: { type: "charge", cost: 1 } })),
  });
  const answerOf = async (store: Store, request: StoreRequest) => {
    const [answer] = await store.apply([request]);
    if (answer === undefined || StoreError.isInstance(answer)) throw answer;
    return answer;
  };
  const rowOf = async (key: string) =>
    (await pool.query("SELECT value, expires_at_ms FROM tollgate_buckets WHERE key = $1", [key])).rows[0];

  it("are decided on what another transaction leaves, at the instant when it ends", async () => {
    const store = postgresStore(pool);
    const cases = [
      { bucket: "waits", left: 98, allowed: true, value: "99" },
      { bucket: "waits-in-vain", left: 100, allowed: false, value: "100" },
    ];
    for (const { bucket, left, allowed, value } of cases) {
      await answerOf(store, chargeOf(limit, bucket));
      const other = await pool.connect();
      await other.query("BEGIN");
      await other.query("UPDATE tollgate_buckets SET value = $2 WHERE key = $1", [bucket, left]);
      const answering = answerOf(store, chargeOf(limit, `${bucket}-first`, bucket));
      await sleep(300);
      const { rows } = await other.query("SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now_ms");
      await other.query("COMMIT");
      other.release();
      const answer = await answering;
      assert.deepEqual([answer.allowed, (await rowOf(bucket)).value], [allowed, value]);
      assert.equal((await rowOf(`${bucket}-first`)).value, allowed ? "1" : "");
      assert.ok(answer.nowMs >= Math.floor(Number(rows[0].now_ms)));
    }
  });

  it("are decided on a row that another transaction makes, or takes away", async () => {
    const store = postgresStore(pool);
    const make = "INSERT INTO tollgate_buckets VALUES ('made', '100', 9007199254740991)";
    const remove = "DELETE FROM tollgate_buckets WHERE key = 'removed'";
    await answerOf(store, chargeOf({ ...limit, quota: 1 }, "removed"));
    for (const [bucket, text, allowed] of [["made", make, false] as const, ["removed", remove, true] as const]) {
      const other = await pool.connect();
      await other.query("BEGIN");
      await other.query(text);
      const answering = answerOf(store, chargeOf({ ...limit, quota: 1 }, bucket));
      await sleep(200);
      await other.query("COMMIT");
      other.release();
      assert.equal((await answering).allowed, allowed);
    }
  });

  it("are decided once, at one instant of a clock that never stands still", async () => {
    let nowMs = START_MS;
    const store = postgresStore(pool, { clock: { nowMs: () => nowMs++ } });
    await answerOf(store, chargeOf(limit, "moving"));
    await pool.query("UPDATE tollgate_buckets SET expires_at_ms = 0 WHERE key = 'moving'");
    const answer = await answerOf(store, chargeOf(limit, "moving"));
    assert.equal(Number((await rowOf("moving")).expires_at_ms), answer.nowMs + limit.ttlMs);
  });

  it("never fail for the isolation level that the database has as its default", async () => {
    const calls = 400;
    const scarce: LimitSpec = { ...limit, quota: calls / 2 };
    const settings = { options: "-c default_transaction_isolation=serializable", max: 1 };
    const sql = postgres(server.url, { connection: { default_transaction_isolation: "serializable" }, max: 2 });
    const stores = [...Array.from({ length: 6 }, () => server.pool(settings)), sql, sql].map((client) =>
      postgresStore(client),
    );
    let admitted = 0;
    const asking = stores.map(async (store, place) => {
      for (let n = 0; n < calls / stores.length; n++) {
        // One request goes in one statement; two go in two round trips.
        const requests = [chargeOf(scarce, "shared"), chargeOf(limit, `own-${place}`)].slice(0, 1 + (n % 2));
        const answers = await store.apply(requests);
        for (const answer of answers) assert.ok(!StoreError.isInstance(answer), String(answer));
        if ((answers[0] as StoreReply).allowed) admitted++;
      }
    });
    await Promise.all(asking);
    await sql.end();
    assert.equal(admitted, scarce.quota);
    assert.equal((await rowOf("shared")).value, String(scarce.quota));
  });
});
