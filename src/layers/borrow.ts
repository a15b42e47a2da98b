// A store that wraps one that takes a while to answer. Of limits that allow it, this instance borrows units ahead and
// decides calls in this process. Never over: the store counts a borrowed unit as used. Beside each bucket the store also
// counts what all instances together have borrowed and not used, and refuses a loan beyond a small part of what is free.
// It decides nothing about other limits.

import { type Clock, isWithin, monotonicClock, pauseAfter, sleep } from "../clock.ts";
import { algorithmOf, inUseLimit } from "../kernel/algorithms/registry.ts";
import { borrowedKey } from "../kernel/key.ts";
import type { Policy } from "../kernel/policy/parse.ts";
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
} from "../store/store.ts";
import { breathing } from "./breath.ts";
import { Account, type Returned } from "./borrow/account.ts";

/** Most buckets that this instance borrows from; calls on others ask the store each time. */
export const MAX_ACCOUNTS = 10_000;
/** How often units are returned that the calls since the last time did not need, ms. */
export const RETURN_EACH_MS = 100;
/** Unused units are back in the store after this, ms: a tick without calls, and the one before it. */
const RETURNED_WITHIN_MS = 2 * RETURN_EACH_MS;
/** Most buckets whose units are returned in one batch. */
const RETURNED_AT_ONCE = 128;
/** How long to wait before units are returned again that the store could not take: the first time, and at most, ms. */
const RETRY_MS = { first: 1_000, most: 8_000 };
/** When the store forgets the loans of an instance that has died, ms. Their units stay used. */
const LOAN_LEASE_MS = 2_000;
/** How often a denied call waits for units that are on their way. */
const MAX_AWAITED = 2;

/** Units of one account that were taken for a step. */
interface Taken {
  readonly account: Account;
  readonly cost: number;
  /** The window that they are of. */
  readonly life: number;
}

/**
 * Lends units to steps with `borrow`.
 *
 * @param giveBack asks the store itself, without terms: an `undo` of units that no call has used. When its answer is lost,
 *   the units stay used
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
  /** By bucket; several where callers have other quotas in one bucket, or a reload changed the limit. */
  readonly #accounts = new Map<string, Account[]>();
  #opened = 0;
  /** What could not be returned yet, and when to try again. */
  #unreturned: Returned[] = [];
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  /** Units that calls had used of buckets that have denied a call, and when the store was asked. */
  readonly #looks = new Map<string, { readonly atMs: number; readonly taken: Promise<number> }>();
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #given = breathing();
  readonly #instance = crypto.randomUUID();
  #loans = 0;
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
    if (!steps.some(isBorrowing)) {
      if (this.#opened > 0) return this.#ask(request, leftMs);
      return askOne(this.#store, request, leftMs) as Found | Promise<Found>;
    }
    if (!isLendable(request)) return this.#askAsItIs(request, leftMs);
    const nowMs = this.#clock.nowMs();
    let isAll = true;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as Step;
      if (!isBorrowing(step)) isAll = false;
      else if (this.#accountOf(step)?.has(costOf(step), nowMs) !== true) return this.#askAndLearn(request, leftMs);
    }
    return isAll ? this.#given(this.#takeAll(steps, nowMs)) : this.#askRest(request, leftMs);
  }

  get owes(): boolean {
    const isLeft = [...this.#accounts.values()].flat().some(({ left }) => left > 0);
    return isLeft || this.#unreturned.some(({ units }) => units > 0);
  }

  checkPolicy(policy: Policy): void {
    this.#store.checkPolicy?.(policy);
  }

  async close(withinMs = 0): Promise<void> {
    const endsAtMs = monotonicClock.nowMs() + withinMs;
    const leftMs = () => Math.max(0, endsAtMs - monotonicClock.nowMs());
    this.#isClosed = true;
    clearInterval(this.#timer);
    await Promise.allSettled(this.#inFlight);
    for (;;) {
      const returned = [...this.#accounts.values()].flat().flatMap((account) => account.everything() ?? []);
      await this.#return([...this.#unreturned.splice(0), ...returned]);
      // Units that the store could not take yet are returned again while there is time, and stay used after that.
      if (!this.owes || leftMs() === 0) break;
      await sleep(Math.min(RETURN_EACH_MS, leftMs()));
    }
    await this.#store.close(leftMs());
  }

  #accountOf(step: Step): Account | undefined {
    const known = this.#accounts.get(step.bucket);
    if (known === undefined) return undefined;
    for (let i = 0; i < known.length; i++) if (known[i]?.isFor(step)) return known[i];
    return undefined;
  }

  /** Answers a request all of whose steps find enough units here. */
  #takeAll(steps: readonly Step[], nowMs: number): StoreReply {
    const shown = new Array<StepReply>(steps.length);
    let last: Account | undefined;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i] as Step;
      last = this.#accountOf(step) as Account;
      last.take(costOf(step));
      if (last.isLow) this.#borrow(step, last);
      shown[i] = last.shown(nowMs);
    }
    const reply: StoreReply = { allowed: true, nowMs: last?.storeMsAt(nowMs) ?? 0, steps: shown };
    return last?.degraded === undefined ? reply : { ...reply, degraded: last.degraded };
  }

  /** Takes the cost of the steps that find enough units here, and asks the store about the others. */
  async #askRest(request: StoreRequest, leftMs: number | undefined): Promise<Found> {
    const taken: Taken[] = [];
    for (const step of request.steps) {
      const account = isBorrowing(step) ? this.#accountOf(step) : undefined;
      if (account === undefined) continue;
      const cost = costOf(step);
      taken.push({ account, cost, life: account.takePending(cost) });
      if (account.isLow) this.#borrow(step, account);
    }
    const ended = (isAllowed: boolean) => {
      const nowMs = this.#clock.nowMs();
      for (const { account, cost, life } of taken) account.answered(cost, life, isAllowed, nowMs);
    };
    let reply: Found;
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
    return { ...reply, steps };
  }

  /** Asks the store about a request that finds too few units here, and borrows for the next ones. */
  async #askAndLearn(request: StoreRequest, leftMs: number | undefined): Promise<Found> {
    const reply = await this.#askAsItIs(request, leftMs);
    if (StoreError.isInstance(reply) || !reply.allowed || this.#isClosed) return reply;
    const nowMs = this.#clock.nowMs();
    for (const [i, step] of request.steps.entries()) {
      const found = reply.steps[i];
      if (!isBorrowing(step) || found === undefined) continue;
      const account = this.#accountOf(step) ?? this.#open(step, found, reply, nowMs);
      account?.charged(costOf(step));
      if (account !== undefined) this.#borrow(step, account);
    }
    return reply;
  }

  /** Asks the store. A denial by a limit that lends is final only when no instance holds units of it. */
  async #askAsItIs(request: StoreRequest, leftMs: number | undefined): Promise<Found> {
    const askedAtMs = monotonicClock.nowMs();
    const endsAtMs = askedAtMs + (leftMs ?? this.#store.deadlineMs ?? Number.POSITIVE_INFINITY);
    const reply = await this.#ask(request, leftMs);
    if (StoreError.isInstance(reply) || !isDenied(reply)) return reply;
    const own = deniedSteps(request, reply).flatMap(({ bucket }) => this.#accounts.get(bucket) ?? []);
    const holders = own.filter(({ left, busy }) => left > 0 || busy !== null);
    // What was recorded past the limit is booked already.
    if (holders.length === 0 || request.mode === "force") return this.#withOthers(request, reply, endsAtMs);
    const emptied = Promise.all(holders.map((account) => this.#empty(account)));
    // The deadline has to leave time for another answer that takes as long as this one did.
    const tripMs = monotonicClock.nowMs() - askedAtMs;
    if (!(await isDoneBy(endsAtMs - tripMs, emptied))) return reply;
    const again = await this.#ask(request, leftUntil(endsAtMs));
    return StoreError.isInstance(again) || !isDenied(again) ? again : this.#withOthers(request, again, endsAtMs);
  }

  /** Says when to try again a call that could pass with what instances hold unused. */
  async #withOthers(request: StoreRequest, reply: StoreReply, endsAtMs: number): Promise<Found> {
    const passing = new Set<string>();
    const look = async (step: Step) => {
      if ((await this.#unusedOf(step)) >= unitsNeeded(step)) passing.add(step.bucket);
    };
    const isKnown = await isDoneBy(endsAtMs, Promise.all(deniedSteps(request, reply).map(look)));
    if (!isKnown || passing.size === 0) return reply;
    const steps = reply.steps.map((step, i): StepReply => {
      if (step.allowed || !passing.has(request.steps[i]?.bucket ?? "")) return step;
      return { ...step, retryAfterMs: RETURNED_WITHIN_MS, isBorrowed: true };
    });
    return { ...reply, steps };
  }

  /** Units of a bucket that are free or that instances hold unused; the answer may be as old as a tick. */
  async #unusedOf({ bucket, limit }: Step): Promise<number> {
    const nowMs = this.#clock.nowMs();
    let look = this.#looks.get(bucket);
    if (look === undefined || nowMs - look.atMs >= RETURN_EACH_MS) {
      if (this.#looks.size >= MAX_ACCOUNTS) this.#looks.clear();
      look = { atMs: nowMs, taken: this.#takenOf(bucket, limit).catch(() => Number.POSITIVE_INFINITY) };
      this.#looks.set(bucket, look);
    }
    return algorithmOf(limit).capacity(limit) - (await look.taken);
  }

  /** Units of a bucket that calls have used. */
  async #takenOf(bucket: string, limit: Step["limit"]): Promise<number> {
    // Both at one instant: units may have come back since the denial.
    const steps = [{ bucket, limit, event: { type: "read" } } as const, borrowedStep(bucket, 0)];
    const found = await askOne(this.#store, { mode: "peek", steps });
    if (StoreError.isInstance(found)) throw found;
    const [whole, borrowed] = found?.steps ?? [];
    return (whole?.used ?? Number.POSITIVE_INFINITY) - (whole?.granted ?? 0) - (borrowed?.used ?? 0);
  }

  #open(step: Step, found: StepReply, reply: StoreReply, nowMs: number): Account | undefined {
    if (this.#opened >= MAX_ACCOUNTS) return undefined;
    const account = new Account(step);
    account.sees(found, reply, nowMs);
    this.#opened++;
    this.#accounts.set(step.bucket, [...(this.#accounts.get(step.bucket) ?? []), account]);
    this.#timer ??= setInterval(() => this.#tick(), RETURN_EACH_MS);
    this.#timer.unref();
    return account;
  }

  #borrow(step: Step, account: Account): void {
    if (account.busy !== null || this.#isClosed) return;
    const sentMs = this.#clock.nowMs();
    const units = account.wanted(sentMs);
    if (units === 0) return;
    const loan = { id: `${this.#instance}-${++this.#loans}`, units };
    const request: StoreRequest = {
      mode: "judge",
      steps: [
        { ...step, event: { type: "charge", cost: units } },
        {
          ...borrowedStep(step.bucket, account.lendable),
          event: { type: "hold", id: loan.id, units, leaseMs: LOAN_LEASE_MS, onExpiry: "refund" },
        },
      ],
    };
    const lend = async () => {
      const requests = [...settledLoans(step.bucket, account.spentLoans()), request];
      const found = await this.#store.apply(requests).catch(() => []);
      const reply = found.at(-1);
      const nowMs = this.#clock.nowMs();
      const isAnswered = reply !== undefined && !StoreError.isInstance(reply);
      if (!isAnswered) return account.refused(undefined, nowMs);
      const [charged, held] = reply.steps;
      if (charged !== undefined) account.sees(charged, reply, nowMs);
      if (!reply.allowed || charged === undefined || held === undefined) return account.refused(held, nowMs);
      if (!account.isReset) account.borrowed(loan, charged, held, reply, sentMs, nowMs);
    };
    this.#occupy([account], lend());
  }

  /** Units of accounts are on their way. */
  #occupy(accounts: readonly Account[], work: Promise<unknown>): Promise<void> {
    const ended = work
      .catch(() => {})
      .then(() => {
        for (const account of accounts) account.busy = null;
        this.#inFlight.delete(ended);
      });
    for (const account of accounts) account.busy = ended;
    this.#inFlight.add(ended);
    return ended;
  }

  /** Returns what an account holds, and what is on its way to it. */
  async #empty(account: Account): Promise<void> {
    for (let i = 0; i < MAX_AWAITED && account.busy !== null; i++) await account.busy;
    if (account.busy !== null) return;
    const returned = account.everything();
    if (returned !== null) await this.#occupy([account], this.#return([returned]));
  }

  /** Returns what calls do not need, settles loans that were used up, and forgets accounts without calls. */
  #tick(): void {
    const nowMs = this.#clock.nowMs();
    const returning: Account[] = [];
    const returned = nowMs < this.#retryAtMs ? [] : this.#unreturned.splice(0);
    for (const [bucket, accounts] of this.#accounts) {
      const kept = accounts.filter((account) => {
        if (account.busy !== null) return true;
        if (account.isIdle) return false;
        const surplus = account.surplus(nowMs);
        if (surplus === null) return true;
        returned.push(surplus);
        returning.push(account);
        return true;
      });
      if (kept.length === accounts.length) continue;
      this.#opened -= accounts.length - kept.length;
      if (kept.length === 0) this.#accounts.delete(bucket);
      else this.#accounts.set(bucket, kept);
    }
    if (returned.length > 0) this.#occupy(returning, this.#return(returned));
    else if (this.#opened === 0 && this.#unreturned.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  /** Returns units. When the store cannot be asked now, they are returned at a later tick. */
  async #return(all: readonly Returned[]): Promise<void> {
    for (let first = 0; first < all.length; first += RETURNED_AT_ONCE) {
      await this.#returnSome(all.slice(first, first + RETURNED_AT_ONCE));
    }
  }

  async #returnSome(all: readonly Returned[]): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const live = all.filter(({ units, endsAtMs }) => units > 0 && nowMs < endsAtMs);
    // An undo goes without terms, and one whose answer is lost is lost. So the store first has to show that it is there; by
    // then it has also booked loans that were decided while it was not.
    const reads = live.map(({ bucket, limit }): StoreRequest => {
      return { mode: "peek", steps: [{ bucket, limit, event: { type: "read" } }] };
    });
    const found = reads.length === 0 ? [] : await this.#store.apply(reads).catch(() => []);
    const away = new Set(live.filter((_, i) => isAway(found[i])));
    if (away.size > 0) {
      this.#unreturned.push(...away);
      this.#retryAtMs = nowMs + pauseAfter(this.#failures++, RETRY_MS.first, RETRY_MS.most);
    } else if (live.length > 0) this.#failures = 0;
    const returned = all.filter((each) => !away.has(each));
    const requests = returned.flatMap(({ bucket, limit, units, atMs, loans }): StoreRequest[] => {
      const steps: Step[] = [{ bucket, limit, event: { type: "charge", cost: units } }];
      return [...(units === 0 ? [] : [{ mode: "undo", atMs, steps } as const]), ...settledLoans(bucket, loans)];
    });
    if (requests.length > 0) await this.#giveBack(requests).catch(() => []);
  }

  /** Asks the store. Units that this instance has borrowed and not used do not count as used here. */
  async #ask(request: StoreRequest, leftMs: number | undefined): Promise<Found> {
    const reply = (await askOne(this.#store, request, leftMs)) as Found;
    if (this.#opened === 0 || StoreError.isInstance(reply)) return reply;
    const steps = reply.steps.map((found, i) => {
      const { bucket = "", event } = request.steps[i] ?? {};
      const accounts = this.#accounts.get(bucket) ?? [];
      const left = accounts.reduce((sum, account) => sum + account.left, 0);
      if (event?.type === "reset") this.#forget(bucket, accounts);
      // A peek answers as if it had charged.
      else if (request.mode !== "peek" || event?.type === "read") {
        for (const account of accounts) account.sees(found, reply, this.#clock.nowMs());
      }
      return left === 0 ? found : { ...found, used: Math.max(0, found.used - left) };
    });
    return { ...reply, steps };
  }

  /** A reset has wiped out the borrowed units, too. */
  #forget(bucket: string, accounts: readonly Account[]): void {
    this.#accounts.delete(bucket);
    this.#opened -= accounts.length;
    for (const account of accounts) {
      account.isReset = true;
      const wiped = account.everything();
      if (wiped !== null) this.#unreturned.push({ ...wiped, units: 0 });
    }
  }
}

/** How much time there is until an instant of the machine's clock; `undefined` without a deadline. */
function leftUntil(endsAtMs: number): number | undefined {
  return endsAtMs === Number.POSITIVE_INFINITY ? undefined : Math.max(0, endsAtMs - monotonicClock.nowMs());
}

/** Whether something is done before an instant of the machine's clock. */
async function isDoneBy(endsAtMs: number, work: Promise<unknown>): Promise<boolean> {
  const leftMs = leftUntil(endsAtMs);
  if (leftMs !== undefined) return isWithin(leftMs, work);
  await work;
  return true;
}

/** A look at what instances have borrowed of a bucket, of which at most `quota` may be unused. */
function borrowedStep(bucket: string, quota: number): Step {
  return { bucket: borrowedKey(bucket), limit: inUseLimit(quota), event: { type: "read" } };
}

function settledLoans(bucket: string, loans: readonly string[]): StoreRequest[] {
  return loans.map((id) => {
    return { mode: "force", steps: [{ ...borrowedStep(bucket, 0), event: { type: "settle", id, units: 0 } }] };
  });
}

/** Whether it charges, some of it to what may be lent, and nothing else decides about it. */
function isLendable({ mode, once, wait, steps }: StoreRequest): boolean {
  if (mode !== "judge" || once !== undefined || wait !== undefined) return false;
  for (let i = 0; i < steps.length; i++) {
    const { event } = steps[i] as Step;
    if (event.type !== "charge" || event.seen !== undefined) return false;
  }
  return true;
}

function isBorrowing({ borrow }: Step): boolean {
  return borrow === true;
}

/** Whether a request has to be asked again later: without an answer, or with an error that may end. */
function isAway(found: Found | undefined): boolean {
  return found === undefined || (StoreError.isInstance(found) && found.transient);
}

/** Whether the store itself has denied a call now. */
function isDenied({ allowed, stale, degraded }: StoreReply): boolean {
  return !allowed && stale !== true && degraded === undefined;
}

/** The steps that a limit which lends denies for longer than it takes to return units. */
function deniedSteps({ steps }: StoreRequest, reply: StoreReply): Step[] {
  return steps.filter((step, i) => {
    const found = reply.steps[i];
    if (!isBorrowing(step) || found === undefined || found.allowed) return false;
    return found.retryAfterMs !== null && found.retryAfterMs > RETURNED_WITHIN_MS;
  });
}

/** Units that a step needs: an unknown cost (0) needs one. */
function unitsNeeded({ event }: Step): number {
  return Math.max(1, event.type === "charge" ? event.cost : event.type === "hold" ? event.units : 0);
}

function costOf({ event }: Step): number {
  return event.type === "charge" ? event.cost : 0;
}
