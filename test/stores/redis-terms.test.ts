// The script keeps terms as the kernel does: every reply, every refusal, every stored text and every expiry, at times that
// are given. And the Redis store knows who shares it, and when it has lost what it held.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import fc from "fast-check";
import {
  isShared,
  type LimitSpec,
  MARK_KEY,
  type Member,
  receiptsKey,
  type Step,
  type StepEvent,
  type Store,
  StoreError,
  type StoreErrorCode,
  type StoreRequest,
  type Terms,
  TermsError,
  type TermsRefusal,
} from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { cases } from "../length.ts";
import { anyRedis, ownServers, startRedis } from "../servers.ts";
import { asShared } from "./store-suite.ts";
import { isDivided } from "../../src/store/shared-store.ts";
import { receiptsEndMs } from "../../src/kernel/receipts.ts";
import { NOW_MS, Pair } from "./redis-pair.ts";
import { type TermsTurn, termsSchedule } from "./redis-terms-schedules.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? cases(80, 600));
const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_122);
/** Schedules that are played at one time, because most of the time each waits. */
const ABREAST = 8;

const server = await anyRedis();
const io = server.ioredis();
// From then on the server knows the script.
await redisStore(io, { clock: fakeClock(NOW_MS) }).apply([{ mode: "judge", steps: [] }]);
beforeEach(() => server.empty());

const quota: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "first" };
const step = (event: StepEvent, limit: LimitSpec = quota, bucket = "b"): Step => ({ bucket, limit, event });
const charge = (cost = 1, limit: LimitSpec = quota, bucket = "b") => step({ type: "charge", cost }, limit, bucket);
const judge = (...steps: Step[]): StoreRequest => ({ mode: "judge", steps });
const receipt = (number: number, more: Partial<NonNullable<Terms["receipt"]>> = {}): Terms => ({
  receipt: { instance: "one", number, from: 1, ...more },
});

/** The same in other keys, so that schedules do not meet. */
function renamed(request: StoreRequest, prefix: string): StoreRequest {
  const { steps, once } = request;
  return {
    ...request,
    steps: steps.map((each) => ({ ...each, bucket: prefix + each.bucket })),
    ...(once === undefined ? {} : { once: { ...once, key: prefix + once.key } }),
  };
}

async function play(turns: readonly TermsTurn[], prefix: string, count: (what: string) => void): Promise<void> {
  const pair = new Pair(io);
  pair.model.kept.set(MARK_KEY, { text: "m1 m-1 some", expiresAtMs: -1 });
  for (const { advanceMs, send } of turns) {
    pair.clock.advance(advanceMs);
    const { terms, requests } = send(pair.clock.nowMs());
    const asked = requests.map((request) => renamed(request, prefix));
    const own =
      terms.receipt === undefined
        ? terms
        : { ...terms, receipt: { ...terms.receipt, instance: prefix + terms.receipt.instance } };
    const replies = await pair.applyOn(own, asked);
    if (typeof replies === "string") count(replies.replace(/,.*/, ""));
    else {
      for (const [i, reply] of replies.entries()) {
        count(typeof reply === "string" ? reply : `${requests[i]?.mode} ${reply.allowed}`);
      }
    }
  }
  for (const { text } of pair.model.kept.values()) {
    if (/,M/.test(text)) count("memo");
    if (/^r1 .*1.*,o/.test(text)) count("receipt of what was booked");
  }
}

describe("the script mirrors the kernel with terms", () => {
  it(`on ${SCHEDULES} random schedules`, async (context) => {
    server.cli("SET", MARK_KEY, "m1 m-1 some");
    const tally = new Map<string, number>();
    const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1);
    let played = 0;
    const abreast = fc.array(termsSchedule, { minLength: ABREAST, maxLength: ABREAST });
    await fc.assert(
      fc.asyncProperty(abreast, async (drawn) => {
        await Promise.all(drawn.map((turns) => play(turns, `${played++}-`, count)));
      }),
      { numRuns: Math.ceil(SCHEDULES / ABREAST), seed: SEED, endOnFailure: true },
    );
    context.diagnostic(JSON.stringify(Object.fromEntries(tally)));
    for (const what of ["too-late", "settled", "other-incarnation", "undo true", "force false", "memo"]) {
      assert.ok((tally.get(what) ?? 0) > SCHEDULES / 20, what);
    }
  });

  it("in receipts and marks that another program wrote", async () => {
    const key = receiptsKey("one");
    const over = "9007199254740992";
    const texts = [
      `r1 1 `,
      `r1 1 1.0,${NOW_MS},11,o`,
      `r1 01 01.00,0${NOW_MS},11,c`,
      `r1 1 1.0,5,,o;2.0,6,01,c`,
      `r1 4 1.0,5,11,o;9.0,6,01,c;5.0,6,01,o`,
      ...[
        `r1 1`,
        `r1`,
        `r2 1 `,
        `r1 1  `,
        `r1 x `,
        `r1 1 1.0,5,1,x`,
        `r1 1 1.0,5,2,o`,
        `r1 1 1.0,5,1,o;`,
        `r1 1 1,5,1,o`,
      ],
      ...[
        `r1 1 ;`,
        `r1 1 1.0,5,1,o `,
        `r1 1 1.0,5,1,o\n`,
        `r1 ${over} `,
        `r1 1 ${over}.0,5,1,o`,
        `r1 1 1.0,${over},1,o`,
      ],
      ...["5", "m1 a all", "h1 c a,1,2,c", "x", ""],
    ];
    for (const text of texts) {
      for (const terms of [receipt(1), receipt(2, { closes: true }), receipt(5, { from: 3 })]) {
        await io.flushall();
        const pair = new Pair(io);
        await pair.write(key, text, NOW_MS + 5_000);
        await pair.applyOn(terms, [judge(charge()), { mode: "undo", steps: [charge()] }, judge(charge(0))]);
        // A bucket that holds it, too.
        await pair.write("b", text, NOW_MS + 5_000);
        await pair.apply([judge(charge()), { ...judge(charge()), once: { key: "b", request: "r" } }]);
      }
    }
    const long = "i".repeat(64);
    const marks = [
      "m1 a all",
      "m1 a some",
      "m1 a",
      "m1 a  all",
      "m1 a none",
      "m2 a all",
      "m1 a all ",
      `m1 ${long} all`,
    ];
    for (const text of [...marks, `m1 ${long}i all`, "m1 ä all", "m1 a ALL", "a", "5"]) {
      for (const incarnation of ["a", long, `${long}i`]) {
        await io.flushall();
        const pair = new Pair(io);
        await pair.write(MARK_KEY, text, NOW_MS + 5_000);
        await pair.applyOn({ incarnation }, [judge(charge())]);
      }
    }
  });

  it("where a key of them is of another type", async () => {
    const store = asShared(redisStore(io, { clock: fakeClock(NOW_MS) }));
    server.cli("RPUSH", MARK_KEY, "m1 a all");
    server.cli("RPUSH", receiptsKey("one"), "r1 1 1.0,5,1,o");
    await assert.rejects(store.book([judge(charge())], { incarnation: "a" }), isError("other-incarnation"));
    await store.book([judge(charge())], receipt(1));
    assert.equal(server.cli("GET", receiptsKey("one")), `r1 1 1.0,${NOW_MS},1,o`);
  });
});

function isError(code: StoreErrorCode | TermsRefusal, transient = true): (error: unknown) => boolean {
  return (error) =>
    StoreError.isInstance(error) &&
    (TermsError.refusalOf(error) ?? error.code) === code &&
    error.transient === transient;
}

describe("a batch with terms", () => {
  it("is not booked after its deadline, nor in another incarnation", async () => {
    const pair = new Pair(io);
    assert.equal(typeof (await pair.applyOn({ notAfterMs: NOW_MS }, [judge(charge())])), "object");
    assert.match(String(await pair.applyOn({ notAfterMs: NOW_MS - 1 }, [judge(charge())])), /^too-late.* 1 ms after/);
    assert.match(String(await pair.applyOn({ incarnation: "a" }, [judge(charge())])), /^other-incarnation, for now/);
    await pair.write(MARK_KEY, "m1 a all", NOW_MS + 5_000);
    assert.equal(typeof (await pair.applyOn({ incarnation: "a" }, [judge(charge())])), "object");
    assert.match(String(await pair.applyOn({ incarnation: "b" }, [judge(charge())])), /^other-incarnation/);
    assert.equal(server.cli("GET", "b"), "2");
    assert.equal(server.cli("EXISTS", receiptsKey("one")), "0");
  });

  it("that comes again is answered if it was booked whole, else refused", async () => {
    const pair = new Pair(io);
    const [one, other] = [judge(charge(1)), judge(charge(3))];
    await pair.applyOn(receipt(1), [one, one]);
    const again = await pair.applyOn(receipt(1), [one, one]);
    assert.ok(typeof again === "object" && again.every((reply) => typeof reply === "object" && reply.allowed));
    assert.equal(server.cli("GET", "b"), "2");
    await pair.applyOn(receipt(2), [one, other, other]);
    assert.match(String(await pair.applyOn(receipt(2), [one, other, other])), /^settled/);
    assert.equal(server.cli("GET", "b"), "3");
  });

  it("that closes books what was not booked before, and shows the rest", async () => {
    const pair = new Pair(io);
    const settle = step({ type: "settle", id: "a", units: 2 }, quota, "held");
    const asked = [judge(charge(3)), judge(charge(3)), { mode: "force", steps: [settle] }, judge(charge(2))] as const;
    await pair.applyOn(receipt(1), asked);
    assert.equal(pair.model.kept.get(receiptsKey("one"))?.text, `r1 1 1.0,${NOW_MS},1011,o,2`);
    pair.clock.advance(60_000);
    const replies = await pair.applyOn(receipt(1, { closes: true }), asked);
    assert.ok(typeof replies === "object" && replies.every((reply) => typeof reply === "object" && reply.allowed));
    assert.deepEqual([server.cli("GET", "b"), server.cli("EXISTS", "held")], ["3", "1"]);
    assert.equal(server.cli("GET", receiptsKey("one")), `r1 1 1.0,${NOW_MS},1111,c`);
    assert.equal(server.cli("PEXPIRETIME", receiptsKey("one")), `${receiptsEndMs(NOW_MS + 60_000)}`);
  });

  it("takes back once what another batch booked, where its undo says when that was", async () => {
    const pair = new Pair(io);
    await pair.applyOn(receipt(1), [judge(charge(3))]);
    const bookedAtMs = pair.clock.nowMs();
    pair.clock.advance(10);
    const undo = [{ mode: "undo", atMs: bookedAtMs, steps: [charge(1)] }] as const;
    await pair.applyOn(receipt(2), undo);
    await pair.applyOn(receipt(2), undo);
    assert.equal(server.cli("GET", "b"), "2");
    assert.match(server.cli("GET", receiptsKey("one")), /;2\.0,\d+,1,o$/);
  });

  it("is undone once as far as it was booked, and refused after its number is closed", async () => {
    const pair = new Pair(io);
    const asked = [judge(charge(3)), judge(charge(3)), { ...judge(charge(1)), once: { key: "o", request: "r" } }];
    await pair.applyOn(receipt(1), asked);
    assert.equal(server.cli("EXISTS", "o"), "1");
    const undo = asked.map((request) => ({ ...request, mode: "undo" }) as const);
    pair.clock.advance(10);
    await pair.applyOn(receipt(1, { closes: true }), undo);
    await pair.applyOn(receipt(1, { closes: true }), undo);
    assert.deepEqual([server.cli("GET", "b"), server.cli("EXISTS", "o")], ["0", "0"]);
    assert.equal(server.cli("GET", receiptsKey("one")), `r1 1 1.0,${NOW_MS},000,c`);
    assert.match(
      String(await pair.applyOn(receipt(1), asked)),
      /^settled, for now: the batch 1 was closed, or a part of it was refused$/,
    );
    await pair.applyOn(receipt(4, { from: 3 }), asked);
    assert.match(String(await pair.applyOn(receipt(2), asked)), /^settled/);
  });

  it("is refused while sixteen others of its instance are open", async () => {
    const pair = new Pair(io);
    for (let number = 1; number <= 16; number++) await pair.applyOn(receipt(number), [judge(charge())]);
    assert.match(String(await pair.applyOn(receipt(17), [judge(charge())])), /^too-many-open, for now: 16 batches/);
    assert.equal(typeof (await pair.applyOn(receipt(16, { closes: true }), [])), "object");
    assert.equal(typeof (await pair.applyOn(receipt(17, { from: 2 }), [])), "object");
    assert.equal(typeof (await pair.applyOn(receipt(1, { instance: "two" }), [])), "object");
  });

  it("of several scripts has a receipt for each, which are one batch together", async () => {
    const clock = fakeClock(NOW_MS);
    const store = asShared(redisStore(io, { clock }));
    const most: LimitSpec = { ...quota, quota: 300 };
    const asked = Array.from({ length: 400 }, (_, i) => judge(charge(1, most, "same"), charge(1, most, `own-${i}`)));
    const texts = () =>
      server
        .cli("GET", receiptsKey("one"))
        .split(/[ ;]/)
        .slice(2)
        .map((text) => text.split(","));
    const digits = () =>
      texts().map(([number, , booked]) =>
        `${number} ${booked?.replace(/(.)\1*/g, (row) => `${row[0]}x${row.length} `)}`.trim(),
      );
    await store.book(asked, receipt(1));
    assert.deepEqual(digits(), ["1.0 1x128", "1.1 1x128", "1.2 1x44 0x84", "1.3 0x16"]);
    clock.advance(5);
    await store.book(asked, receipt(1));
    assert.equal(server.cli("GET", "same"), "300");
    // With it sixteen are open.
    for (let number = 2; number <= 16; number++) await store.book([], receipt(number));
    await store.book(asked, receipt(1));
    await assert.rejects(store.book(asked, receipt(17)), isError("too-many-open"));
    const undo = asked.map((request) => ({ ...request, mode: "undo" }) as const);
    const replies = await store.book(undo, receipt(1, { closes: true }));
    assert.ok(replies.every((reply) => !StoreError.isInstance(reply) && reply.allowed));
    assert.equal(server.cli("GET", "same"), "0");
    assert.ok(
      texts()
        .filter(([number]) => number?.startsWith("1."))
        .every(([, , , letter]) => letter === "c"),
    );
    assert.equal(texts().length, 4 + 15);
    await assert.rejects(store.book(asked, receipt(1)), isError("settled"));
    await assert.rejects(store.book(asked, { notAfterMs: NOW_MS }), isError("too-late"));
    // One part that is refused says nothing of the others.
    server.cli("SET", receiptsKey("one"), `r1 1 5.1,${NOW_MS},1,c`);
    const mixed = await store.book(asked.slice(0, 200), receipt(5));
    const codes = mixed.map((reply) =>
      StoreError.isInstance(reply) ? (TermsError.refusalOf(reply) ?? reply.code) : "booked",
    );
    assert.deepEqual(codes, [...Array(128).fill("booked"), ...Array(72).fill("settled")]);
  });

  it("costs nothing without terms", async () => {
    const store = asShared(redisStore(io, { clock: fakeClock(NOW_MS) }));
    const [one] = await store.book([judge(charge())], {});
    assert.ok(one !== undefined && !StoreError.isInstance(one) && one.allowed);
    assert.deepEqual(await store.book([], {}), []);
    assert.equal(server.cli("KEYS", "*"), "b");
  });
});

describe("instances that share a Redis", () => {
  /** An instance says at most that it lives for so long. */
  const LONGEST_MS = 600_000;
  const KEYS = ["tollgate:1:$names:g", "tollgate:1:$ends:g"];
  const member = (instance: string, more: Partial<Member> = {}): Member => {
    return { group: "g", instance, livesMs: 1_000, seen: [], ...more };
  };
  const beat = (store: Store, ...given: Parameters<typeof member>) => asShared(store).beat(member(...given));
  const place = async (...given: Parameters<typeof beat>) => {
    const { instances, rank } = await beat(...given);
    return [instances, rank];
  };

  it("are counted, in the byte order of their names, until they leave or expire", async () => {
    const clock = fakeClock(NOW_MS);
    const store = asShared(redisStore(io, { clock }));
    assert.deepEqual(await place(store, "b"), [1, 0]);
    assert.deepEqual(await place(store, "a"), [2, 0]);
    assert.deepEqual(await place(store, "_"), [3, 0]);
    assert.deepEqual(await place(store, "B:1"), [4, 0]);
    assert.deepEqual(await place(store, "B"), [5, 0]);
    assert.deepEqual(await place(store, "b"), [5, 4]);
    assert.deepEqual(await place(store, "bb", { livesMs: 500 }), [6, 5]);
    assert.deepEqual(await place(store, "b", { group: "h" }), [1, 0]);
    assert.deepEqual(await place(store, "B:1", { livesMs: 0 }), [5, 0]);
    clock.advance(499);
    assert.deepEqual(await place(store, "b"), [5, 3]);
    clock.advance(1);
    assert.deepEqual(await place(store, "b"), [4, 3]);
    clock.advance(500);
    assert.deepEqual(await place(store, "c"), [2, 1]);
    for (const key of KEYS) assert.equal(server.cli("PEXPIRETIME", key), `${NOW_MS + 1_000 + LONGEST_MS}`);
    await beat(store, "b", { livesMs: 0 });
    assert.deepEqual(await place(store, "c", { livesMs: 0 }), [0, 0]);
    assert.equal(server.cli("EXISTS", ...KEYS), "0");
  });

  it("make a beat about as cheap among 4,000 as among 100", async () => {
    const store = asShared(redisStore(io, { clock: fakeClock(NOW_MS) }));
    const usPerBeat = async (count: number) => {
      const names = Array.from({ length: count }, (_, i) => `i${String(i).padStart(4, "0")}`);
      for (let first = 0; first < count; first += 200) {
        await Promise.all(names.slice(first, first + 200).map((name) => beat(store, name)));
      }
      server.cli("CONFIG", "RESETSTAT");
      for (let i = 0; i < 200; i++) await beat(store, names[(i * 37) % count] ?? "");
      return Number(/cmdstat_evalsha:.*usec_per_call=([\d.]+)/.exec(server.cli("INFO", "commandstats"))?.[1]);
    };
    const few = await usPerBeat(100);
    const many = await usPerBeat(4_000);
    assert.deepEqual(await place(store, "i2000"), [4_000, 2_000]);
    assert.ok(many < 5 * few, `${many} µs among 4,000, ${few} µs among 100`);
  });

  it("are removed when they expire, at most 100 with each beat", async () => {
    const clock = fakeClock(NOW_MS);
    const store = asShared(redisStore(io, { clock }));
    for (let i = 0; i < 250; i++) await beat(store, `i${i}`);
    clock.advance(1_000);
    const counts: unknown[] = [];
    for (let i = 0; i < 3; i++) counts.push((await beat(store, "x")).instances);
    assert.deepEqual(counts, [151, 51, 1]);
  });

  it("get new ranks where one of the two sets was evicted or changed", async () => {
    const store = asShared(redisStore(io, { clock: fakeClock(NOW_MS) }));
    for (const name of ["a", "b", "c"]) await beat(store, name);
    const [names = "", ends = ""] = KEYS;
    server.cli("DEL", names);
    assert.deepEqual(await place(store, "b"), [3, 1]);
    server.cli("ZREM", names, "a");
    assert.deepEqual(await place(store, "c"), [3, 2]);
    server.cli("ZADD", names, "0", "ghost");
    assert.deepEqual(await place(store, "c"), [3, 2]);
    server.cli("DEL", ends);
    assert.deepEqual(await place(store, "b"), [1, 0]);
  });

  it("send their seen buckets only where a mark has to be made", async () => {
    const named: number[] = [];
    const spy = {
      isCluster: false,
      call: (command: string, ...args: (string | number)[]) => {
        if (command === "EVALSHA") named.push(Number(args[1]) - 4);
        return io.call(command, ...args);
      },
    };
    const store = asShared(redisStore(spy));
    await beat(store, "a", { seen: ["b", "c"] });
    const first = named.splice(0);
    assert.ok(first.includes(2), `${first}`);
    await beat(store, "a", { seen: ["b", "c"] });
    assert.deepEqual(named.splice(0), [0]);
    server.cli("DEL", MARK_KEY);
    await beat(store, "a", { seen: ["b", "c"] });
    assert.deepEqual(named, [0, 2]);
  });

  it("get the server's time, and one incarnation", async () => {
    const store = asShared(redisStore(io));
    const first = await beat(store, "a");
    const second = await beat(store, "b", { livesMs: 60_000, seen: ["gone"] });
    assert.ok(Math.abs(first.nowMs - Date.now()) < 5_000);
    assert.deepEqual([second.incarnation, second.lost], [first.incarnation, first.lost]);
    assert.equal(server.cli("GET", MARK_KEY), `m1 ${first.incarnation} all`);
    assert.deepEqual([server.cli("TTL", MARK_KEY), server.cli("TTL", "tollgate:1:$server")], ["-1", "-1"]);
    for (const key of KEYS) {
      const ttl = Number(server.cli("PTTL", key));
      assert.ok(ttl > LONGEST_MS - 10_000 && ttl <= LONGEST_MS, `${ttl}`);
    }
    const replies = await store.book([judge(charge())], {
      incarnation: first.incarnation,
      notAfterMs: first.nowMs + 60_000,
    });
    assert.ok(replies.every((reply) => !StoreError.isInstance(reply) && reply.allowed));
  });

  it("get another incarnation where the mark is gone, and what was lost from what is left", async () => {
    const store = asShared(redisStore(io));
    const incarnations = new Set<string>();
    const lost = async (seen: readonly string[]) => {
      const heard = await beat(store, "a", { seen });
      incarnations.add(heard.incarnation);
      return heard.lost;
    };
    assert.equal(await lost([]), "all");
    server.cli("DEL", MARK_KEY);
    assert.equal(await lost([]), "some");
    server.cli("SET", "left", "1");
    server.cli("DEL", MARK_KEY);
    assert.equal(await lost(["gone", "left"]), "some");
    server.cli("DEL", MARK_KEY);
    assert.equal(await lost(["gone", "gone too"]), "all");
    server.cli("SET", MARK_KEY, "m1 damaged");
    assert.equal(await lost(["left"]), "some");
    server.cli("FLUSHALL");
    assert.equal(await lost(["left"]), "all");
    server.cli("FLUSHALL");
    assert.equal(await lost([]), "all");
    server.cli("FLUSHALL");
    server.cli("SET", "left", "1");
    assert.equal(await lost([]), "some");
    assert.equal(await lost([]), "some");
    assert.equal(incarnations.size, 8);
  });

  it("get another incarnation from a restarted server", ownServers, async () => {
    const own = await startRedis("--appendonly", "yes", "--appendfsync", "always");
    const client = own.ioredis();
    const store = asShared(redisStore(client));
    const first = await beat(store, "a");
    assert.equal((await beat(store, "a")).incarnation, first.incarnation);
    await own.restart();
    const heard = await untilAnswered(() => beat(store, "a", { seen: ["gone"] }));
    assert.notEqual(heard.incarnation, first.incarnation);
    assert.equal(heard.lost, "some");
    assert.equal((await beat(store, "a")).incarnation, heard.incarnation);
    // A user that may not ask for the server's id keeps what it has.
    own.cli("ACL", "SETUSER", "default", "-info");
    assert.equal((await beat(store, "a")).incarnation, heard.incarnation);
  });

  it("get another incarnation from a server that was a replica and has taken over again", ownServers, async () => {
    const own = await startRedis();
    const store = asShared(redisStore(own.ioredis()));
    const { incarnation } = await beat(store, "a");
    own.cli("REPLICAOF", "127.0.0.1", "1");
    own.cli("REPLICAOF", "NO", "ONE");
    const heard = await beat(store, "a", { seen: ["gone"] });
    assert.notEqual(heard.incarnation, incarnation);
    assert.equal(heard.lost, "some");
    assert.equal((await beat(store, "a")).incarnation, heard.incarnation);
  });

  it("have lives shortened that a clock ahead wrote", async () => {
    const ahead = redisStore(io, { clock: fakeClock(NOW_MS + 86_400_000) });
    await beat(ahead, "a");
    const clock = fakeClock(NOW_MS);
    const right = redisStore(io, { clock });
    assert.equal((await beat(right, "b")).instances, 2);
    clock.advance(LONGEST_MS);
    assert.equal((await beat(right, "b")).instances, 1);
  });

  it("fail like batches", async () => {
    const store = asShared(redisStore(io));
    server.cli("SCRIPT", "FLUSH");
    assert.equal((await beat(store, "a")).instances, 1);
    server.cli("FLUSHALL");
    // A key of another type was written by another program: the beat replaces it.
    for (const key of KEYS) {
      server.cli("SET", key, "x");
      assert.equal((await beat(store, "a")).instances, 1);
    }
    const unreachable = redisStore({ isCluster: false, call: () => Promise.reject(new Error("gone")) });
    await assert.rejects(beat(unreachable, "a"), StoreError.isInstance);
    await store.close();
    await assert.rejects(beat(store, "a"), isError("closed", false));
  });

  it("are unknown on a cluster, whose shards are shared stores", () => {
    const cluster = redisStore({ isCluster: true, call: () => Promise.reject(new Error("asked")) });
    assert.equal(isShared(cluster), false);
    assert.ok(isDivided(cluster) && isShared(cluster.shards.at(0)));
  });
});

async function untilAnswered<Value>(ask: () => Promise<Value>): Promise<Value> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
