// Calls that end when they begin, or whose end changes nothing. They are decided without a promise, so that millions of them take
// seconds.

import { type Judgement, judgementOf } from "../kernel/answer.ts";
import { resultDigest } from "../kernel/args.ts";
import type { Call } from "../kernel/call.ts";
import { type Match, resolveMatches } from "../kernel/charge.ts";
import { takesClaims } from "../kernel/claims.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Clock } from "../clock.ts";
import { CalendarSpecs } from "../limiter/calendar-specs.ts";
import { CallCache } from "../limiter/call-cache.ts";
import { eventOf, isHeldOnly, onErrorOf, type PlannedCharge, VERBS } from "../limiter/charge-plan.ts";
import { bucketsOfCall, unitsAtEnd } from "../limiter/held-call.ts";
import type { Store } from "../store/store.ts";
import type { TracedCall } from "./traced-call.ts";

/** A store that answers at once. */
export type PromptStore = Store & { answer: NonNullable<Store["answer"]> };

const NOTHING_BOUND = {};

export class PlainLane {
  readonly #policy: CompiledPolicy;
  readonly #prefix: string;
  readonly #answerOf: NonNullable<Store["answer"]>;
  readonly #cache: CallCache;
  readonly #calendar: CalendarSpecs;
  /** Of each tool: whether the end of its calls changes nothing. */
  readonly #isEndless = new Map<unknown, boolean>();
  #holds = 0;

  constructor(policy: CompiledPolicy, prefix: string, store: PromptStore, clock: Clock) {
    this.#policy = policy;
    this.#prefix = prefix;
    this.#answerOf = store.answer.bind(store);
    this.#cache = new CallCache(policy, prefix);
    this.#calendar = new CalendarSpecs(() => clock.nowMs());
  }

  /** Waits until calls can be decided: until dates can be computed, where the policy has calendar windows. */
  async load(): Promise<void> {
    this.#calendar.load(this.#policy);
    await this.#calendar.loading;
  }

  /** The decision on a call; `null` for one that has to run, or whose quotas come from elsewhere. */
  decide(call: Call, traced: TracedCall): Judgement | null {
    if (!this.#isEndlessTool(call.tool)) return this.#decideWithEnd(call, traced);
    const prepared = this.#cache.isOn ? this.#cache.prepare(NOTHING_BOUND, call) : null;
    if (prepared !== null) return judgementOf(prepared.charges, this.#answer(prepared.request));
    const charges = this.#chargesOf(this.#matches(call), call);
    return judgementOf(charges, this.#judge(charges, ""));
  }

  #decideWithEnd(call: Call, traced: TracedCall): Judgement | null {
    const matches = this.#matches(call);
    if (matches.some(takesClaims)) return null;
    const charges = this.#chargesOf(matches, call);
    const hasEnd = charges.some(({ kind }) => kind === "hold") || matches.some(({ limit }) => limit.reports !== null);
    if (hasEnd && traced.durationMs > 0) return null;
    const hold = String(this.#holds++);
    const decision = judgementOf(charges, this.#judge(charges, hold));
    if (decision.allowed && hasEnd) this.#end(call, { hold, matches, charges, traced });
    return decision;
  }

  /** Ends a call at the instant at which it began. */
  #end(call: Call, { hold, matches, charges, traced }: Begun): void {
    const unnamed = traced.hasFailed === true ? "onError" : "held";
    const held = { id: hold, name: hold, policy: this.#policy, call, buckets: bucketsOfCall(matches, charges) };
    const steps = held.buckets
      .filter((bucket) => bucket.held > 0)
      .map((bucket) => {
        const units = unitsAtEnd(held, bucket, NOTHING_BOUND, unnamed);
        return this.#calendar.stepOf(bucket, { type: "settle", id: hold, units });
      });
    steps.push(...this.#reports(matches, traced));
    if (steps.length > 0) this.#answer({ mode: "force", steps });
  }

  #reports(matches: readonly Match[], { hasFailed, result, line }: TracedCall): Step[] {
    return matches.flatMap((match) => {
      const { reports } = match.limit;
      if (reports === null || (reports === "results" && hasFailed === true)) return [];
      const error = hasFailed === true ? "error" : null;
      const outcome =
        reports === "errors" ? error : resultDigest(result === undefined ? unknownResult(line) : result).outcome;
      return [this.#calendar.stepOf(match, { type: "report", outcome })];
    });
  }

  #matches(call: Call): readonly Match[] {
    return resolveMatches(this.#policy, this.#prefix, call);
  }

  #chargesOf(matches: readonly Match[], call: Call): readonly PlannedCharge[] {
    return VERBS.run.charges(matches, this.#policy, call);
  }

  #judge(charges: readonly PlannedCharge[], hold: string): StoreReply {
    const steps = charges.map((charge) => this.#calendar.stepOf(charge, eventOf(charge, hold)));
    return this.#answer({ mode: "judge", steps });
  }

  #answer(request: StoreRequest): StoreReply {
    const answer = this.#answerOf(request);
    if (answer instanceof Error) throw answer;
    return answer;
  }

  #isEndlessTool(tool: unknown): boolean {
    const known = this.#isEndless.get(tool);
    if (known !== undefined) return known;
    const call = { tool: String(tool) };
    const isRefunded = (limit: Limit) => onErrorOf(this.#policy, call, limit) === "refund";
    const isEndless = (limit: Limit) =>
      limit.reports === null &&
      !isHeldOnly(limit) &&
      !takesClaims(limit) &&
      (!limit.isPriced || (limit.unit === "calls" && !isRefunded(limit)));
    const areEndless = this.#policy.limits.filter(({ matches }) => matches(call.tool)).every(isEndless);
    this.#isEndless.set(tool, areEndless);
    return areEndless;
  }
}

interface Begun {
  readonly hold: string;
  readonly matches: readonly Match[];
  readonly charges: readonly PlannedCharge[];
  readonly traced: TracedCall;
}

/** A result that no other call has. */
export function unknownResult(line: number): string {
  return `the unknown result of line ${line}`;
}
