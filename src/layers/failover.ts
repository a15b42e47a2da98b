// The layer in front of a store that may be unreachable. It sends each batch on terms, so that it can find out later what became
// of one without an answer. While the store is away, this process decides by its share; when the store is back, what it lost and
// what it missed is made good before it is asked again. This file connects the parts:
//
//     outage.ts           whether the store decides, when it is looked for, which calls wait
//     store-link.ts       batches on terms, with a deadline
//     heartbeat.ts        this instance lives; how many others do (members.ts)
//     local-decisions.ts  what is decided here (fallback.ts), and remembered (backlog.ts)
//     recovery.ts         what is made good afterwards

import { type Clock, monotonicClock } from "../clock.ts";
import { Deadlines, isWithin, LateError, within } from "../deadlines.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { Batching, Layer, StoreAnswer } from "../store/store.ts";
import { StoreError } from "../store/error.ts";
import { type SharedStore, TermsError } from "../store/shared-store.ts";
import { yielding } from "../breath.ts";
import { Backlog } from "./failover/backlog.ts";
import { Heartbeat } from "./failover/heartbeat.ts";
import { LocalDecisions } from "./failover/local-decisions.ts";
import type { Members } from "./failover/members.ts";
import { DEFAULT_DEADLINE_MS, type FailoverEvent, type FailoverOptions, type Journal } from "./failover/options.ts";
import { isOutage, Outage, type OutageWork } from "./failover/outage.ts";
import { Recovery, storeClosed } from "./failover/recovery.ts";
import { instanceParts, type ShardTerms } from "./failover/instance-parts.ts";
import { StoreLink } from "./failover/store-link.ts";
import { Views } from "./failover/views.ts";

/** For a shared store that does not say: calls of one tick go together, because there is a receipt for each batch. */
const BATCHING: Batching = { size: 64, underWay: 4 };
/** While more bookings than this are left, calls do not wait for them. */
const LAST_BOOKINGS = 64;

export class FailoverLayer implements Layer, OutageWork {
  readonly batching: Batching;
  readonly deadlineMs: number;
  readonly pausesFirst = false;
  readonly #clock: Clock;
  readonly #tell: (event: FailoverEvent) => void;
  readonly #journal: Journal | undefined;
  readonly #link: StoreLink;
  readonly #backlog: Backlog;
  readonly #members: Members;
  readonly #awayCount: () => number;
  readonly #heartbeat: Heartbeat;
  readonly #recovery: Recovery;
  readonly #outage: Outage;
  readonly #local: LocalDecisions;
  readonly #deadlines: Deadlines;
  readonly #yield = yielding();
  /** Batches that are under way, and what they ask. */
  readonly #sent = new Map<Promise<unknown>, readonly StoreRequest[]>();

  /**
   * @param group the group whose instances share the limits
   * @param clock the clock by which calls have their deadlines: the machine's, because a network takes real time
   * @param terms default: the store has no shards
   */
  constructor(
    store: SharedStore,
    group: string,
    options: FailoverOptions,
    tell: (event: FailoverEvent) => void,
    clock: Clock = monotonicClock,
    { parts, counts, awayCount }: ShardTerms = {
      parts: instanceParts(group, options),
      counts: true,
      awayCount: () => 1,
    },
  ) {
    const { deadlineMs = DEFAULT_DEADLINE_MS, journal } = options;
    const { names, members, views, bookings, local } = parts;
    this.batching = store.batching ?? BATCHING;
    this.deadlineMs = deadlineMs;
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
    this.#tell = tell;
    this.#journal = journal;
    this.#link = new StoreLink(store, deadlineMs, new Views(views));
    this.#backlog = new Backlog(names, journal, bookings);
    this.#members = members;
    this.#awayCount = awayCount;
    this.#outage = new Outage(this, "new", unavailable("the store was never reached"), clock);
    const listener = {
      due: () => this.#stay(),
      dated: () => this.#local.correct(this.#link.time.correctionMs),
      grown: (count: number) => tell({ type: "instances", instances: count }),
      late: () => this.#outage.hasten(),
    };
    this.#heartbeat = new Heartbeat(this.#link, members, names, listener, counts);
    this.#recovery = new Recovery(this.#link, this.#backlog, this.batching.size, {
      isClosed: () => this.#outage.state === "closed",
      refused: (open, error) => tell({ type: "failover.refused", ...open, error }),
    });
    this.#local = new LocalDecisions(this.#link, this.#backlog, members, this.#outage, local);
  }

  apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    const dueMs = this.#clock.nowMs() + leftMs;
    this.wake();
    return this.#answer(requests, dueMs);
  }

  /** Asks the store now whether it still has what it held: another shard has lost that. */
  check(): Promise<void> {
    return this.#stay();
  }

  /** Looks for the store soon, where it is away: another shard is back. */
  lookSoon(): void {
    this.#outage.lookSoon();
  }

  /** Whether this process decides, because the store is away. */
  get isAway(): boolean {
    return this.#outage.state === "away" && !this.#outage.isHeld;
  }

  /** Asks the store for the first time, where that is still to be done. */
  wake(): void {
    if (this.#outage.state === "new" && !this.#outage.isHeld) this.#outage.hold(this.#open());
  }

  /**
   * Takes back what the store has booked, or does other things that no call waits for: once each, also where a client sends them again.
   * When the answer is lost, it is not settled: the units may stay used. While the store is away, what was admitted here is taken back
   * here.
   */
  async giveBack(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    const { state, failure, isHeld } = this.#outage;
    if (state === "away") return requests.map((request) => this.#local.giveBack(request));
    if (state !== "here" || isHeld) throw failure;
    const receipt = this.#backlog.nextReceipt();
    try {
      return await this.#link.send(requests, { receipt, leftMs, deadlines: this.#deadlines });
    } catch (error) {
      throw this.#link.failureOf(error);
    } finally {
      this.#backlog.answered(receipt.number);
    }
  }

  /**
   * Waits until the store counts again, `withinMs` at most, but only if something was admitted without it, or `hasMore`: another
   * layer has something for the store, such as borrowed units.
   */
  async recovered(withinMs: number, hasMore = false): Promise<void> {
    const endsAtMs = this.#clock.nowMs() + withinMs;
    await Promise.allSettled(this.#sent.keys());
    while (this.#outage.state === "away" && (hasMore || !this.#backlog.isEmpty)) {
      const leftMs = endsAtMs - this.#clock.nowMs();
      const recovering = Promise.resolve(this.#outage.recovering);
      if (leftMs <= 0 || !(await isWithin(leftMs, recovering, { clock: this.#clock }))) return;
    }
  }

  async close(withinMs = 0): Promise<void> {
    await this.recovered(withinMs);
    const wasHere = this.#outage.state === "here";
    this.#outage.close();
    this.#heartbeat.end();
    await Promise.allSettled([...this.#sent.keys(), this.#outage.recovering]);
    if (wasHere) await this.#heartbeat.leave();
    const bookings = [...this.#backlog.bookings()].length;
    this.#backlog.catchUp();
    if (bookings > 0 && this.#journal === undefined) this.#tell({ type: "failover.lost", bookings });
    this.#journal?.close();
    await this.#link.store.close();
  }

  /** Asks the store for the first time. What it fails with for good is thrown, and tried again with the next call. */
  async #open(): Promise<void> {
    try {
      let beat = await this.#heartbeat.beat({ isAwaited: true });
      // The answer was read late, so the store's time is not known well enough: it would refuse batches as too late.
      if (this.#link.time.errorMs > this.deadlineMs / 2) beat = await this.#heartbeat.beat({ isAwaited: true });
      this.#heartbeat.start();
      // A call that could not wait so long has found it away meanwhile.
      if (this.#outage.state !== "new") return;
      this.#link.incarnation = beat.incarnation;
      // What an earlier process admitted is booked first, as after an outage.
      if (this.#backlog.isEmpty) this.#outage.open();
      else this.#leave(unavailable("the store gets what an earlier process of this instance admitted"));
    } catch (error) {
      if (!isOutage(error)) throw error;
      this.#heartbeat.start();
      this.#leave(error);
    }
  }

  /** Answers by an instant of the clock: as the store says, or without it. */
  async #answer(requests: readonly StoreRequest[], dueMs: number, isAgain = false): Promise<readonly StoreAnswer[]> {
    const leftMs = this.#outage.isHeld ? await this.#outage.pass(dueMs) : dueMs - this.#clock.nowMs();
    if (this.#outage.state === "closed") throw storeClosed();
    if (leftMs <= 0) this.#leave(this.#link.failureOf(new LateError(this.deadlineMs)));
    if (this.#outage.state === "away") return this.#yield(requests.map((request) => this.#local.admit(request)));
    const receipt = requests.some(({ mode }) => mode !== "peek") ? this.#backlog.nextReceipt() : undefined;
    const number = receipt?.number ?? null;
    const sent = this.#link.send(requests, { receipt, leftMs, deadlines: this.#deadlines });
    this.#sent.set(sent, requests);
    let replies: readonly StoreAnswer[];
    try {
      replies = await sent;
      this.#sent.delete(sent);
    } catch (error) {
      this.#sent.delete(sent);
      const failure = this.#link.failureOf(error);
      const mayAskAgain = !isAgain && TermsError.refusalOf(failure) === "other-incarnation";
      if (isOutage(failure) && !mayAskAgain) {
        this.#leave(failure);
        return this.#local.doubt(requests, number, []);
      }
      // Nothing was booked.
      this.#local.hear(requests, []);
      if (number !== null) this.#backlog.answered(number);
      if (!mayAskAgain) throw failure;
      this.#leave(failure);
      return this.#answer(requests, dueMs, true);
    }
    const failed = replies.find((reply) => isOutage(reply));
    if (failed !== undefined) {
      this.#leave(failed);
      return this.#local.doubt(requests, number, replies);
    }
    if (number !== null) this.#backlog.answered(number);
    if (this.#outage.recovering !== null) this.#local.hear(requests, replies);
    return replies;
  }

  /** From now on this process decides. A store that has only lost data is there: calls wait until it has it again. */
  #leave(failure: StoreError): void {
    const isNew = this.#outage.leave(failure);
    if (isNew) for (const requests of this.#sent.values()) this.#local.expect(requests);
    const { recovering } = this.#outage;
    if (!isNew || recovering === null || TermsError.refusalOf(failure) !== "other-incarnation") return;
    this.#outage.hold(within(this.deadlineMs, recovering).catch(() => {}));
  }

  /** Sees whether the store still has what it held, and tells it that this instance lives. */
  async #stay(): Promise<void> {
    if (this.#outage.state !== "here") return;
    this.#backlog.catchUp();
    try {
      const { incarnation } = await this.#heartbeat.beat();
      if (incarnation !== this.#link.incarnation && this.#outage.state === "here") {
        this.#leave(new TermsError("other-incarnation", "the store has lost what it held"));
      }
    } catch (error) {
      if (isOutage(error)) this.#leave(error);
    }
  }

  /** Shards that are away are looked for as often, all together, as one store. */
  instances(): number {
    return this.#members.count * Math.max(1, this.#awayCount());
  }

  progress(): number {
    return this.#recovery.progress;
  }

  async probe(): Promise<void> {
    const beat = await this.#heartbeat.beat();
    // Each of them becomes answered or doubtful. The doubtful ones are settled below, and `Backlog.rename` needs that none is
    // under way.
    await Promise.allSettled(this.#sent.keys());
    await this.#recovery.raise(beat);
    await this.#recovery.settle();
    while (this.#backlog.looseCount > LAST_BOOKINGS) await this.#recovery.flush();
  }

  async finish(): Promise<void> {
    // Calls that cannot wait so long are admitted meanwhile.
    do {
      await this.#recovery.flush();
    } while (!this.#backlog.isEmpty);
  }

  left(error: StoreError): void {
    this.#tell({ type: "store.unreachable", error });
  }

  returned(awayMs: number): void {
    this.#local.clear();
    this.#tell({ type: "store.recovered", awayMs, ...this.#recovery.takeCounts() });
  }
}

function unavailable(message: string): StoreError {
  return new StoreError("unavailable", message, { transient: true });
}
