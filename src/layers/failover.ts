// The layer in front of a store that may be unreachable. It sends each batch on terms, so that it can find out later what became
// of one without an answer. While the store is away, this process decides by its share; when the store is back, what it lost and
// what it missed is made good before it is asked again. This file connects the parts:
//
//     outage.ts           who decides, when the store is looked for, which calls wait
//     sender.ts           batches on terms, with a deadline
//     heartbeat.ts        this instance lives; how many others do (members.ts)
//     local-decisions.ts  what is decided here (fallback.ts), and remembered (backlog.ts)
//     recovery.ts         what is made good afterwards

import { type Clock, isWithin, LateError, monotonicClock, within } from "../clock.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import { type SharedStore, TermsError } from "../store/shared-store.ts";
import type { Batching } from "../store/store.ts";
import { Backlog } from "./failover/backlog.ts";
import { Heartbeat } from "./failover/heartbeat.ts";
import { LocalDecisions } from "./failover/local-decisions.ts";
import { instanceName, Members } from "./failover/members.ts";
import { DEFAULT_DEADLINE_MS, type FailoverEvent, type FailoverOptions } from "./failover/options.ts";
import { isOutage, Outage, type OutageWork } from "./failover/outage.ts";
import { Recovery } from "./failover/recovery.ts";
import { type Replies, Sender } from "./failover/sender.ts";
import type { Layer } from "./layer.ts";

export type { Journal } from "./failover/backlog.ts";
export { checkFailover, type FailoverEvent, type FailoverOptions } from "./failover/options.ts";

/** A store that may be away, and what makes good afterwards what was decided without it. */
export interface RecoveringStore extends Layer {
  /**
   * Waits until the store counts again and has all that was admitted without it. Resolves to whether it has, in time.
   *
   * @param isAsked whether the store is wanted for something else, so that it is waited for also where there is nothing to book
   */
  recovered(withinMs: number, isAsked?: boolean): Promise<boolean>;
}

const BATCHING: Batching = { size: 64, underWay: 4 };
/** While more bookings than this are left, calls do not wait for them. */
const LAST_BOOKINGS = 64;

/**
 * Wraps a store that may be away.
 *
 * @param group whose instances share the limits
 * @param clock by which calls have their deadlines: the machine's, because a network takes real time
 */
export function failoverLayer(
  store: SharedStore,
  group: string,
  options: FailoverOptions,
  tell: (event: FailoverEvent) => void,
  clock: Clock = monotonicClock,
): RecoveringStore {
  return new Failover(store, group, options, tell, clock);
}

class Failover implements RecoveringStore, OutageWork {
  readonly batching: Batching;
  readonly deadlineMs: number;
  readonly pausesFirst = false;
  readonly #clock: Clock;
  readonly #tell: (event: FailoverEvent) => void;
  readonly #sender: Sender;
  readonly #backlog: Backlog;
  readonly #members: Members;
  readonly #heartbeat: Heartbeat;
  readonly #recovery: Recovery;
  readonly #outage: Outage;
  readonly #local: LocalDecisions;
  /** Batches that are under way. */
  readonly #sent = new Set<Promise<unknown>>();
  #closing: Promise<void> | null = null;

  constructor(
    store: SharedStore,
    group: string,
    { deadlineMs = DEFAULT_DEADLINE_MS, instances, journal }: FailoverOptions,
    tell: (event: FailoverEvent) => void,
    clock: Clock,
  ) {
    this.batching = store.batching ?? BATCHING;
    this.deadlineMs = deadlineMs;
    this.#clock = clock;
    this.#tell = tell;
    const instance = instanceName();
    this.#sender = new Sender(store, deadlineMs);
    this.#backlog = new Backlog(instance, journal);
    this.#members = new Members(instances, journal !== undefined);
    const unreached = new StoreError("unavailable", "the store was never reached", { transient: true });
    this.#outage = new Outage(this, "new", unreached, clock);
    this.#heartbeat = new Heartbeat(
      this.#sender,
      this.#members,
      { group, instance },
      {
        due: () => this.#stay(),
        grown: (count) => tell({ type: "instances", instances: count }),
        late: () => this.#outage.hasten(),
      },
    );
    this.#recovery = new Recovery(
      this.#sender,
      this.#backlog,
      this.batching.size,
      () => this.#outage.state === "closed",
      tell,
    );
    this.#local = new LocalDecisions(this.#sender, this.#backlog, this.#members, this.#outage);
  }

  async apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<Replies> {
    const dueMs = this.#clock.nowMs() + leftMs;
    if (this.#outage.state === "new" && !this.#outage.isHeld) this.#outage.hold(this.#open());
    return this.#answer(requests, dueMs);
  }

  async recovered(withinMs: number, isAsked = false): Promise<boolean> {
    const endsAtMs = this.#clock.nowMs() + withinMs;
    await Promise.allSettled(this.#sent);
    while (this.#outage.state === "away" && (isAsked || !this.#backlog.isEmpty)) {
      const { recovering } = this.#outage;
      const leftMs = endsAtMs - this.#clock.nowMs();
      if (recovering === null) return true;
      if (leftMs <= 0 || !(await isWithin(leftMs, recovering, { clock: this.#clock }))) return false;
    }
    return true;
  }

  close(withinMs = 0): Promise<void> {
    this.#closing ??= this.#close(withinMs);
    return this.#closing;
  }

  async #close(withinMs: number): Promise<void> {
    await this.recovered(withinMs);
    const wasHere = this.#outage.state === "here";
    this.#outage.close();
    this.#heartbeat.end();
    await Promise.allSettled([...this.#sent, this.#outage.recovering]);
    if (wasHere) await this.#heartbeat.leave();
    const { isEmpty, isKept, count } = this.#backlog;
    if (!isEmpty && !isKept) this.#tell({ type: "failover.lost", bookings: count });
    this.#backlog.close();
    await this.#sender.store.close();
  }

  /** Asks the store for the first time. What it fails with for good is thrown, and tried again with the next call. */
  async #open(): Promise<void> {
    try {
      const beat = await this.#heartbeat.beat(true);
      this.#heartbeat.start();
      // A call that could not wait so long has found it away meanwhile.
      if (this.#outage.state !== "new") return;
      this.#sender.incarnation = beat.incarnation;
      if (this.#backlog.isEmpty) this.#outage.open();
      else this.#leave(this.#outage.failure);
    } catch (error) {
      if (!isOutage(error)) throw error;
      this.#heartbeat.start();
      this.#leave(error);
    }
  }

  /** Answers by an instant of the clock: as the store says, or without it. */
  async #answer(requests: readonly StoreRequest[], dueMs: number, isAgain = false): Promise<Replies> {
    const leftMs = await this.#outage.pass(dueMs);
    if (this.#outage.state === "closed") throw new StoreError("closed", "the store was closed", { transient: false });
    if (leftMs <= 0) this.#leave(this.#sender.failureOf(new LateError(this.deadlineMs)));
    if (this.#outage.state === "away") return requests.map((request) => this.#local.admit(request));
    return this.#send(requests, dueMs, isAgain);
  }

  async #send(requests: readonly StoreRequest[], dueMs: number, isAgain: boolean): Promise<Replies> {
    const leftMs = dueMs - this.#clock.nowMs();
    const receipt = requests.some(({ mode }) => mode !== "peek") ? this.#backlog.send() : undefined;
    const number = receipt?.number ?? null;
    const asked = this.#sender.send(requests, { receipt, leftMs, clock: this.#clock });
    this.#sent.add(asked);
    try {
      const replies = await asked;
      const failed = replies.find((reply) => isOutage(reply));
      if (failed !== undefined) return this.#doubt(requests, number, failed, replies);
      if (number !== null) this.#backlog.answered(number);
      return replies;
    } catch (error) {
      const failure = this.#sender.failureOf(error);
      const isLost = TermsError.refusalOf(failure) === "other-incarnation" && !isAgain;
      if (isOutage(failure) && !isLost) return this.#doubt(requests, number, failure, []);
      // Nothing was booked.
      if (number !== null) this.#backlog.answered(number);
      if (!isLost) throw failure;
      this.#leave(failure);
    } finally {
      this.#sent.delete(asked);
    }
    return this.#answer(requests, dueMs, true);
  }

  #doubt(requests: readonly StoreRequest[], number: number | null, failure: StoreError, known: Replies): Replies {
    this.#leave(failure);
    return this.#local.doubt(requests, number, known);
  }

  /** From now on this process decides. A store that has only lost data is there: calls wait until it has it again. */
  #leave(failure: StoreError): void {
    const { recovering } = this.#outage.leave(failure) ? this.#outage : { recovering: null };
    if (recovering === null || TermsError.refusalOf(failure) !== "other-incarnation") return;
    this.#outage.hold(within(this.deadlineMs, recovering).catch(() => {}));
  }

  /** Sees whether the store still has what it held, and tells it that this instance lives. */
  async #stay(): Promise<void> {
    if (this.#outage.state !== "here") return;
    try {
      const { incarnation } = await this.#heartbeat.beat();
      if (incarnation !== this.#sender.incarnation && this.#outage.state === "here") {
        this.#leave(new TermsError("other-incarnation", "the store has lost what it held"));
      }
    } catch (error) {
      if (isOutage(error)) this.#leave(error);
    }
  }

  instances(): number {
    return this.#members.count;
  }

  progress(): number {
    return this.#recovery.progress;
  }

  async probe(): Promise<boolean> {
    const beat = await this.#heartbeat.beat().catch(() => null);
    if (beat === null || this.#outage.state === "closed") return false;
    await Promise.allSettled(this.#sent);
    await this.#recovery.raise(beat);
    await this.#recovery.settle();
    while (this.#backlog.size > LAST_BOOKINGS) await this.#recovery.flush();
    return true;
  }

  async finish(): Promise<void> {
    // Calls that cannot wait so long are admitted meanwhile.
    do await this.#recovery.flush();
    while (!this.#backlog.isEmpty);
  }

  left(error: StoreError): void {
    this.#tell({ type: "store.unreachable", error });
  }

  returned(awayMs: number): void {
    this.#local.clear();
    this.#tell({ type: "store.recovered", awayMs, ...this.#recovery.takeCounts() });
  }
}
