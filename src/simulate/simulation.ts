// A policy on virtual time. It decides calls in the order in which they came, as a limiter would have decided them.

import type { Call } from "../kernel/call.ts";
import type { Judgement } from "../kernel/answer.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { memoryStore } from "../stores/memory.ts";
import { type SteppedClock, steppedClock } from "../testing/fake-clock.ts";
import { GeneralLane } from "./general-lane.ts";
import { ArgsNames } from "./known-args.ts";
import { PlainLane, type PromptStore } from "./plain-lane.ts";
import { countedPart, knownPart, type TracedCall } from "./traced-call.ts";

const MAX_BUCKETS = 10_000_000;
const PREFIX = "simulation";

export class Simulation {
  readonly policy: CompiledPolicy;
  readonly #clock: SteppedClock;
  readonly #args: ArgsNames;
  readonly #plain: PlainLane;
  readonly #general: GeneralLane;

  /** @param startMs epoch ms, not after the first call */
  constructor(policy: CompiledPolicy, startMs: number) {
    this.policy = policy;
    this.#clock = steppedClock(startMs);
    this.#args = new ArgsNames(policy);
    // Both lanes count in it.
    const store = memoryStore({ clock: this.#clock, maxBuckets: MAX_BUCKETS }) as PromptStore;
    this.#plain = new PlainLane(policy, PREFIX, store, this.#clock);
    this.#general = new GeneralLane(policy, PREFIX, store, this.#clock);
  }

  /** Waits until calls can be decided. */
  load(): Promise<void> {
    return this.#plain.load();
  }

  /**
   * The decision on the next call; a promise where its end matters.
   *
   * @param atMs not before that of the call before
   * @throws MisuseError as `Limiter.run`
   */
  decide(traced: TracedCall, atMs: number): Judgement | Promise<Judgement> {
    if (this.#general.isRunning) return this.#decideLater(traced, atMs);
    this.#clock.advance(atMs - this.#clock.nowMs());
    const call = this.#callOf(traced);
    return this.#plain.decide(call, traced) ?? this.#general.decide(call, traced);
  }

  async #decideLater(traced: TracedCall, atMs: number): Promise<Judgement> {
    await this.#general.pass(atMs);
    const call = this.#callOf(traced);
    return this.#plain.decide(call, traced) ?? this.#general.decide(call, traced);
  }

  /** The call as this policy looks at it. */
  #callOf({ call }: TracedCall): Call {
    return this.#args.of(countedPart(this.policy, knownPart(this.policy, call)));
  }

  close(): Promise<void> {
    return this.#general.close();
  }
}
