// How the cases of the store contract ask a store.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import type { Store } from "../store/store.ts";
import { read, settle } from "./steps.ts";

/** A store to test, empty, and a way to let its time pass. */
export interface StoreFixture {
  /** Open. What opened it closes it after the case. */
  readonly store: Store;
  /** Lets the store's time move by exactly so many ms; back when negative. */
  advance(ms: number): Promise<void> | void;
  /** Opens another store on the same data, at the same time. The case closes it. Absent: there can be none. */
  another?(): Store;
}

/** One promise of the store contract. */
export interface StoreCase {
  readonly name: string;
  run(fixture: StoreFixture): Promise<void>;
}

/** A request of a batch, and what its reply and the reply for its first step say. */
type ExpectedRequest = readonly [
  mode: StoreRequest["mode"],
  steps: readonly Step[],
  allowed: boolean,
  used: number,
  found?: StepReply["found"],
];

/** One run of a case: the store that it tests, and how to ask it. */
export class Trial<Tested extends Store = Store> {
  readonly store: Tested;
  readonly judge = (...steps: Step[]) => this.one("judge", ...steps);
  readonly force = (...steps: Step[]) => this.one("force", ...steps);
  readonly peek = (...steps: Step[]) => this.one("peek", ...steps);
  readonly #fixture: StoreFixture;
  readonly #others: Store[] = [];

  constructor(store: Tested, fixture: StoreFixture) {
    this.store = store;
    this.#fixture = fixture;
  }

  async advance(ms: number): Promise<void> {
    await this.#fixture.advance(ms);
  }

  /** Another store on the same data; the same store where there can be no other. */
  another(): Trial {
    const other = this.#fixture.another?.();
    if (other !== undefined) this.#others.push(other);
    return new Trial(other ?? this.store, this.#fixture);
  }

  async closeOthers(): Promise<void> {
    for (const other of this.#others) await other.close();
  }

  async send(request: StoreRequest): Promise<StoreReply> {
    return answered((await this.store.apply([request]))[0]);
  }

  async sendAll(requests: readonly StoreRequest[]): Promise<StoreReply[]> {
    return (await this.store.apply(requests)).map(answered);
  }

  ask(mode: StoreRequest["mode"], ...steps: Step[]): Promise<StoreReply> {
    return this.send({ mode, steps });
  }

  /** Asks for steps, and returns the reply for the first one. */
  async one(mode: StoreRequest["mode"], ...steps: Step[]): Promise<StepReply> {
    const reply = await this.ask(mode, ...steps);
    const isAllowed = steps.every(({ shadow }, i) => shadow === true || reply.steps[i]?.allowed);
    assert.equal(reply.allowed, isAllowed, "a request is allowed exactly when each step outside of shadow is");
    return first(reply);
  }

  /** A step is denied until exactly so many ms have passed. */
  async passesAfter(ms: number | null, step: Step): Promise<void> {
    assert.ok(ms !== null && ms > 0, `${ms} ms`);
    await this.advance(ms - 1);
    const { allowed, retryAfterMs } = await this.judge(step);
    assert.deepEqual([allowed, retryAfterMs], [false, 1]);
    await this.advance(1);
    assert.equal((await this.judge(step)).allowed, true);
  }

  /** A batch is decided as if each request had been sent by itself, at one time. */
  async decidesInOrder(batch: readonly ExpectedRequest[]): Promise<void> {
    const replies = await this.sendAll(batch.map(([mode, steps]) => ({ mode, steps })));
    assert.deepEqual(
      replies.map((reply) => [reply.allowed, first(reply).used, first(reply).found]),
      batch.map(([, , allowed, used, found]) => [allowed, used, found]),
    );
    assert.equal(new Set(each(replies, "nowMs")).size, 1);
  }

  /** Asks for steps whose call may wait for its turn. */
  wait(id: string, maxMs: number, ...steps: Step[]): Promise<StoreReply> {
    return this.send({ mode: "judge", steps, wait: { id, maxMs } });
  }

  async usedOf(bucket: string, limit: LimitSpec): Promise<number> {
    return (await this.peek(read(bucket, limit))).used;
  }

  /** How a settle would find a hold. */
  async findHold(bucket: string, limit: LimitSpec, id: string): Promise<StepReply["found"]> {
    return (await this.peek(settle(bucket, limit, id, 0))).found;
  }

  async nowMs(): Promise<number> {
    return (await this.ask("peek")).nowMs;
  }
}

export function storeCase(name: string, run: (trial: Trial) => Promise<void>): StoreCase {
  return {
    name,
    run: (fixture) => runTrial(new Trial(fixture.store, fixture), run),
  };
}

/** Runs a case, and closes the other stores that it opened. */
export async function runTrial<T extends Trial>(trial: T, run: (trial: T) => Promise<void>): Promise<void> {
  try {
    await run(trial);
  } finally {
    await trial.closeOthers();
  }
}

/** The reply of a store, which throws where there is an error instead. */
export function answered(reply: StoreReply | StoreError | undefined): StoreReply {
  if (reply === undefined || StoreError.isInstance(reply)) throw reply ?? new Error("the store gave no reply");
  return reply;
}

/** The reply for the only step, or the first. */
export function first(reply: StoreReply): StepReply {
  const [step] = reply.steps;
  if (step === undefined) throw new Error("the reply has no step");
  return step;
}

type Fields<Reply> = { readonly [Field in keyof Reply]?: Reply[Field] | undefined };

/** A reply has these fields. */
export function has<Reply extends object>(reply: Reply, expected: Fields<Reply>): void {
  const fields = Object.keys(expected) as (keyof Reply)[];
  assert.deepEqual(Object.fromEntries(fields.map((field) => [field, reply[field]])), expected);
}

/** One field of each item. */
export function each<Item, Field extends keyof Item>(items: readonly Item[], field: Field): Item[Field][] {
  return items.map((item) => item[field]);
}
