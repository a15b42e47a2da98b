// A store that wraps one which takes a while to ask: of limits that allow it, units are borrowed ahead and calls decided in
// this process. Never over: what is lent is spent in the store before. It decides nothing about other limits.

import type { Clock } from "../clock.ts";
import type { Policy } from "../kernel/policy.ts";
import {
  askOne,
  type Found,
  refuseTerms,
  type Step,
  type StepReply,
  type Store,
  StoreError,
  type StoreReply,
  type StoreRequest,
  type Terms,
} from "../store.ts";
import { breathing } from "./breath.ts";
import { Account, IDLE_MS } from "./lease/account.ts";

/** Most buckets that lend to one instance; others are asked for each call. */
export const MAX_ACCOUNTS = 10_000;

/** Units of one account that were taken for a step. */
interface Taken {
  readonly account: Account;
  readonly cost: number;
  /** Which of the account's lives they are of. */
  readonly life: number;
}

/**
 * Lends units of steps with `lease`.
 *
 * @param giveBack asks the store itself, without terms: an `undo` of what nobody took. What that loses stays spent
 * @param clock by which loans end: it must not run back
 */
export function leaseLayer(store: Store, giveBack: Store["apply"], clock: Clock): LendingStore {
  return new Lease(store, giveBack, clock);
}

/** A store of which units are borrowed. */
export interface LendingStore extends Store {
  /** Whether there are borrowed units to give back. */
  readonly owes: boolean;
}

class Lease implements LendingStore {
  readonly #store: Store;
  readonly #giveBack: Store["apply"];
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #given = breathing();
  #timer: ReturnType<typeof setInterval> | undefined;
  #isClosed = false;

  constructor(store: Store, giveBack: Store["apply"], clock: Clock) {
    this.#store = store;
    this.#giveBack = giveBack;
    this.#clock = clock;
  }

  async apply(requests: readonly StoreRequest[], terms?: Terms, leftMs?: number): Promise<readonly Found[]> {
    refuseTerms(terms);
    return Promise.all(requests.map((request) => this.answer(request, leftMs)));
  }

  answer(request: StoreRequest, leftMs?: number): Found | Promise<Found> {
    const { steps } = request;
    if (!isLendable(request)) {
      if (this.#accounts.size > 0) return this.#ask(request, leftMs);
      return askOne(this.#store, request, leftMs) as Found | Promise<Found>;
    }
    const nowMs = this.#clock.nowMs();
    let isAll = true;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as Step;
      if (!isLent(step)) isAll = false;
      else if (this.#accountOf(step)?.has(costOf(step), nowMs) !== true) return this.#askAndLearn(request, leftMs);
    }
    return isAll ? this.#given(this.#takeAll(steps, nowMs)) : this.#askRest(request, this.#take(steps, nowMs), leftMs);
  }

  get owes(): boolean {
    return [...this.#accounts.values()].some(({ left }) => left > 0);
  }

  checkPolicy(policy: Policy): void {
    this.#store.checkPolicy?.(policy);
  }

  async close(withinMs?: number): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await Promise.allSettled(this.#underWay);
    // What is not taken back stays spent until its window ends.
    await this.#return(() => true).catch(() => {});
    await this.#store.close(withinMs);
  }

  #accountOf({ bucket, limit }: Step): Account | undefined {
    const account = this.#accounts.get(bucket);
    return account?.limit === limit ? account : undefined;
  }

  /** Answers a request all of whose steps are lent for. */
  #takeAll(steps: readonly Step[], nowMs: number): StoreReply {
    const shown = new Array<StepReply>(steps.length);
    let last: Account | undefined;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as Step;
      last = this.#accountOf(step) as Account;
      last.take(costOf(step), nowMs);
      if (last.isLow) this.#borrow(step, last);
      shown[i] = last.shown(nowMs);
    }
    const reply: StoreReply = { allowed: true, nowMs: last?.storeMsAt(nowMs) ?? 0, steps: shown };
    return last?.degraded === undefined ? reply : { ...reply, degraded: last.degraded };
  }

  /** Takes the cost of the steps that are lent for. */
  #take(steps: readonly Step[], nowMs: number): Taken[] {
    const taken: Taken[] = [];
    for (const step of steps) {
      const account = isLent(step) ? this.#accountOf(step) : undefined;
      if (account === undefined) continue;
      const cost = costOf(step);
      taken.push({ account, cost, life: account.take(cost, nowMs) });
      if (account.isLow) this.#borrow(step, account);
    }
    return taken;
  }

  /** Asks the store about the steps that nothing was taken for, and puts it back when they deny. */
  async #askRest(request: StoreRequest, taken: readonly Taken[], leftMs: number | undefined): Promise<Found> {
    const putBack = () => {
      const nowMs = this.#clock.nowMs();
      for (const { account, cost, life } of taken) account.putBack(cost, life, nowMs);
    };
    let reply: Found;
    try {
      reply = await this.#ask({ ...request, steps: request.steps.filter((step) => !isLent(step)) }, leftMs);
    } catch (error) {
      putBack();
      throw error;
    }
    if (StoreError.isInstance(reply) || !reply.allowed) putBack();
    if (StoreError.isInstance(reply) || reply.stale === true) return reply;
    const nowMs = this.#clock.nowMs();
    const own = taken.map(({ account }) => account.shown(nowMs));
    const others = [...reply.steps];
    const steps = request.steps.flatMap((step) => (isLent(step) ? own.shift() : others.shift()) ?? []);
    return { ...reply, steps };
  }

  async #askAndLearn(request: StoreRequest, leftMs: number | undefined): Promise<Found> {
    const reply = await this.#ask(request, leftMs);
    if (StoreError.isInstance(reply) || !reply.allowed || this.#isClosed) return reply;
    for (const [i, step] of request.steps.entries()) {
      const found = reply.steps[i];
      if (isLent(step) && found !== undefined) this.#borrow(step, this.#opened(step), found);
    }
    return reply;
  }

  #opened(step: Step): Account {
    const known = this.#accountOf(step);
    if (known !== undefined) return known;
    const account = new Account(step.limit, this.#clock.nowMs());
    if (this.#accounts.size < MAX_ACCOUNTS) this.#accounts.set(step.bucket, account);
    this.#timer ??= setInterval(
      () => this.#watch(this.#return((each) => each.isIdle(this.#clock.nowMs()))),
      IDLE_MS / 2,
    );
    this.#timer.unref();
    return account;
  }

  #borrow(step: Step, account: Account, seen = account.seen): void {
    if (account.isBorrowing || this.#isClosed || this.#accounts.get(step.bucket) !== account) return;
    const sentMs = this.#clock.nowMs();
    const units = account.wanted(seen, sentMs);
    if (units === 0) return;
    account.isBorrowing = true;
    const loan: StoreRequest = { mode: "judge", steps: [{ ...step, event: { type: "charge", cost: units } }] };
    const lend = async () => {
      try {
        const reply = await askOne(this.#store, loan);
        const found = reply === undefined || StoreError.isInstance(reply) || !reply.allowed ? undefined : reply;
        if (found?.steps[0] === undefined) return;
        account.borrowed(units, found.steps[0], found, sentMs, this.#clock.nowMs());
      } finally {
        account.isBorrowing = false;
      }
    };
    this.#watch(lend());
  }

  /** What fails here was lent by nobody, or stays spent. */
  #watch(work: Promise<unknown>): void {
    const ended = work.catch(() => {}).finally(() => this.#underWay.delete(ended));
    this.#underWay.add(ended);
  }

  /** Gives back what nobody took, of accounts that are not busy. */
  async #return(isDone: (account: Account) => boolean): Promise<void> {
    const requests: (StoreRequest & { readonly atMs: number })[] = [];
    for (const [bucket, account] of this.#accounts) {
      if (account.isBorrowing || !isDone(account)) continue;
      this.#accounts.delete(bucket);
      const { left, limit, borrowedAtMs: atMs } = account;
      if (left > 0)
        requests.push({ mode: "undo", atMs, steps: [{ bucket, limit, event: { type: "charge", cost: left } }] });
    }
    if (this.#accounts.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    if (requests.length > 0) await this.#giveBack(requests);
  }

  /** Asks the store. What was lent to this instance, and nobody took, is not used: not here. */
  async #ask(request: StoreRequest, leftMs: number | undefined): Promise<Found> {
    const reply = (await askOne(this.#store, request, leftMs)) as Found;
    if (this.#accounts.size === 0 || StoreError.isInstance(reply)) return reply;
    const steps = reply.steps.map((found, i) => {
      const { bucket, event } = request.steps[i] ?? {};
      const account = this.#accounts.get(bucket ?? "");
      const left = account?.left ?? 0;
      if (event?.type === "reset") this.#accounts.delete(bucket ?? "");
      // A peek answers as if it had charged.
      else if (request.mode !== "peek" || event?.type === "read") account?.sees(found);
      return left === 0 ? found : { ...found, used: Math.max(0, found.used - left) };
    });
    return { ...reply, steps };
  }
}

/** Whether it charges, some of it to what may be lent, and nothing else decides about it. */
function isLendable({ mode, once, wait, steps }: StoreRequest): boolean {
  if (mode !== "judge" || once !== undefined || wait !== undefined) return false;
  let hasLent = false;
  for (let i = 0; i < steps.length; i++) {
    const { event, shadow, lease } = steps[i] as Step;
    if (event.type !== "charge" || event.seen !== undefined || shadow === true) return false;
    hasLent ||= lease === true;
  }
  return hasLent;
}

function isLent({ lease }: Step): boolean {
  return lease === true;
}

function costOf({ event }: Step): number {
  return event.type === "charge" ? event.cost : 0;
}
