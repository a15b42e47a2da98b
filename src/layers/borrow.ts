// The layer in front of a store that takes a while to answer. Of limits that allow it, this instance borrows units ahead and
// decides calls in this process. Never over: the store counts a borrowed unit as used. Beside each bucket the store also
// counts what all instances together have borrowed and not used, and refuses a loan beyond a small part of what is free.
// It decides nothing about other limits.

import { randomId } from "../ids.ts";
import { type Clock, countdown, monotonicClock, sleep } from "../clock.ts";
import type { Degraded } from "../kernel/decision.ts";
import type { Step, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Layer, Store, StoreAnswer } from "../store/store.ts";
import { withWorst } from "../store/degraded.ts";
import { StoreError } from "../store/error.ts";
import type { Account, Returned } from "./borrow/account.ts";
import { Accounts } from "./borrow/accounts.ts";
import { type Background, ProcessBackground } from "./borrow/background.ts";
import { FreeUnits } from "./borrow/free-units.ts";
import {
  borrowedStep,
  costOf,
  deniedSteps,
  isBorrowing,
  isDenied,
  isDoneBy,
  isLendable,
  leftUntil,
  passingWithOwn,
  RETURN_EACH_MS,
  settledLoans,
  withRetry,
} from "./borrow/requests.ts";
import { Returns } from "./borrow/returns.ts";
import { yielding } from "../breath.ts";
import { askOne, unitsNeeded } from "./layer.ts";

/** When the store forgets the loans of an instance that has died, ms. Their units stay used. */
const LOAN_LEASE_MS = 2_000;
/** How often a denied call waits for units that are on their way. */
const MAX_AWAITED = 2;

export class BorrowLayer implements Layer {
  readonly #store: Layer;
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #accounts = new Accounts();
  readonly #returns: Returns;
  readonly #freeUnits: FreeUnits;
  readonly #yield = yielding();
  /** Made when it is first needed: in its global scope a Worker has no random values. */
  #instance: string | undefined;
  #loans = 0;
  #isClosed = false;

  /**
   * @param giveBack takes back units that no call has used, once. When its answer is lost, the units stay used
   * @param clock the clock by which loans end: it must not run back
   */
  constructor(store: Layer, giveBack: Store["apply"], clock: Clock, background: Background = new ProcessBackground()) {
    this.#store = store;
    this.#clock = clock;
    this.#background = background;
    this.#returns = new Returns(store, giveBack, clock);
    this.#freeUnits = new FreeUnits(store, clock, RETURN_EACH_MS, background.isShared);
  }

  async apply(requests: readonly StoreRequest[], leftMs?: number): Promise<readonly StoreAnswer[]> {
    return Promise.all(requests.map((request) => this.answer(request, leftMs)));
  }

  answer(request: StoreRequest, leftMs?: number): StoreAnswer | Promise<StoreAnswer> {
    const { steps } = request;
    // Nothing to lend.
    if (!steps.some(isBorrowing)) {
      if (this.#accounts.size > 0) return this.#ask(request, leftMs);
      return askOne(this.#store, request, leftMs);
    }
    // A hold, a key or a counted value: the store decides.
    if (!isLendable(request)) return this.#askAsItIs(request, leftMs);
    const nowMs = this.#clock.nowMs();
    let isAll = true;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as Step;
      if (!isBorrowing(step)) isAll = false;
      // Too few units are here.
      else if (this.#accounts.for(step)?.has(costOf(step), nowMs) !== true) return this.#askAndLearn(request, leftMs);
    }
    if (isAll) return this.#yield(this.#takeAll(steps, nowMs));
    const asked = this.#askRest(request, leftMs);
    // Also for a caller that is gone: units that are put back are not lost.
    this.#background.keep(asked);
    return asked;
  }

  /** Whether there are borrowed units to give back. */
  get owes(): boolean {
    return this.#returns.hasUnits || this.#accounts.all().some(({ left }) => left > 0);
  }

  async close(withinMs = 0): Promise<void> {
    // Real time, also where a test gives the store its clock.
    const leftMs = countdown(withinMs);
    this.#isClosed = true;
    this.#background.stop();
    if (this.#background.isShared) await this.#accounts.settled();
    for (;;) {
      const returned = this.#accounts.all().flatMap((account) => account.everything() ?? []);
      await this.#returns.give([...this.#returns.takeAll(), ...returned]);
      // Units that the store could not take yet are returned again while there is time, and stay used after that.
      if (!this.owes || leftMs() === 0) break;
      await sleep(Math.min(RETURN_EACH_MS, leftMs()));
    }
    await this.#store.close(leftMs());
  }

  /** Answers a request all of whose steps find enough units here. */
  #takeAll(steps: readonly Step[], nowMs: number): StoreReply {
    const shown = new Array<StepReply>(steps.length);
    const degraded: Degraded[] = [];
    let storeMs = 0;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as Step;
      const account = this.#accounts.for(step) as Account;
      account.take(costOf(step));
      if (account.isLow) this.#borrow(step, account, nowMs);
      shown[i] = account.shown(nowMs);
      storeMs = account.storeMsAt(nowMs);
      if (account.degraded !== undefined) degraded.push(account.degraded);
    }
    return withWorst({ allowed: true, nowMs: storeMs, steps: shown }, degraded);
  }

  /** Takes the cost of the steps that find enough units here, and asks the store about the others. */
  async #askRest(request: StoreRequest, leftMs: number | undefined): Promise<StoreAnswer> {
    const taken: { readonly account: Account; readonly cost: number; readonly window: number }[] = [];
    for (const step of request.steps) {
      if (!isBorrowing(step)) continue;
      const account = this.#accounts.for(step) as Account;
      const cost = costOf(step);
      taken.push({ account, cost, window: account.takePending(cost) });
      if (account.isLow) this.#borrow(step, account, this.#clock.nowMs());
    }
    const ended = (isAllowed: boolean) => {
      const nowMs = this.#clock.nowMs();
      for (const { account, cost, window } of taken) account.answered(cost, window, isAllowed, nowMs);
    };
    let reply: StoreAnswer;
    try {
      reply = await this.#ask({ ...request, steps: request.steps.filter((step) => !isBorrowing(step)) }, leftMs);
    } catch (error) {
      ended(false);
      throw error;
    }
    ended(!StoreError.isInstance(reply) && reply.allowed);
    if (StoreError.isInstance(reply) || reply.stale === true) return reply;
    const nowMs = this.#clock.nowMs();
    const own = taken.map(({ account }) => account.shown(nowMs));
    const others = [...reply.steps];
    const steps = request.steps.flatMap((step) => (isBorrowing(step) ? own.shift() : others.shift()) ?? []);
    const degraded = [reply, ...taken.map(({ account }) => account)].flatMap((each) => each.degraded ?? []);
    return withWorst({ ...reply, steps }, degraded);
  }

  /** Asks the store about a request that finds too few units here, and borrows for the next ones. */
  async #askAndLearn(request: StoreRequest, leftMs: number | undefined): Promise<StoreAnswer> {
    const reply = await this.#askAsItIs(request, leftMs);
    if (StoreError.isInstance(reply) || !reply.allowed || this.#isClosed) return reply;
    const nowMs = this.#clock.nowMs();
    for (const [i, step] of request.steps.entries()) {
      const found = reply.steps[i];
      if (!isBorrowing(step) || found === undefined) continue;
      const account = this.#accounts.for(step) ?? this.#accounts.open(step, found, reply, nowMs);
      if (account === undefined) continue;
      account.charged(costOf(step));
      this.#borrow(step, account, nowMs);
    }
    return reply;
  }

  /** Asks the store. A denial by a limit that lends is final only when no instance holds units of it. */
  async #askAsItIs(request: StoreRequest, leftMs: number | undefined): Promise<StoreAnswer> {
    const [sentMs, askedAtMs] = [this.#clock.nowMs(), monotonicClock.nowMs()];
    const endsAtMs = askedAtMs + (leftMs ?? this.#store.deadlineMs ?? Number.POSITIVE_INFINITY);
    const reply = await this.#ask(request, leftMs);
    if (StoreError.isInstance(reply) || !isDenied(reply)) return reply;
    const own = deniedSteps(request, reply).flatMap(({ bucket }) => this.#accounts.of(bucket));
    // What is back now may have come after the denial.
    const holders = own.filter(({ left, busy, returnedMs }) => left > 0 || busy !== null || returnedMs >= sentMs);
    // A `force` is booked already: asked again it would be booked twice.
    if (holders.length === 0 || request.mode === "force") return this.#withRetry(request, reply, endsAtMs);
    const passing = passingWithOwn(request, reply, this.#accounts);
    const emptied = Promise.all(holders.map((account) => this.#empty(account)));
    this.#background.keep(emptied);
    // The deadline has to leave time for another answer that takes as long as this one did.
    const tripMs = monotonicClock.nowMs() - askedAtMs;
    if (!(await isDoneBy(endsAtMs - tripMs, emptied))) return this.#withRetry(request, reply, endsAtMs, passing);
    const again = await this.#ask(request, leftUntil(endsAtMs));
    return StoreError.isInstance(again) || !isDenied(again) ? again : this.#withRetry(request, again, endsAtMs);
  }

  /**
   * Corrects when to try again, for a call that could pass with units that instances hold and do not use.
   *
   * @param passing buckets with enough units without those that other instances hold, when the denial arrived
   */
  async #withRetry(
    request: StoreRequest,
    reply: StoreReply,
    endsAtMs: number,
    passing = passingWithOwn(request, reply, this.#accounts),
  ): Promise<StoreAnswer> {
    const others = deniedSteps(request, reply).filter(({ bucket }) => !passing.has(bucket));
    const look = async (step: Step) => {
      if ((await this.#freeUnits.of(step)) >= unitsNeeded(step)) passing.add(step.bucket);
    };
    if (others.length > 0) await isDoneBy(endsAtMs, Promise.all(others.map(look)));
    return passing.size > 0 ? withRetry(request, reply, passing) : reply;
  }

  #borrow(step: Step, account: Account, sentMs: number): void {
    if (account.isBusy(sentMs) || this.#isClosed) return;
    this.#background.tickEach(RETURN_EACH_MS, () => this.#tick());
    const units = account.nextLoan(sentMs);
    if (units === 0) return;
    this.#instance ??= randomId();
    const id = `${this.#instance}-${++this.#loans}`;
    const hold = { type: "hold", id, units, leaseMs: LOAN_LEASE_MS, onExpiry: "refund" } as const;
    const steps: Step[] = [
      { ...step, event: { type: "charge", cost: units } },
      borrowedStep(step.bucket, account.lendable, hold),
    ];
    const lend = async () => {
      const requests = [...settledLoans(step.bucket, account.spentLoans()), { mode: "judge", steps } as const];
      const reply = (await this.#store.apply(requests).catch(() => [])).at(-1);
      const nowMs = this.#clock.nowMs();
      if (reply === undefined || StoreError.isInstance(reply)) return account.heldByAll(undefined, nowMs);
      const [charged, held] = reply.steps;
      if (charged !== undefined) account.sees(charged, reply, nowMs);
      if (!reply.allowed || charged === undefined || held === undefined) return account.heldByAll(held, nowMs);
      if (account.isReset || !charged.granted)
        return account.borrowed({ id, units }, charged, held, reply, sentMs, nowMs);
      await this.#returns.giveLoan(step, { id, units }, reply.nowMs);
    };
    this.#occupy([account], lend());
  }

  /** Units are on their way to accounts, or back, until some work has ended. */
  #occupy(accounts: readonly Account[], work: Promise<unknown>): Promise<void> {
    const ended = this.#accounts.occupy(accounts, work, this.#clock.nowMs());
    this.#background.keep(ended);
    return ended;
  }

  /** Returns what an account holds, and what is on its way to it. */
  async #empty(account: Account): Promise<void> {
    for (let i = 0; i < MAX_AWAITED && account.busy !== null && this.#background.isShared; i++) await account.busy;
    if (account.isBusy(this.#clock.nowMs())) return;
    const returned = account.everything();
    if (returned !== null) await this.#return([returned], [account]);
  }

  #return(returned: readonly Returned[], from: readonly Account[]): Promise<void> {
    const back = this.#returns.give(returned).then(() => {
      for (const account of from) account.returnedMs = this.#clock.nowMs();
    });
    return this.#occupy(from, back);
  }

  /**
   * Returns what calls do not need, ends loans that were used up, and forgets accounts without calls.
   *
   * @returns whether something is left to do
   */
  #tick(): boolean {
    const nowMs = this.#clock.nowMs();
    const due = this.#returns.takeDue(nowMs);
    const { returned, from } = this.#accounts.sweep(nowMs);
    const giving = [...due, ...returned];
    if (giving.length > 0) this.#return(giving, from);
    return giving.length > 0 || this.#accounts.size > 0 || !this.#returns.isEmpty;
  }

  /** Asks the store. Units that this instance has borrowed and not used do not count as used here. */
  async #ask(request: StoreRequest, leftMs: number | undefined): Promise<StoreAnswer> {
    // A checked store gives one reply for each request.
    const reply = await askOne(this.#store, request, leftMs);
    if (this.#accounts.size === 0 || StoreError.isInstance(reply)) return reply;
    const steps = reply.steps.map((found, i) => {
      const { bucket = "", event } = request.steps[i] ?? {};
      const accounts = this.#accounts.of(bucket);
      const left = accounts.reduce((sum, account) => sum + account.left, 0);
      if (event?.type === "reset") this.#returns.add(this.#accounts.reset(bucket));
      // A peek answers as if it had charged.
      else if (request.mode !== "peek" || event?.type === "read") {
        for (const account of accounts) account.sees(found, reply, this.#clock.nowMs());
      }
      return left === 0 ? found : { ...found, used: Math.max(0, found.used - left) };
    });
    return { ...reply, steps };
  }
}
