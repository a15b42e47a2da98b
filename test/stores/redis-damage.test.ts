// Values that are damaged: the script and the kernel agree on which ones are, no value makes the script fail, and a damaged
// bucket fails its own requests alone until a reset empties it.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import fc from "fast-check";
import { createLimiter, type LimiterEvent } from "tollgate";
import { type LimitSpec, type Step, StoreError, type StoreRequest } from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { NOW_MS, Pair } from "./redis-pair.ts";

const MUTATIONS = Number(process.env.TOLLGATE_MUTATIONS ?? cases(2_000, 12_000));
const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_201);
/** Requests that are sent at one time. */
const ABREAST = 16;

const server = await anyRedis();
const io = server.ioredis();
await redisStore(io, { clock: fakeClock(NOW_MS) }).apply([{ mode: "judge", steps: [] }]);
beforeEach(() => server.empty());

const LIMITS: readonly LimitSpec[] = [
  { algorithm: "budget", quota: 50, ttlMs: 60_000, ttlFrom: "last" },
  { algorithm: "budget", quota: 50, ttlMs: 60_000, ttlFrom: "first" },
  { algorithm: "fixed-window", quota: 50, windowMs: 60_000, align: "epoch" },
  {
    algorithm: "fixed-window",
    quota: 50,
    align: "calendar",
    boundaries: [NOW_MS - 9, NOW_MS + 9_000, NOW_MS + 20_000],
  },
  { algorithm: "sliding-window", quota: 50, windowMs: 60_000 },
  { algorithm: "token-bucket", burst: 50, levelPerUnit: 7, levelPerMs: 2 },
  { algorithm: "concurrency", quota: 50 },
  { algorithm: "elapsed", quota: 5_000, ttlMs: 60_000 },
  { algorithm: "streak", quota: 5, ttlMs: 60_000 },
  { algorithm: "cooldown", quota: 1, pauseMs: 60_000 },
];

const MARK = "00000000000000aa";
const sub = Math.floor(NOW_MS / 6_000);
const TEXTS: readonly string[] = [
  "0",
  "7",
  "9007199254740991",
  `c1 2 ${MARK},bb00000000000000`,
  `s1 6000 ${sub} 1,0,2,0,0,3`,
  `s1 6000 ${sub - 3} 9007199254740980`,
  `s1 100 ${Math.floor(NOW_MS / 100)} 4,4,4,4,4,4,4,4,4,4,4`,
  `g1 ${NOW_MS - 20} 70 7`,
  `g1 ${NOW_MS} 4503599627370496 7`,
  `e1 ${NOW_MS - 500}`,
  "k1 error 3",
  `p1 ${NOW_MS - 500}`,
  `h1 c a,3,${NOW_MS + 50},c60;b,1,${NOW_MS + 60},r60 ${NOW_MS + 900} 5`,
  `h1 c a,3,${NOW_MS - 50},C60;g,10,${NOW_MS + 60},g90 ${NOW_MS + 900} c1 2 ${MARK}`,
  `h1 s a,3,${NOW_MS + 50},c60 ${NOW_MS + 65_000} s1 6000 ${sub} 1,0,2`,
  `h1 g a,2,${NOW_MS + 50},r60,${NOW_MS - 9},14,7;b,1,${NOW_MS + 60},c60,${NOW_MS - 2},20,7 ${NOW_MS + 40} g1 ${NOW_MS - 2} 20 7`,
  `h1 g p,2,${NOW_MS + 50},p60;m,9,${NOW_MS + 80},M90 ${NOW_MS + 40} g1 ${NOW_MS - 2} 20 7`,
  `h1 n a,1,${NOW_MS + 50},r60;b,1,${NOW_MS + 60},r60`,
  `h1 e g,3,${NOW_MS + 50},g60 ${NOW_MS + 900} e1 ${NOW_MS - 5}`,
  `h1 k g,3,${NOW_MS + 50},g60 ${NOW_MS + 900} k1 A-b_9 3`,
  `h1 p a,1,${NOW_MS + 50},c60 ${NOW_MS + 900} p1 ${NOW_MS - 5}`,
];
const ANSWERS: readonly string[] = [
  `o1 r h ${NOW_MS - 7} 1 3,3,50,0,-;0,5,7,-,late`,
  `o1t r . ${NOW_MS - 7} 1+250 1,6+2,50,0,-`,
  `o1 r . ${NOW_MS - 7} 0 `,
];

/** Digits, what stands between them, and what has no business there. */
const characters = fc.constantFrom(..."0123456789,;:+- .chgskeropCRGMn", "\n", "\0", "ä");
const numbers = fc
  .constantFrom("0", "1", "00", "9999999999999", "4503599627370496", "4503599627370497")
  .chain((text) =>
    fc.constantFrom(text, text, "9007199254740991", "9007199254740992", "99999999999999999999", "-1", "1.5", "1e9", ""),
  );
/** What is done to a text: a number is replaced by another one, or a character is changed, added or left out. */
const mutations = fc.oneof(
  fc.tuple(fc.nat(), numbers).map(([at, number]) => (text: string) => {
    const found = [...text.matchAll(/[0-9]+/g)];
    const { index = 0, 0: digits = "" } = found[at % Math.max(1, found.length)] ?? { 0: "" };
    return text.slice(0, index) + number + text.slice(index + digits.length);
  }),
  fc.tuple(fc.nat(), characters, fc.constantFrom(0, 1)).map(([at, character, left]) => (text: string) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + character + text.slice(place + left);
  }),
  fc.tuple(fc.nat(), fc.nat({ max: 5 })).map(([at, left]) => (text: string) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + text.slice(place + left);
  }),
);
const damaged = (texts: readonly string[]) =>
  fc
    .tuple(fc.constantFrom(...texts), fc.array(mutations, { minLength: 0, maxLength: 3 }))
    .map(([text, changes]) => changes.reduce((changed, change) => change(changed), text));

const events: fc.Arbitrary<Step["event"]> = fc.constantFrom(
  { type: "charge", cost: 1 } as const,
  { type: "charge", cost: 1 } as const,
  { type: "charge", cost: 60 } as const,
  { type: "charge", cost: Number.MAX_SAFE_INTEGER } as const,
  { type: "charge", cost: 1, seen: MARK } as const,
  { type: "hold", id: "new", units: 2, leaseMs: 70, onExpiry: "charge" } as const,
  { type: "settle", id: "a", units: 1 } as const,
  { type: "extend", id: "a", leaseMs: 500 } as const,
  { type: "report", outcome: "error" } as const,
  { type: "grant", id: "g2", units: 5, leaseMs: 100 } as const,
  { type: "raise", id: "m", units: 12, atMs: NOW_MS - 3, keptMs: 60_000, lost: "all" } as const,
  { type: "raise", id: "m2", units: 12, atMs: NOW_MS - 3, keptMs: 60_000, lost: "some" } as const,
  { type: "read" } as const,
  { type: "reset" } as const,
);
const limits = fc.constantFrom(...LIMITS);
const ends = fc.constantFrom(1, 50, 60_000, 600_000, 86_400_000, 2 ** 52, 2 ** 53 + 2);
const turns = fc.record({
  text: damaged(TEXTS),
  answer: fc.option(damaged(ANSWERS), { nil: undefined, freq: 3 }),
  endsInMs: ends,
  limit: limits,
  event: events,
  mode: fc.constantFrom("judge" as const, "judge" as const, "force" as const, "peek" as const, "undo" as const),
  waits: fc.boolean(),
});

const good: LimitSpec = { algorithm: "budget", quota: 1_000, ttlMs: 600_000, ttlFrom: "last" };
const charge = (bucket: string, limit: LimitSpec = good): Step => ({
  bucket,
  limit,
  event: { type: "charge", cost: 1 },
});

describe("a damaged value", () => {
  it(`means the same to the script as to the kernel, and never makes the script fail: ${MUTATIONS} mutations`, async () => {
    const counts = { damaged: 0, whole: 0, answered: 0 };
    const samples = fc.sample(turns, { seed: SEED, numRuns: MUTATIONS });
    const lane = async (own: typeof samples, name: string) => {
      const pair = new Pair(io);
      for (const [i, { text, answer, endsInMs, limit, event, mode, waits }] of own.entries()) {
        const [bad, other, once] = [`${name}-${i}-bad`, `${name}-${i}-good`, `${name}-${i}-once`];
        await pair.write(bad, text, NOW_MS + endsInMs);
        if (answer !== undefined) await pair.write(once, answer, NOW_MS + 600_000);
        const asked: StoreRequest = {
          mode,
          steps: [{ bucket: bad, limit, event }, charge(`${other}-2`)],
          ...(answer === undefined ? {} : { once: { key: once, request: "r" } }),
          ...(mode === "undo" ? { atMs: NOW_MS - 7 } : {}),
          ...(waits ? { wait: { id: "w", maxMs: 1_000 } } : {}),
        };
        const requests: StoreRequest[] = [
          { mode: "judge", steps: [charge(other)] },
          asked,
          { mode: "judge", steps: [{ ...charge(bad, limit) }, charge(other)] },
          { mode: "judge", steps: [charge(other)] },
        ];
        const replies = await pair.apply(requests);
        for (const place of [0, 3]) assert.ok(typeof replies[place] === "object" && replies[place].allowed);
        counts[replies[1] === "damaged-bucket" ? "damaged" : "whole"]++;
        counts.answered += typeof replies[1] === "object" && replies[1].replay !== undefined ? 1 : 0;
        pair.forget();
      }
    };
    const share = Math.ceil(samples.length / ABREAST);
    await Promise.all(
      Array.from({ length: ABREAST }, (_, i) => lane(samples.slice(i * share, (i + 1) * share), `lane${i}`)),
    );
    assert.ok(counts.damaged > MUTATIONS / 5 && counts.whole > MUTATIONS / 5 && counts.answered > MUTATIONS / 50);
  });

  it("fails only its own calls, charges no call twice, and is no outage", async () => {
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({
      policy: {
        version: 1,
        limits: [{ name: "rate", per: ["session"], algorithm: "sliding-window", quota: 60, window: "60s" }],
      },
      store: redisStore(io),
      onEvent: (event) => events.push(event),
    });
    await limiter.consume({ tool: "x", session: "good" });
    server.cli("SET", "rate:1:{bad}:rate", "s1 9999999999999 9999999999999 1", "EX", "60");
    const [good, bad] = await Promise.allSettled(
      ["good", "bad"].map((session) => limiter.consume({ tool: "x", session })),
    );
    assert.ok(good?.status === "fulfilled" && good.value.allowed && good.value.degraded === null);
    assert.ok(bad?.status === "rejected" && StoreError.isInstance(bad.reason) && bad.reason.code === "damaged-bucket");
    assert.equal((await limiter.usage({ session: "good" }))[0]?.used, 2);
    await limiter.reset({ limit: "rate", session: "bad" });
    assert.equal((await limiter.consume({ tool: "x", session: "bad" })).allowed, true);
    assert.deepEqual(
      events.filter(({ type }) => type.startsWith("store-a")),
      [],
    );
    await limiter.close();
  });
});
