// What providers report about an answer, good and bad, and what has to be charged when 4,000 tokens were held: the same for
// every framework.

import assert from "node:assert/strict";
import { it } from "node:test";
import { type Cost, createLimiter, type Limiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";

export const HELD = 4_000;
export const ANSWER = "That is all I found.";

/** The counts of one answer, before they are put into the words of a framework. */
export interface Counts {
  readonly input?: unknown;
  readonly output?: unknown;
  readonly total?: unknown;
  readonly cacheRead?: unknown;
  readonly cacheWrite?: unknown;
  readonly reasoning?: unknown;
}

/** Asks a guarded model once, whose provider reports these counts beside the text; returns the text that arrived. */
export type AskModel = (
  limiter: Limiter,
  counts: Counts | null,
  options: { readonly costOf?: unknown; readonly cost?: Cost; readonly text?: string },
) => Promise<string>;

/** How a framework can be asked. */
export interface Framework {
  readonly ask: AskModel;
  /** Whether it reports a total. */
  readonly hasTotal: boolean;
  /** Whether it keeps what is no number, so that it can be seen. */
  readonly keepsGarbage: boolean;
}

const POLICY: PolicyInput = {
  version: 1,
  tools: { model: { cost: { tokens: HELD } } },
  limits: [{ name: "tokens", per: ["session"], unit: "tokens", quota: 1_000_000 }],
};
const MONEY: PolicyInput = {
  version: 1,
  tools: { model: { cost: { usd_micros: 700 } } },
  limits: [{ name: "money", per: ["session"], unit: "usd_micros", quota: 1_000_000 }],
};
const CALLS: PolicyInput = {
  version: 1,
  limits: [
    { name: "calls", per: ["session"], quota: 10 },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1 },
  ],
};

function setUp(policy: PolicyInput) {
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({ policy, store: memoryStore(), onEvent: (event) => events.push(event) });
  const used = async () => (await limiter.usage({ session: "s1" })).map((usage) => usage.used);
  const unusable = () => events.filter(({ type }) => type === "usage.unusable");
  return { limiter: limiter.for({ session: "s1" }), events, unusable, used };
}

/** What is charged for tokens, and how many events there are. */
const CASES: readonly (readonly [what: string, counts: Counts | null, tokens: number, events?: number])[] = [
  ["both counts", { input: 1_200, output: 300 }, 1_500],
  ["more than was held", { input: 9_000, output: 300 }, 9_300],
  ["no usage", null, HELD],
  ["usage without counts", {}, HELD],
  ["null counts", { input: null, output: null, total: null }, HELD],
  ["zeros beside an answer", { input: 0, output: 0, total: 0 }, HELD],
  ["what was read alone", { input: 1_200 }, HELD],
  ["what was written alone", { output: 300 }, HELD],
  ["what was read, and a zero", { input: 1_200, output: 0 }, HELD],
  ["a zero, and what was written", { input: 0, output: 300 }, HELD],
  ["more read than was held, and nothing else", { input: 9_000 }, 9_000],
  ["more written than was held, and a null", { input: null, output: 9_000 }, 9_000],
];
const GARBAGE: typeof CASES = [
  ["NaN", { input: Number.NaN, output: 300 }, HELD, 1],
  ["NaN beside more than was held", { input: 9_000, output: Number.NaN }, 9_000, 1],
  ["a negative count", { input: -1_000, output: 1_300 }, HELD, 1],
  ["a negative count beside more than was held", { input: 9_000, output: -8_000 }, 9_000, 1],
  ["a fraction", { input: 1_200.5, output: 300 }, HELD, 1],
  ["text", { input: "1200", output: 300 }, HELD, 1],
  ["infinite counts", { input: Number.POSITIVE_INFINITY, output: Number.POSITIVE_INFINITY }, HELD, 1],
  ["a bad detail", { input: 1_200, output: 300, cacheRead: -5 }, HELD, 1],
];
const TOTALS: typeof CASES = [
  ["a total alone", { total: 1_500 }, 1_500],
  ["a total beside zeros", { input: 0, output: 0, total: 1_500 }, 1_500],
  ["a total and what was read", { input: 1_200, total: 1_500 }, 1_500],
  ["a total that is what was read alone", { input: 1_200, output: 0, total: 1_200 }, HELD],
  ["a total that is what was written alone", { input: 0, output: 300, total: 300 }, HELD],
  ["a total of one part that is more than was held", { input: 9_000, total: 9_000 }, 9_000],
  ["a total that is more than both counts", { input: 1_200, output: 300, total: 2_000 }, 2_000],
];

/** Tests what is charged for an answer, in every case. */
export function testUsage({ ask, hasTotal, keepsGarbage }: Framework): void {
  for (const [what, counts, tokens, events = 0] of [
    ...CASES,
    ...(keepsGarbage ? GARBAGE : []),
    ...(hasTotal ? TOTALS : []),
  ]) {
    it(`returns the answer and charges ${tokens} tokens: ${what}`, async () => {
      const { limiter, unusable, used } = setUp(POLICY);
      assert.equal(await ask(limiter, counts, {}), ANSWER);
      assert.deepEqual([await used(), unusable().length], [[tokens], events]);
    });
  }

  it("charges the input tokens of an empty answer", async () => {
    const { limiter, used } = setUp(POLICY);
    assert.equal(await ask(limiter, { input: 1_200, output: 0 }, { text: "" }), "");
    assert.deepEqual(await used(), [1_200]);
  });

  it("returns the answer under a policy that counts no tokens, without an event", async () => {
    for (const [policy, used] of [
      [CALLS, [1, 0]],
      [MONEY, [700]],
    ] as const) {
      const set = setUp(policy);
      assert.equal(await ask(set.limiter, { input: 1_200, output: 300 }, {}), ANSWER);
      assert.deepEqual([await set.used(), set.events], [used, []]);
    }
  });

  it("still returns answers when a reload removes the limit of tokens, and when one restores it", async () => {
    const { limiter, unusable, used } = setUp(POLICY);
    for (const policy of [POLICY, CALLS, POLICY]) {
      limiter.reload(policy);
      assert.equal(await ask(limiter, { input: 1_200, output: 300 }, {}), ANSWER);
    }
    assert.deepEqual([await used(), unusable()], [[3_000], []]);
  });

  const bad: readonly [what: string, costOf: (usage: never) => unknown][] = [
    [
      "throws",
      () => {
        throw new Error("no price");
      },
    ],
    ["returns NaN", () => ({ usd_micros: Number.NaN })],
    ["returns text", () => ({ usd_micros: "3" })],
    ["returns a fraction", () => ({ usd_micros: 2982.9 })],
    ["returns a negative number", () => ({ usd_micros: -3 })],
    ["returns an infinite number", () => ({ usd_micros: Number.POSITIVE_INFINITY })],
    ["returns a unit that no limit counts", () => ({ euros: 3 })],
    ["returns nothing", () => undefined],
    ["returns a number", () => 3],
    ["returns a promise", async () => ({ usd_micros: 3 })],
    ["returns a promise that is rejected", async () => Promise.reject(new Error("no price"))],
    ["returns a promise for a unit", () => ({ usd_micros: Promise.reject(new Error("no price")) })],
  ];
  for (const [what, costOf] of bad) {
    it(`returns the answer, charges the estimate and emits an event when costOf ${what}`, async () => {
      const { limiter, unusable, used } = setUp(MONEY);
      assert.equal(await ask(limiter, { input: 1_200, output: 300 }, { costOf }), ANSWER);
      assert.deepEqual([await used(), unusable().length], [[700], 1]);
    });
  }

  it("charges at least the estimate where costOf knows only a part", async () => {
    const costOf = ({ input, output }: { input: number; output: number }) => ({ usd_micros: input + 10 * output });
    for (const [counts, expected] of [
      [{ input: 100, output: 50 }, 600],
      [{ input: 100 }, 700],
      [{ output: 90 }, 900],
      [null, 700],
    ] as const) {
      const { limiter, used, unusable } = setUp(MONEY);
      assert.equal(await ask(limiter, counts, { costOf }), ANSWER);
      assert.deepEqual([await used(), unusable()], [[expected], []]);
    }
  });
}
