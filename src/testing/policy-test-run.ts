// Runs the tests of a policy: each on a limiter of its own, over a store in memory and a clock that moves when a step says
// so. Nothing waits, and the same tests give the same results. What a test may say is checked before.

import { randomId } from "../ids.ts";
import { CALL_WORDS, type Call, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import type { BucketUsage, Decision } from "../kernel/decision.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { createLimiter, type Limiter, type QuotaOptions, type RunContext } from "../limiter.ts";
import { StoreError } from "../store/error.ts";
import { memoryStore } from "../stores/memory.ts";
import { type SteppedClock, steppedClock } from "./fake-clock.ts";
import { costIn, type PolicyTestUnits, parseSpan, quotasIn, unitsIn, withCost } from "./policy-test-amounts.ts";
import { compareBucket, compareCall, compareRemaining, type Mismatch } from "./policy-test-compare.ts";
import { Coverage } from "./policy-test-coverage.ts";
import type { PolicyTest, PolicyTestBucketName, PolicyTestCall, PolicyTestEnding } from "./policy-test-input.ts";
import type { PolicyTestStep } from "./policy-test-input.ts";
import { DEFAULT_AT, instantMs } from "./policy-test-schema.ts";

/** Most times that open calls extend their holds in one step. */
const MAX_EXTENSIONS = 20_000;
const TOO_LONG: Mismatch = {
  word: "wait",
  expected: `at most ${MAX_EXTENSIONS} extensions of open calls in one step`,
  got: "more: end the calls before it, or give their limits a longer lease",
};

/** What came of one test. */
export interface PolicyTestResult {
  readonly name: string;
  /** `null` for a test that passed. */
  readonly failure: PolicyTestFailure | null;
}

/** The first step of a test that was not as expected. */
export interface PolicyTestFailure {
  /** Which step, from 0. */
  readonly step: number;
  /** When, epoch ms of the virtual time. */
  readonly atMs: number;
  /** What the step did: a call with the dimensions of its test, or the step itself. */
  readonly did: object;
  /** Which of its calls, from 1; `null` where the step makes one call, or none. */
  readonly nth: { readonly n: number; readonly of: number } | null;
  readonly mismatches: readonly Mismatch[];
  /** Of a call that was decided. */
  readonly decision: Decision | null;
}

/** Runs tests of a policy, one after the other; `coverage` learns what they reach. */
export async function runPolicyTests(
  policy: CompiledPolicy,
  tests: readonly PolicyTest[],
  coverage: Coverage = new Coverage(policy),
): Promise<readonly PolicyTestResult[]> {
  const results: PolicyTestResult[] = [];
  for (const test of tests) {
    results.push({ name: test.name, failure: await new Play(policy, test, coverage).run() });
  }
  return results;
}

interface Running {
  readonly ended: Promise<unknown>;
  end(ending: PolicyTestEnding): void;
}

/** What a call that is meant to fail throws. */
class CallFailed extends Error {}

class Play {
  readonly #policy: CompiledPolicy;
  readonly #test: PolicyTest;
  readonly #coverage: Coverage;
  readonly #clock: SteppedClock;
  readonly #limiter: Limiter;
  readonly #open = new Map<string, Running[]>();
  #decision: Decision | null = null;
  #results = 0;

  constructor(policy: CompiledPolicy, test: PolicyTest, coverage: Coverage) {
    this.#policy = policy;
    this.#test = test;
    this.#coverage = coverage;
    this.#clock = steppedClock(instantMs(test.at ?? DEFAULT_AT) ?? 0);
    this.#limiter = createLimiter({
      policy,
      store: memoryStore({ clock: this.#clock }),
      onDecision: (decision) => {
        this.#decision = decision;
      },
    });
  }

  async run(): Promise<PolicyTestFailure | null> {
    try {
      for (const [n, step] of this.#test.steps.entries()) {
        const failure = await this.#step(step);
        if (failure !== null) return { step: n, ...failure };
      }
      return null;
    } finally {
      for (const name of [...this.#open.keys()]) await this.#end(name, {});
      await this.#limiter.close();
    }
  }

  async #step(step: PolicyTestStep): Promise<Omit<PolicyTestFailure, "step"> | null> {
    const atMs = this.#clock.nowMs();
    if ("call" in step) return this.#calls(step);
    const mismatches = await refusals(() => this.#do(step));
    return mismatches.length === 0 ? null : { atMs, did: step, nth: null, mismatches, decision: null };
  }

  async #do(step: Exclude<PolicyTestStep, PolicyTestCall>): Promise<readonly Mismatch[]> {
    if ("wait" in step) return this.#pass(parseSpan(step.wait) ?? 0);
    if ("at" in step) return this.#pass((instantMs(step.at) ?? 0) - this.#clock.nowMs());
    if ("end" in step) return this.#end(step.end, step);
    if ("bucket" in step) return compareBucket(step, await this.#usages(step.bucket, step.quotas));
    const { limit, ...dimensions } = this.#bucketOf("grant" in step ? step.grant : step.reset);
    if ("reset" in step) {
      await this.#limiter.reset({ limit, ...dimensions });
      return [];
    }
    const [units, durationMs] = [unitsIn(step.units) ?? 0, parseSpan(step.duration) ?? 0];
    await this.#limiter.grant({ limit, ...dimensions }, { id: randomId(), units, durationMs });
    return [];
  }

  async #calls(step: PolicyTestCall): Promise<Omit<PolicyTestFailure, "step"> | null> {
    const { times = 1, as, cost, usage, quotas, error, result } = step;
    const said = typeof step.call === "string" ? { tool: step.call } : step.call;
    const whole = { ...mergeDimensions(this.#boundFor(said), said, "call"), ...(cost === undefined ? {} : { cost }) };
    const atMs = this.#clock.nowMs();
    for (let n = 1; n <= times; n++) {
      const did = (step.times === undefined ? whole : numbered(whole, n)) as typeof whole;
      const call = withCost(did) as Call;
      this.#decision = null;
      const mismatches = await refusals(async () => {
        const running = await this.#begin(call, quotas);
        if (as === undefined) {
          running.end({ usage, error, result });
          await running.ended;
        } else {
          this.#open.set(as, [...(this.#open.get(as) ?? []), running]);
        }
        return this.#compare(step, call, n === times);
      });
      if (mismatches.length > 0) {
        return { atMs, did, nth: times === 1 ? null : { n, of: times }, mismatches, decision: this.#decision };
      }
    }
    return null;
  }

  async #compare(step: PolicyTestCall, call: Call, isLast: boolean): Promise<readonly Mismatch[]> {
    const decision = this.#decision as Decision;
    this.#coverage.reached(call, decision);
    const mismatches = compareCall(step, decision);
    if (step.remaining === undefined || !isLast || mismatches.length > 0) return mismatches;
    return compareRemaining(step.remaining, await this.#usagesOf(call, decision, step.quotas));
  }

  /** Begins a call. It runs until it is ended, unless it is denied. */
  async #begin(call: Call, quotas?: Quotas): Promise<Running> {
    const { promise: ending, resolve: end } = Promise.withResolvers<PolicyTestEnding>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const work = async ({ addUsage }: RunContext) => {
      begin();
      const { usage, error, result } = await ending;
      if (usage !== undefined) addUsage(costIn(usage));
      if (error === true) throw new CallFailed();
      return result === undefined ? `result ${++this.#results}` : result;
    };
    const ran = this.#limiter.run(call, work, optionsOf(quotas));
    const ended = ran.catch((error: unknown) => {
      if (!(error instanceof CallFailed)) throw error;
    });
    await Promise.race([begun, ended]);
    return { ended, end };
  }

  async #end(name: string, { usage, error, result }: PolicyTestEnding): Promise<readonly Mismatch[]> {
    const running = this.#open.get(name) ?? [];
    this.#open.delete(name);
    for (const each of running) {
      each.end({ usage, error, result });
      await each.ended;
    }
    return [];
  }

  /** Lets time pass, from timer to timer: calls that are open extend their holds, which takes some turns each. */
  async #pass(ms: number): Promise<readonly Mismatch[]> {
    const untilMs = this.#clock.nowMs() + ms;
    let extensions = 0;
    for (let next = this.#clock.nextAtMs(); next !== null && next <= untilMs; next = this.#clock.nextAtMs()) {
      if (++extensions > MAX_EXTENSIONS) return [TOO_LONG];
      this.#clock.advance(next - this.#clock.nowMs());
      await turns();
    }
    this.#clock.advance(untilMs - this.#clock.nowMs());
    return [];
  }

  /** How the buckets of a call stand, of the limits that it was judged by. */
  async #usagesOf(call: Call, { verdicts }: Decision, quotas?: Quotas): Promise<readonly BucketUsage[]> {
    const notDimensions: ReadonlySet<string> = new Set(CALL_WORDS.filter((word) => word !== "args"));
    const dimensions = Object.fromEntries(Object.entries(call).filter(([word]) => !notDimensions.has(word)));
    const usages = await this.#limiter.usage(dimensions, optionsOf(quotas));
    return usages.filter(({ limit }) => verdicts.some((verdict) => verdict.limit === limit));
  }

  async #usages(bucket: PolicyTestBucketName, quotas?: Quotas): Promise<readonly BucketUsage[]> {
    const { limit, ...dimensions } = this.#named(bucket);
    const usages = await this.#limiter.usage(dimensions, optionsOf(quotas));
    return usages.filter((usage) => usage.limit === limit);
  }

  /** A bucket to change: of the dimensions of the test those that its limit looks at. */
  #bucketOf(bucket: PolicyTestBucketName): PolicyTestBucketName & Dimensions {
    const limit = this.#policy.limits.find(({ name }) => name === bucket.limit);
    const named = Object.entries(this.#named(bucket));
    const isChosen = (word: string) => limit?.dimensions.has(word) || (word === "tool" && limit?.tools !== null);
    const isMeant = (word: string) => Object.hasOwn(bucket, word) || isChosen(word);
    return Object.fromEntries(named.filter(([word]) => isMeant(word))) as PolicyTestBucketName & Dimensions;
  }

  #named(bucket: PolicyTestBucketName): PolicyTestBucketName & Dimensions {
    return mergeDimensions(this.#boundFor(bucket), bucket as PolicyTestBucketName & Dimensions, "bucket");
  }

  /** The dimensions of the test, without those that are `null` in a step. */
  #boundFor(said: object): Dimensions {
    const removed = new Set(Object.entries(said).flatMap(([word, value]) => (value === null ? [word] : [])));
    return Object.fromEntries(Object.entries(this.#test.for ?? {}).filter(([word]) => !removed.has(word)));
  }
}

type Quotas = Readonly<Record<string, PolicyTestUnits>>;

function optionsOf(quotas: Quotas | undefined): QuotaOptions {
  return quotas === undefined ? {} : { quotas: quotasIn(quotas) };
}

/** What a step comes to; what the limiter or its store refuses is a mismatch, too. */
async function refusals(step: () => Promise<readonly Mismatch[]>): Promise<readonly Mismatch[]> {
  try {
    return await step();
  } catch (error) {
    if (StoreError.isInstance(error)) return [{ word: "store", expected: "an answer", got: error.message }];
    if (!MisuseError.isInstance(error)) throw error;
    return error.faults.map(({ path, expected, got, hint }) => ({
      word: path,
      expected,
      got: hint === undefined ? got : `${got}. ${hint}`,
    }));
  }
}

/** A value in whose texts `{n}` is a number. */
function numbered(value: unknown, n: number): unknown {
  if (typeof value === "string") return value.replaceAll("{n}", String(n));
  if (Array.isArray(value)) return value.map((inner) => numbered(inner, n));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, numbered(inner, n)]));
}

/** Lets everything go on that waits for no timer. Timers and immediates may be a test runner's fakes; this is neither. */
function turns(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
