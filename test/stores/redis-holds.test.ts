// The script mirrors the kernel in holds and kept answers: every reply, every stored text and every expiry, at times that
// are given.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import fc from "fast-check";
import {
  decodeState,
  encodeState,
  type LimitSpec,
  type Step,
  type StepEvent,
  StoreError,
  type StoreReply,
  type StoreRequest,
} from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { anySchedule, type Schedule, tokenBucketSchedule } from "./held-schedules.ts";
import { NOW_MS, Pair } from "./redis-pair.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? cases(200, 1_500));
const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_122);
const MAX = Number.MAX_SAFE_INTEGER;

const server = await anyRedis();
const io = server.ioredis();
// From then on the server knows the script.
await redisStore(io, { clock: fakeClock(NOW_MS) }).apply([{ mode: "judge", steps: [] }]);
beforeEach(() => server.empty());

const quota: LimitSpec = { algorithm: "budget", quota: 99, ttlMs: 300, ttlFrom: "last" };
const sliding: LimitSpec = { algorithm: "sliding-window", quota: 99, windowMs: 1_000 };
const tokenBucket: LimitSpec = { algorithm: "token-bucket", burst: 99, levelPerUnit: 7, levelPerMs: 2 };
const slots: LimitSpec = { algorithm: "concurrency", quota: 1_000 };

type HoldEvent = Extract<StepEvent, { type: "hold" }>;
const step = (limit: LimitSpec, event: StepEvent): Step => ({ bucket: "b", limit, event });
const hold = (limit: LimitSpec, id: string, more: Partial<HoldEvent> = {}) =>
  step(limit, { type: "hold", id, units: 1, leaseMs: 100, onExpiry: "charge", ...more });
const charge = (limit: LimitSpec, cost = 1) => step(limit, { type: "charge", cost });
const settle = (limit: LimitSpec, id: string, units = 1) => step(limit, { type: "settle", id, units });
const extend = (limit: LimitSpec, id: string, leaseMs: number) => step(limit, { type: "extend", id, leaseMs });
const read = (limit: LimitSpec) => step(limit, { type: "read" });
const reset = (limit: LimitSpec) => step(limit, { type: "reset" });
const judge = (...steps: Step[]): StoreRequest => ({ mode: "judge", steps });
const once = (...steps: Step[]): StoreRequest => ({ mode: "judge", steps, once: { key: "o", request: "r-1" } });

/** Schedules that are played at one time, because most of the time each waits. */
const ABREAST = 8;

/** Plays random schedules, and returns how often what came to pass. */
async function playAll(schedules: fc.Arbitrary<Schedule>, runs: number): Promise<ReadonlyMap<string, number>> {
  const tally = new Map<string, number>();
  const count = (what: string) => tally.set(what, (tally.get(what) ?? 0) + 1);
  let played = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(schedules, { minLength: ABREAST, maxLength: ABREAST }), async (drawn) => {
      await Promise.all(drawn.map((each) => play(each, `${played++}-`, count)));
    }),
    { numRuns: Math.ceil(runs / ABREAST), seed: SEED },
  );
  return tally;
}

async function play({ written, turns }: Schedule, prefix: string, count: (what: string) => void): Promise<void> {
  const pair = new Pair(io);
  for (const [key, text, endMs] of written) await pair.write(prefix + key, text, NOW_MS + endMs);
  for (const { advanceMs, requests } of turns) {
    pair.clock.advance(advanceMs);
    const asked = requests.map((request) => renamed(request, prefix));
    const replies = await pair.apply(asked);
    for (const [i, reply] of replies.entries()) tell(requests[i]?.steps ?? [], reply, count);
  }
}

function renamed(request: StoreRequest, prefix: string): StoreRequest {
  const { steps, once } = request;
  return {
    ...request,
    steps: steps.map((each) => ({ ...each, bucket: prefix + each.bucket })),
    ...(once === undefined ? {} : { once: { ...once, key: prefix + once.key } }),
  };
}

function tell(steps: readonly Step[], reply: StoreReply | string, count: (what: string) => void): void {
  if (typeof reply === "string") count(reply);
  else if (reply.replay !== undefined) count("given again");
  else {
    count(reply.waitMs !== undefined ? "placed" : reply.allowed ? "allowed" : "denied");
    for (const [i, { event }] of steps.entries()) {
      const found = reply.steps[i]?.found;
      count(found === undefined ? event.type : `${event.type} ${found}`);
    }
  }
}

/** A store on an empty server, and its model. */
async function emptyPair(): Promise<Pair> {
  await io.flushall();
  return new Pair(io);
}

describe("the script mirrors the kernel in holds and kept answers", () => {
  it(`on ${SCHEDULES} random schedules`, async (context) => {
    const tally = await playAll(anySchedule, SCHEDULES);
    context.diagnostic(JSON.stringify(Object.fromEntries(tally)));
    const whats = ["allowed", "denied", "given again", "damaged-bucket", "settle live", "settle late", "extend live"];
    for (const what of [
      ...whats,
      "settle unknown",
      "extend late",
      "extend unknown",
      "hold",
      "charge",
      "reset",
      "read",
    ]) {
      assert.ok((tally.get(what) ?? 0) > SCHEDULES / 20, what);
    }
  });

  it(`on ${SCHEDULES} random schedules of a token bucket whose marks sink`, async (context) => {
    const tally = await playAll(tokenBucketSchedule, SCHEDULES);
    context.diagnostic(JSON.stringify(Object.fromEntries(tally)));
    for (const what of ["settle live", "settle late", "extend live", "placed"]) {
      assert.ok((tally.get(what) ?? 0) > SCHEDULES / 10, what);
    }
  });

  for (const limit of [quota, sliding, tokenBucket, slots]) {
    it(`when the clock is set back: ${limit.algorithm}`, async () => {
      const pair = await emptyPair();
      const turns: [advanceMs: number, ...steps: Step[]][] = [
        [0, hold(limit, "a"), hold(limit, "b", { onExpiry: "refund" })],
        [-7, hold(limit, "c")],
        [99, read(limit)],
        [7, charge(limit)],
        [1, charge(limit)],
        [-50, settle(limit, "a", 3)],
        [0, extend(limit, "c", 20)],
        [0, hold(limit, "d", { units: 2 })],
        [100, settle(limit, "d")],
      ];
      for (const [advanceMs, ...steps] of turns) {
        pair.clock.advance(advanceMs);
        for (const each of steps) await pair.apply([judge(each)]);
      }
    });
  }

  it("in marks of one ms that are equal, that rise and that fall", async () => {
    const slow: LimitSpec = { algorithm: "token-bucket", burst: 99, levelPerUnit: 10, levelPerMs: 1 };
    for (const levels of [
      [300, 300, 300],
      [300, 320, 320],
      [280, 300, 320],
      [320, 300, 280],
      [60, 60, 60],
      [60, 75, 75],
      [65, 60, 70],
    ]) {
      const pair = await emptyPair();
      const holds = levels.map((level, i) => `${i},2,${NOW_MS + 50 + i},r,${NOW_MS},${level},10`);
      await pair.write("b", `h1 g ${holds.join(";")} ${NOW_MS + 400} g1 ${NOW_MS} 400 10`, NOW_MS + 600_052);
      const turns = [0, 50, 1, 1].map((advanceMs) => ({
        advanceMs,
        asked: [judge(read(slow)), judge(charge(slow, 70))],
      }));
      for (const { advanceMs, asked } of turns) {
        pair.clock.advance(advanceMs);
        await pair.apply(asked);
      }
    }
  });

  it("in ids and units that differ from step to step, and in those that do not", async () => {
    const pair = await emptyPair();
    const made = { id: "a", units: 2, leaseMs: 50, onExpiry: "refund" } as const;
    const others: Partial<HoldEvent>[] = [{}, { id: "b" }, { units: 3 }, { leaseMs: 51 }, { onExpiry: "charge" }, made];
    const steps = others.map((other, i) => ({ ...hold(quota, "a", { ...made, ...other }), bucket: `b${i}` }));
    await pair.apply([judge(...steps), judge(...steps.map((each) => ({ ...each, limit: tokenBucket })))]);
  });
});

describe("what has ended by now", () => {
  it("mirrors the kernel, and is written only where something is booked", async () => {
    const pair = await emptyPair();
    const full: LimitSpec = { algorithm: "budget", quota: 3, ttlMs: 1_000, ttlFrom: "first" };
    await pair.apply([judge(hold(full, "a", { units: 2 })), judge(hold(full, "b", { units: 1, leaseMs: 50 }))]);
    const before = pair.model.kept.get("b");
    pair.clock.advance(100);
    await pair.apply([
      { mode: "peek", steps: [charge(full)] },
      judge(read(full)),
      judge(charge(full)),
      judge(charge(full, 0)),
      judge(extend(full, "a", 9)),
      { mode: "force", steps: [extend(full, "a", 9)] },
    ]);
    assert.deepEqual(pair.model.kept.get("b"), before);
    await pair.apply([judge(settle(full, "a", 3))]);
    assert.equal(pair.model.kept.get("b")?.text, `h1 c b,1,${NOW_MS + 50},C50 ${NOW_MS + 1_050} 4`);
  });

  it("mirrors the kernel one ms before ten minutes have passed, and at them", async () => {
    for (const limit of [quota, sliding, tokenBucket, slots]) {
      const pair = await emptyPair();
      await pair.apply([judge(reset(limit)), judge(hold(limit, "a")), judge(hold(limit, "b", { leaseMs: 101 }))]);
      for (const advanceMs of [99, 1, 1, 599_998, 1, 1]) {
        pair.clock.advance(advanceMs);
        await pair.apply([{ mode: "peek", steps: [settle(limit, "a")] }, judge(hold(limit, "c", { leaseMs: 1 }))]);
      }
    }
  });
});

describe("a bucket with the maximum of holds", () => {
  const texts = (count: number, endMs: number, letter = "c") =>
    Array.from({ length: count }, (_, i) => `h${i},1,${endMs},${letter}`);

  it("mirrors the kernel: it refuses one more, only for that request, and books nothing of it", async () => {
    const pair = await emptyPair();
    await pair.write("b", `h1 n ${texts(999, NOW_MS + 50).join(";")}`, NOW_MS + 600_050);
    const most: LimitSpec = { algorithm: "concurrency", quota: 5_000 };
    const other: Step = { ...charge(quota), bucket: "other" };
    const replies = await pair.apply([
      judge(hold(most, "last")),
      judge(other, hold(most, "more")),
      { ...once(hold(most, "more"), other), mode: "force" },
      { mode: "peek", steps: [hold(most, "more")] },
      judge(hold(most, "nothing", { units: 0 })),
      judge(other),
      judge(read(most), other),
      judge(settle(most, "h7")),
      judge(hold(most, "more")),
    ]);
    assert.deepEqual(
      replies.map((reply) => (typeof reply === "string" ? reply : reply.allowed)),
      [true, "too-many-holds", "too-many-holds", "too-many-holds", true, true, true, true, true],
    );
    assert.equal(server.cli("GET", "other"), "2");
    assert.equal(server.cli("EXISTS", "o"), "0");
  });

  it("mirrors the kernel: it forgets the oldest one that has expired", async () => {
    const pair = await emptyPair();
    await pair.write("b", `h1 n ${texts(1_000, NOW_MS - 5, "R").join(";")}`, NOW_MS + 600_000);
    await pair.apply([judge(hold(slots, "a")), judge(hold(slots, "b", { leaseMs: 5 })), judge(settle(slots, "h1"))]);
    assert.match(pair.model.kept.get("b")?.text ?? "", /^h1 n h2,/);
  });

  it("mirrors the kernel where another program wrote more, and more than the stack holds", async () => {
    for (const count of [1_001, 20_000]) {
      const pair = await emptyPair();
      await pair.write("b", `h1 n ${texts(count, NOW_MS + 50).join(";")}`, NOW_MS + 600_050);
      const replies = await pair.apply([
        judge(read(slots)),
        judge(hold(slots, "a")),
        { mode: "peek", steps: [reset(slots)] },
        judge(reset(slots)),
        judge(hold(slots, "a")),
      ]);
      const many = "too-many-holds";
      assert.deepEqual(
        replies.map((reply) => (typeof reply === "string" ? reply : reply.allowed)),
        [many, many, true, true, true],
      );
    }
  });
});

describe("a kept answer", () => {
  it("mirrors the kernel in every kind of step, within a batch and later, until ten minutes have passed", async () => {
    const pair = await emptyPair();
    const at = (bucket: string, each: Step): Step => ({ ...each, bucket });
    await pair.apply([
      judge(
        at("live", hold(quota, "a")),
        at("late", hold(quota, "a", { leaseMs: 1 })),
        at("extended", hold(slots, "a")),
      ),
    ]);
    pair.clock.advance(2);
    const most: LimitSpec = { ...quota, quota: MAX };
    const request = once(
      at("charged", charge(most, MAX)),
      at("held", hold(tokenBucket, "x", { units: 3 })),
      at("held-2", hold(slots, "y")),
      at("live", settle(quota, "a", 4)),
      at("late", settle(quota, "a", 4)),
      at("unknown", settle(quota, "a", 4)),
      at("extended", extend(slots, "a", 1_000)),
      at("read", read(quota)),
      at("emptied", reset(quota)),
    );
    const other = once(at("charged", charge(quota, 5)));
    const [first, again] = await pair.apply([request, request, other]);
    assert.ok(typeof first === "object" && typeof again === "object" && again.replay?.hold === "x");
    for (const advanceMs of [599_999, 1, 599_999]) {
      pair.clock.advance(advanceMs);
      await pair.apply([{ ...request, mode: "peek" }, request, { ...other, mode: "force" }]);
    }
  });

  it("mirrors the kernel: a denied one is not kept, a forced one is, and so is one without steps", async () => {
    const pair = await emptyPair();
    const none: LimitSpec = { ...quota, quota: 0 };
    const replies = await pair.apply([
      once(charge(none), { ...charge(quota), bucket: "other" }),
      { ...once(charge(none), { ...extend(quota, "a", 1), bucket: "other" }), mode: "force" },
      once(charge(none)),
      { ...once(), once: { key: "none", request: "-" } },
      { ...once(), once: { key: "none", request: "_" } },
    ]);
    assert.deepEqual(
      replies.map((reply) => typeof reply === "object" && (reply.replay?.request ?? reply.allowed)),
      [false, false, "r-1", true, "-"],
    );
  });

  it("mirrors the kernel where its key holds the state of a bucket, and is a bucket of another request", async () => {
    const pair = await emptyPair();
    await pair.write("o", "5", NOW_MS + 5_000);
    await pair.apply([{ ...once(charge(quota)), mode: "peek" }, once(charge({ ...quota, quota: 0 }))]);
    await pair.apply([once(charge(quota)), judge({ ...charge(quota, 0), bucket: "o" }), once()]);
    await pair.apply([judge({ ...charge(quota), bucket: "o" }), once(charge(quota))]);
    await pair.apply([{ ...once({ ...charge(quota), bucket: "o" }), once: { key: "o", request: "same" } }]);
  });

  it("is repeated although its buckets are damaged now, and repairs none", async () => {
    const pair = await emptyPair();
    await pair.apply([once(charge(quota))]);
    await pair.write("b", "x", NOW_MS + 5_000);
    const replies = await pair.apply([once(charge(quota)), once(reset(quota)), judge(charge(quota))]);
    assert.deepEqual(
      replies.map((reply) => typeof reply),
      ["object", "object", "string"],
    );
  });

  it("fails only its request where its key is of another type or damaged", async () => {
    const store = redisStore(io, { clock: fakeClock(NOW_MS) });
    server.cli("RPUSH", "o", "a");
    const codes = async (...requests: StoreRequest[]) =>
      (await store.apply(requests)).map((reply) => (StoreError.isInstance(reply) ? reply.code : reply.allowed));
    assert.deepEqual(await codes(once(charge(quota)), judge(charge(quota))), ["wrong-type", true]);
    assert.deepEqual([server.cli("LLEN", "o"), server.cli("GET", "b")], ["1", "1"]);
    server.cli("SET", "o", "o1 x", "EX", "1000");
    const [reply] = await store.apply([once(charge(quota))]);
    assert.ok(StoreError.isInstance(reply) && reply.code === "damaged-bucket" && / o is damaged/.test(reply.message));
    assert.deepEqual(await codes(once(charge(quota)), { ...once(charge(quota)), mode: "peek" }), [
      "damaged-bucket",
      true,
    ]);
    assert.deepEqual([server.cli("GET", "o"), server.cli("GET", "b")], ["o1 x", "1"]);
  });
});

/** One of each kind of text, as the kernel writes it. */
const TEXTS = [
  `h1 c a,1,${NOW_MS + 9},c`,
  `h1 c a,1,${NOW_MS + 9},R;b-_9,20,${NOW_MS + 70},c ${NOW_MS + 60} 12`,
  `h1 s a,1,${NOW_MS + 9},r ${NOW_MS + 60} s1 100 ${Math.floor(NOW_MS / 100)} 1,0,3`,
  `h1 g a,2,${NOW_MS + 9},r,${NOW_MS},28,7;b,1,${NOW_MS + 70},c,${NOW_MS},35,7 ${NOW_MS + 18} g1 ${NOW_MS} 35 7`,
  `h1 n a,1,${NOW_MS + 9},r;b,3,${NOW_MS + 70},C`,
  `o1 r-1 b-_9 ${NOW_MS - 5} 1 1,2,300,0,-;2,3,4,-,live;0,1,2,30,late;0,1,2,0,unknown`,
  `o1 r-1 . ${NOW_MS - 5} 0 `,
];

describe("a text that another program wrote", () => {
  const long = "i".repeat(64);
  const over = "9007199254740992";
  const rows: Record<string, readonly string[]> = {
    "h1 c ": [
      "",
      " ",
      "a",
      "a,1",
      "a,1,2",
      "a,1,2,c",
      "a,1,2,C",
      "a,1,2,r",
      "a,1,2,R",
      "a,1,2,x",
      "a,1,2,cc",
      "a,1,2,",
    ],
    "h1 n ": [
      "a,01,2,c",
      "a,1,02,c",
      "a,0,0,c",
      "a,-1,2,c",
      "a,1.5,2,c",
      "a,1,2e3,c",
      ",1,2,c",
      "a b,1,2,c",
      "é,1,2,c",
    ],
    "h1 g ": [
      `${long},1,2,c`,
      `${long}i,1,2,c`,
      "a,1,2,c,3",
      "a,1,2,c,3,4",
      "a,1,2,c,3,4,5",
      "a,1,2,c,3,4,0",
      "a,1,2,c,3,4,05",
      "a,1,2,c,03,04,5",
      "a,1,2,c,,4,5",
      "a,1,2,c,3,4,5,6",
      "a,1,2,c,3,4,5,",
      `a,1,2,c,3,4,${over}`,
      `a,1,2,c,3,${over},5`,
      `a,1,2,c,${over},4,5`,
      `a,1,2,c,${MAX},${MAX},${MAX}`,
      `a,${over},2,c`,
      `a,1,${over},c`,
      `a,${MAX},${MAX},r`,
    ],
    "h1 s ": [
      "a,1,2,c;",
      ";a,1,2,c",
      "a,1,2,c;;b,1,2,c",
      "a,1,2,c;b",
      "a,1,2,c; b,1,2,c",
      "a,1,2,c;b,1,2,r",
      "a,1,2,c\n",
    ],
    [`h1 c a,1,${NOW_MS + 9},c`]: [
      " ",
      "  ",
      " 5",
      " 5 ",
      " 5 5",
      ` ${NOW_MS + 99} 5`,
      ` 0${NOW_MS + 99} 5`,
      ` ${NOW_MS + 99} 05`,
      ` ${NOW_MS + 99} 0`,
      ` ${NOW_MS + 99}  5`,
      ` ${NOW_MS + 99} 5 `,
      ` ${NOW_MS + 99} 5\n`,
      ` ${NOW_MS + 99} g1 1 1 1`,
      ` ${NOW_MS + 99} ${over}`,
      ` ${over} 5`,
      ` ${2 ** 52} ${MAX}`,
      ` x 5`,
      ` -1 5`,
      ` ${NOW_MS + 99} h1 c a,1,2,c`,
    ],
    [`h1 g a,1,${NOW_MS + 9},c,5,5,5 ${NOW_MS + 99} `]: [
      "g1 5 6 7",
      "g1 05 06 7",
      "g1 5 6 0",
      "g2 5 6 7",
      "5",
      "s1 1 1 1",
      "g1",
    ],
    [`h1 s a,1,${NOW_MS + 9},c ${NOW_MS + 99} `]: [
      "s1 5 6 7",
      "s1 5 06 07,0",
      "s1 0 6 7",
      "5",
      "g1 5 6 7",
      "s1 5 6 7,",
    ],
    [`h1 n a,1,${NOW_MS + 9},c ${NOW_MS + 99} `]: ["5", "g1 5 6 7", "n1", "x"],
    "": [
      "h",
      "h1",
      "h1 ",
      "h1 c",
      "h2 c a,1,2,c",
      "h1 x a,1,2,c",
      "h1  a,1,2,c",
      "h1 cc a,1,2,c",
      " h1 c a,1,2,c",
      "H1 c a,1,2,c",
    ],
    "o1 ": [
      "",
      "r",
      "r .",
      "r . 5",
      "r . 5 1",
      "r . 5 1 ",
      "r . 5 2 ",
      "r . 5 01 ",
      "r .. 5 1 ",
      "r .a 5 1 ",
      "r a.b 5 1 ",
    ],
    "o1 r ": [
      "a 5 0 ",
      "- 5 0 ",
      ". -5 0 ",
      ". 05 0 ",
      ` ${over} 0 `,
      `. ${over} 0 `,
      `. ${MAX} 0 `,
      ". 5 0  ",
      ". 5 0 \n",
      "é 5 0 ",
    ],
    o1: [` ${long} ${long} 5 1 `, ` ${long}i . 5 1 `, ` r ${long}i 5 1 `, ` . . 5 1 `, " r . 5 1 x y", "1 r . 5 1 "],
    "o1 r . 5 1 ": [
      "1,2,3,0,-",
      "1,2,3,-,-",
      "1,2,3,--,-",
      "1,2,3,4-,-",
      "1,2,3,,-",
      "1,2,3,0,",
      "1,2,3,0",
      "1,2,3,0,live",
      "1,2,3,0,late",
      "1,2,3,0,unknown",
      "1,2,3,0,Live",
      "1,2,3,0,lively",
      "1,2,3,0,--",
      "1,2,3,0,-,",
      "01,02,03,00,-",
      "1,2,3,0,-;",
      ";1,2,3,0,-",
      "1,2,3,0,-;;1,2,3,0,-",
      "1,2,3,0,-;1,2,3,4,late",
      `${MAX},${MAX},${MAX},${MAX},-`,
      `${over},2,3,0,-`,
      `1,${over},3,0,-`,
      `1,2,${over},0,-`,
      `1,2,3,${over},-`,
      "-1,2,3,0,-",
      "1,2,3,0,- ",
      "x",
    ],
  };
  const limits: LimitSpec[] = [quota, sliding, tokenBucket, slots];

  /** Reads a text, books on it under each limit, and asks for the answer that it may be. */
  async function mirrors(text: string): Promise<void> {
    for (const limit of limits) {
      const pair = await emptyPair();
      await pair.write("b", text, NOW_MS + 700_000);
      await pair.apply([
        { mode: "peek", steps: [charge(limit)] },
        judge(hold(limit, "new")),
        judge(settle(limit, "a", 2)),
      ]);
    }
    const pair = await emptyPair();
    await pair.write("o", text, NOW_MS + 700_000);
    await pair.apply([once(charge(quota)), judge({ ...read(quota), bucket: "o" })]);
  }

  for (const [head, tails] of Object.entries(rows)) {
    it(`mirrors the kernel in what is damaged: ${JSON.stringify(head)}`, async () => {
      for (const tail of tails) await mirrors(head + tail);
    });
  }

  it("mirrors the kernel in its own texts, with any character changed, left out or put in", async () => {
    for (const text of TEXTS) {
      const state = decodeState(text, NOW_MS + 700_000);
      assert.equal(state && encodeState(state), text);
      await mirrors(text);
    }
    const edits = fc.record({
      text: fc.constantFrom(...TEXTS),
      at: fc.nat(999),
      removed: fc.nat(2),
      added: fc.constantFrom("", "", "0", "9", "-", ",", ";", " ", ".", "x", "C", "\n", "é", "h1 c "),
    });
    await fc.assert(
      fc.asyncProperty(edits, async ({ text, at, removed, added }) => {
        const place = at % text.length;
        await mirrors(text.slice(0, place) + added + text.slice(place + removed));
      }),
      { numRuns: Math.ceil(SCHEDULES / 10), seed: SEED },
    );
  });
});

describe("a text without an expiry, which another program wrote", () => {
  const store = redisStore(io, { clock: fakeClock(NOW_MS) });
  const endOf = (key: string) => Number(server.cli("PEXPIRETIME", key));

  it("gets the end of its holds", async () => {
    const cases: [limit: LimitSpec, text: string, endMs: number][] = [
      [slots, `h1 n a,1,${NOW_MS + 50},r`, NOW_MS + 600_050],
      [slots, `h1 n a,1,${NOW_MS + 50},r;b,1,${NOW_MS + 70},R`, NOW_MS + 600_070],
      [quota, `h1 c a,1,${NOW_MS + 50},c ${NOW_MS + 60} 2`, NOW_MS + 600_050],
      [{ ...quota, ttlMs: 900_000 }, `h1 c a,1,${NOW_MS + 50},c ${NOW_MS + 60} 2`, NOW_MS + 900_050],
      [{ ...quota, ttlMs: 900_000 }, `h1 c a,1,${NOW_MS + 50},r ${NOW_MS + 60} 2`, NOW_MS + 600_050],
      [
        tokenBucket,
        `h1 g a,1,${NOW_MS + 50},c,${NOW_MS},7,7 ${NOW_MS + 800_000} g1 ${NOW_MS} 1600000 7`,
        NOW_MS + 800_000,
      ],
    ];
    for (const [limit, text, endMs] of cases) {
      server.cli("SET", "b", text);
      const [reply] = await store.apply([{ mode: "peek", steps: [read(limit)] }]);
      assert.ok(reply !== undefined && !StoreError.isInstance(reply) && reply.allowed);
      assert.deepEqual([server.cli("GET", "b"), endOf("b")], [text, endMs]);
    }
  });

  it("is empty when its holds are forgotten now, and is removed", async () => {
    const past = Date.now() - 3_600_000;
    server.cli("SET", "b", `h1 n a,1,${past},R`);
    const [reply] = await redisStore(io).apply([judge(read(slots))]);
    assert.ok(reply !== undefined && !StoreError.isInstance(reply) && reply.steps[0]?.used === 0);
    assert.equal(server.cli("GET", "b"), "");
  });

  it("is unchanged under a limit of another algorithm", async () => {
    server.cli("SET", "b", `h1 n a,1,${NOW_MS + 50},r`);
    await store.apply([judge(read(quota))]);
    assert.equal(endOf("b"), -1);
  });

  it("is an answer for ten minutes from the time that it names", async () => {
    server.cli("SET", "o", `o1 r . ${NOW_MS - 5} 1 `);
    const [reply] = await store.apply([once(charge(quota))]);
    assert.ok(reply !== undefined && !StoreError.isInstance(reply) && reply.replay?.request === "r");
    assert.equal(endOf("o"), NOW_MS - 5 + 600_000);
    server.cli("SET", "o", `o1 r . ${NOW_MS - 600_000} 1 `);
    const [later] = await store.apply([once(charge(quota))]);
    assert.ok(later !== undefined && !StoreError.isInstance(later) && later.replay === undefined);
    assert.equal(endOf("o"), NOW_MS + 600_000);
  });
});
