// A store that wraps a store which may be away. It sends each batch on terms, so that it can find out later what became of
// one that was not answered; it answers by shares while the store is away (failover/fallback.ts), and when the store is
// back it gives back what that has lost, and books what was admitted meanwhile (failover/backlog.ts), before it asks again.

import { type Clock, isWithin, LateError, monotonicClock, spread, within } from "../clock.ts";
import { checkOptionKeys, checkWhole, invalidOption } from "../kernel/errors.ts";
import { reasonOf } from "../kernel/reason.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import { type Beat, type SharedStore, type Terms, TermsError } from "../store/shared-store.ts";
import type { Batching } from "../store/store.ts";
import { Backlog, type Journal, MAX_AGE_MS, type OpenBatch, settledBy } from "./failover/backlog.ts";
import { Fallback } from "./failover/fallback.ts";
import { instanceName, Members } from "./failover/members.ts";
import { beatEachMs, livesMs, longestProbeMs, Pause, probeAfterMs } from "./failover/pace.ts";
import { StoreTime } from "./failover/store-time.ts";
import { raiseOf, Views } from "./failover/views.ts";
import type { Layer } from "./layer.ts";

export type { Journal } from "./failover/backlog.ts";

/** What an instance does while its store is away. */
export interface FailoverOptions {
  /**
   * How long a call may take until this instance decides it by itself, 10 to 60,000 ms. Default 250. It is counted from the
   * call: the time that it waits behind others is part of it.
   */
  readonly deadlineMs?: number | undefined;
  /**
   * How many instances share the limits at most, 1 to 10,000. Default: the most that the store has counted within the last
   * hour or two; an instance that never reached the store admits no share then.
   */
  readonly instances?: number | undefined;
  /**
   * Where this instance keeps what it has admitted while the store was away, so that it is booked also when the process
   * dies meanwhile: `fileJournal`. Default: in memory alone.
   */
  readonly journal?: Journal | undefined;
}

/** What befalls the store, as this instance sees it. */
export type FailoverEvent =
  /** It does not answer as it should: from now on this instance decides by itself. */
  | { readonly type: "store.unreachable"; readonly error: StoreError }
  /** It counts again. */
  | {
      readonly type: "store.recovered";
      readonly awayMs: number;
      /** Requests that were booked afterwards, those whose answers were lost among them. */
      readonly booked: number;
      /** Requests that could not be: of a damaged bucket, or too old to be booked just once. */
      readonly dropped: number;
      /** Buckets whose use was given back, because the store had lost it. */
      readonly raised: number;
    }
  /** The limiter was closed while the store was away: so many bookings are lost, which no journal has. */
  | { readonly type: "failover.lost"; readonly bookings: number }
  /** The store refuses a batch for good that it did not answer before: so many bookings of it are lost. */
  | { readonly type: "failover.refused"; readonly bookings: number; readonly error: StoreError }
  /** How many instances the store counts, when that is more than before. */
  | { readonly type: "instances"; readonly instances: number };

/** A store that may be away, and what makes good afterwards what was decided without it. */
export interface RecoveringStore extends Layer {
  /**
   * Waits until the store counts again and has all that was admitted without it. Resolves to whether it has, in time.
   *
   * @param isAsked whether the store is wanted for something else, so that it is waited for also where there is nothing to book
   */
  recovered(withinMs: number, isAsked?: boolean): Promise<boolean>;
}

/** When an instance beats again after its first: those that started beside it have come by then. */
const SECOND_BEAT_MS = 250;
/** Clients forget commands for good: what was asked before that is not waited for. */
const FORGOTTEN_AFTER_MS = 10_000;
const BATCHING = { size: 64, underWay: 4 };
/** How many buckets are named so that the store can tell whether it has lost them. */
const SEEN = 64;
/** How often a batch that is settled may be refused as too late. */
const MAX_REFUSALS = 10;
/** With no more to book, calls wait for it: it is one batch or two. */
const FEW = 64;

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

/**
 * Refuses options that are wrong.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkFailover(options: FailoverOptions | false): void {
  if (options === false) return;
  checkOptionKeys(options, ["deadlineMs", "instances", "journal"]);
  const { deadlineMs = 250, instances = 1, journal } = options;
  checkWhole("failover.deadlineMs", deadlineMs, 10, 60_000);
  checkWhole("failover.instances", instances, 1, 10_000);
  if (journal !== undefined && (typeof journal?.write !== "function" || typeof journal.entries !== "function")) {
    throw invalidOption("failover.journal", "a journal, such as fileJournal(path)", journal);
  }
}

type Replies = readonly (StoreReply | StoreError)[];

class Failover implements RecoveringStore {
  readonly batching: Batching;
  readonly deadlineMs: number;
  readonly #store: SharedStore;
  readonly #group: string;
  readonly #clock: Clock;
  readonly #tell: (event: FailoverEvent) => void;
  readonly #instance = instanceName();
  readonly #time = new StoreTime();
  readonly #views = new Views();
  readonly #fallback = new Fallback(this.#views);
  readonly #backlog: Backlog;
  readonly #members: Members;
  #state: "new" | "here" | "away" | "closed" = "new";
  /** What calls wait for: the first answer of the store, or the last of what has to be booked afterwards. */
  #soon: Promise<void> | null = null;
  #failure: StoreError = new StoreError("unavailable", "the store was never reached", { transient: true });
  #incarnation: string | undefined;
  #awaySinceMs = 0;
  /** Batches that are under way. */
  readonly #sent = new Set<Promise<unknown>>();
  #beating: ReturnType<typeof setTimeout> | undefined;
  #recovering: Promise<void> | null = null;
  readonly #pause = new Pause();
  /** Buckets whose use an incarnation has been given back, until it has all of them. */
  #raised: { readonly incarnation: string; readonly buckets: Set<string> } | undefined;
  /** Whether a late answer has made a pause of this outage shorter. */
  #isHastened = false;
  #refusals = 0;
  #closing: Promise<void> | null = null;

  constructor(
    store: SharedStore,
    group: string,
    options: FailoverOptions,
    tell: (event: FailoverEvent) => void,
    clock: Clock,
  ) {
    const { deadlineMs = 250, instances, journal } = options;
    this.batching = store.batching ?? BATCHING;
    this.#store = store;
    this.#group = group;
    this.deadlineMs = deadlineMs;
    this.#clock = clock;
    this.#tell = tell;
    this.#backlog = new Backlog(this.#instance, journal);
    this.#members = new Members(instances, journal !== undefined);
    for (const request of this.#backlog.bookings()) this.#decide({ ...request, mode: "force" });
  }

  async apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<Replies> {
    const dueMs = this.#clock.nowMs() + leftMs;
    if (this.#state === "new") this.#soon ??= this.#open();
    return this.#answer(requests, dueMs);
  }

  async recovered(withinMs: number, isAsked = false): Promise<boolean> {
    const endsAtMs = this.#clock.nowMs() + withinMs;
    await Promise.allSettled(this.#sent);
    while (this.#recovering !== null && this.#isAway() && (isAsked || !this.#backlog.isEmpty)) {
      const leftMs = endsAtMs - this.#clock.nowMs();
      if (leftMs <= 0 || !(await isWithin(leftMs, this.#recovering, { clock: this.#clock }))) return false;
    }
    return true;
  }

  close(withinMs = 0): Promise<void> {
    this.#closing ??= this.#close(withinMs);
    return this.#closing;
  }

  async #close(withinMs: number): Promise<void> {
    await this.recovered(withinMs);
    const wasHere = this.#state === "here";
    this.#state = "closed";
    clearTimeout(this.#beating);
    this.#pause.end();
    await Promise.allSettled([...this.#sent, this.#recovering]);
    const leaves = () => this.#store.beat({ ...this.#member(), livesMs: 0 });
    if (wasHere) await within(this.deadlineMs, leaves()).catch(() => {});
    if (!this.#backlog.isEmpty && !this.#backlog.isKept)
      this.#tell({ type: "failover.lost", bookings: this.#backlog.count });
    this.#backlog.close();
    await this.#store.close();
  }

  /** Asks the store for the first time. What it fails with for good is thrown, and tried again with the next call. */
  async #open(): Promise<void> {
    try {
      const beat = await this.#beat(true);
      this.#startBeating();
      // A call that could not wait so long has found it away meanwhile.
      if (this.#state !== "new") return;
      this.#incarnation = beat.incarnation;
      if (this.#backlog.isEmpty) this.#state = "here";
      else this.#leave(this.#failure);
    } catch (error) {
      if (!isOutage(error)) throw error;
      this.#startBeating();
      this.#leave(error);
    } finally {
      this.#soon = null;
    }
  }

  /** Answers by an instant of the clock: as the store says, or without it. */
  async #answer(requests: readonly StoreRequest[], dueMs: number, isAgain = false): Promise<Replies> {
    let leftMs = dueMs - this.#clock.nowMs();
    while (this.#soon !== null && leftMs > 0) {
      await isWithin(leftMs, this.#soon, { clock: this.#clock });
      leftMs = dueMs - this.#clock.nowMs();
    }
    if (this.#state === "closed") throw new StoreError("closed", "the store was closed", { transient: false });
    if (leftMs <= 0) this.#leave(this.#failureOf(new LateError(`no answer within ${this.deadlineMs} ms`)));
    return this.#isAway() ? requests.map((request) => this.#admit(request)) : this.#send(requests, dueMs, isAgain);
  }

  async #send(requests: readonly StoreRequest[], dueMs: number, isAgain: boolean): Promise<Replies> {
    const { deadlineMs } = this;
    const leftMs = dueMs - this.#clock.nowMs();
    const receipt = requests.some(({ mode }) => mode !== "peek") ? this.#backlog.send() : undefined;
    const number = receipt?.number ?? null;
    const sentMs = performance.now();
    const answering = this.#store.book(requests, this.#terms(receipt, leftMs));
    const asked = within(leftMs, answering, { clock: this.#clock, deadlineMs });
    this.#sent.add(asked);
    try {
      const replies = await asked;
      this.#learn(requests, replies, sentMs);
      const failed = replies.find((reply) => isOutage(reply));
      if (failed !== undefined) return this.#doubt(requests, number, failed, replies);
      if (number !== null) this.#backlog.answered(number);
      return replies;
    } catch (error) {
      const failure = this.#failureOf(error);
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

  /** Decides requests of which some may have been booked, and remembers to settle which. */
  #doubt(requests: readonly StoreRequest[], number: number | null, failure: StoreError, known: Replies): Replies {
    this.#leave(failure);
    const atMs = this.#time.nowMs();
    const settled: StoreRequest[] = [];
    const replies = requests.map((request, i): StoreReply | StoreError => {
      const found = known[i];
      const reply = found === undefined || isOutage(found) ? this.#decide(request) : found;
      settled.push(settledBy(request, !StoreError.isInstance(reply) && reply.allowed, atMs));
      return reply;
    });
    if (number !== null) this.#backlog.doubt(number, settled, atMs);
    return replies;
  }

  /** Decides a request that the store is not asked about, and remembers to book it. */
  #admit(request: StoreRequest): StoreReply | StoreError {
    const reply = this.#decide(request);
    if (reply === this.#failure) return this.#unasked();
    if (StoreError.isInstance(reply) || request.mode === "peek" || reply.replay !== undefined) return reply;
    if (!reply.allowed && request.mode !== "force") return reply;
    try {
      this.#backlog.add(request, this.#time.nowMs(), this.#fallback.limitsOf(request));
      return reply;
    } catch (error) {
      return asStoreError(error);
    }
  }

  /** What only the store can do fails without asking it, while it is away. */
  #unasked(): StoreError {
    const { code, transient } = this.#failure;
    const awayMs = Math.round(performance.now() - this.#awaySinceMs);
    const message = `the store has been away for ${awayMs} ms, and only it can do this (${reasonOf(this.#failure)})`;
    return new StoreError(code, message, { transient, cause: this.#failure });
  }

  #decide(request: StoreRequest): StoreReply | StoreError {
    try {
      return this.#fallback.decide(request, this.#members.place(), this.#time.nowMs(), this.#failure);
    } catch (error) {
      return asStoreError(error);
    }
  }

  #learn(requests: readonly StoreRequest[], replies: Replies, sentMs: number): void {
    for (const [i, reply] of replies.entries()) {
      const request = requests[i];
      if (request === undefined || StoreError.isInstance(reply)) continue;
      this.#views.learn(request, reply);
      if (reply.replay === undefined) this.#time.learn(reply.nowMs, sentMs);
    }
  }

  /** From now on this instance decides by itself, until the store is back. */
  #leave(failure: StoreError): void {
    this.#failure = failure;
    if (this.#state === "away" || this.#state === "closed") return;
    this.#state = "away";
    this.#awaySinceMs = performance.now();
    this.#tell({ type: "store.unreachable", error: failure });
    this.#recovering = this.#recover();
    if (TermsError.refusalOf(failure) === "other-incarnation") this.#waitFor(this.#recovering);
  }

  /** The store is there, and has to be given what it lost: calls wait for that as for an answer. */
  #waitFor(recovering: Promise<void>): void {
    const soon = within(this.deadlineMs, recovering)
      .catch(() => {})
      .then(() => {
        if (this.#soon === soon) this.#soon = null;
      });
    this.#soon = soon;
  }

  /** Looks for the store, less and less often, until it answers in time and has all that it missed. */
  async #recover(): Promise<void> {
    const done: Done = { booked: 0, dropped: 0, raised: 0 };
    for (let failures = 0; !this.#isClosed(); failures++) {
      const beat = await this.#beat().catch(() => null);
      if (this.#isClosed()) return;
      const before = sumOf(done);
      try {
        if (beat !== null && (await this.#makeGood(beat, done))) return;
      } catch (error) {
        this.#failure = asStoreError(error);
      }
      // There is more to make good than the store takes at once.
      if (sumOf(done) > before) failures = 0;
      if (!this.#isClosed()) await this.#pause.of(probeAfterMs(failures, this.#members.count));
    }
  }

  /** Gives the store what it lost and what it missed. Resolves to whether this instance is done with being away. */
  async #makeGood(beat: Beat, done: Done): Promise<boolean> {
    await Promise.allSettled(this.#sent);
    if (this.#incarnation !== undefined && beat.incarnation !== this.#incarnation) await this.#raise(beat, done);
    this.#incarnation = beat.incarnation;
    await this.#settle(done);
    while (this.#backlog.size > FEW) await this.#flush(done);
    return this.#return(done);
  }

  /** Books the last of it while calls wait for that. Resolves to whether this instance is done with being away. */
  #return(done: Done): Promise<boolean> {
    const returned = this.#flushAll(done);
    this.#soon = returned.then(() => {});
    return returned;
  }

  async #flushAll(done: Done): Promise<boolean> {
    try {
      // Calls that cannot wait so long are admitted meanwhile.
      do await this.#flush(done);
      while (!this.#backlog.isEmpty);
    } catch (error) {
      this.#soon = null;
      this.#failure = asStoreError(error);
      return this.#isClosed();
    }
    if (this.#isClosed()) return true;
    this.#soon = null;
    this.#recovering = null;
    this.#fallback.clear();
    this.#isHastened = false;
    this.#state = "here";
    this.#tell({ type: "store.recovered", awayMs: Math.round(performance.now() - this.#awaySinceMs), ...done });
    return true;
  }

  /** Goes on where it failed before: a store that is slow meanwhile must not be given the same again and again. */
  async #raise(beat: Beat, done: Done): Promise<void> {
    const { incarnation } = beat;
    if (this.#raised?.incarnation !== incarnation) this.#raised = { incarnation, buckets: new Set() };
    const { buckets } = this.#raised;
    const nowMs = this.#time.nowMs();
    const raises = [...this.#views.live(nowMs)].flatMap(([bucket, view]): StoreRequest[] => {
      const event = buckets.has(bucket) ? null : raiseOf(view, beat);
      return event === null ? [] : [{ mode: "force", steps: [{ bucket, limit: view.limit, event }] }];
    });
    for (let first = 0; first < raises.length; first += this.batching.size) {
      const part = raises.slice(first, first + this.batching.size);
      await this.#ask(part, { ...this.#terms(), incarnation });
      for (const { steps } of part) for (const { bucket } of steps) buckets.add(bucket);
      done.raised += part.length;
    }
    this.#raised = undefined;
  }

  /** Makes sure of batches of which nobody knew what became of them, in their order. */
  async #settle(done: Done): Promise<void> {
    for (const batch of this.#backlog.batches) {
      const wanted = batch.requests.filter(({ mode }) => mode === "force").length;
      const replies = await this.#settled(batch);
      const failed = replies?.filter((reply) => StoreError.isInstance(reply)).length ?? wanted;
      done.booked += wanted - failed;
      done.dropped += failed;
      this.#backlog.settle(batch);
    }
  }

  /**
   * What the store says of a batch that is settled; `null` for one that it never will book: one that is too old, one that it
   * refuses as too late again and again while it answers otherwise, or one that it refuses for a reason of its own.
   */
  async #settled(batch: OpenBatch): Promise<Replies | null> {
    const bookings = batch.requests.filter(({ mode }) => mode === "force").length;
    const abandon = (error: StoreError) => {
      this.#refusals = 0;
      if (bookings > 0) this.#tell({ type: "failover.refused", bookings, error });
      return null;
    };
    if (this.#time.nowMs() - batch.openedAtMs > MAX_AGE_MS) return abandon(tooOld());
    try {
      const replies = await this.#ask(batch.requests, this.#terms(this.#backlog.closing(batch)));
      this.#refusals = 0;
      return replies;
    } catch (thrown) {
      const error = asStoreError(thrown);
      if (TermsError.refusalOf(error) === "too-late") this.#refusals++;
      if (error.code === "closed" || (isOutage(error) && this.#refusals < MAX_REFUSALS)) throw error;
      if (TermsError.refusalOf(error) === "too-late") this.#backlog.rename();
      return abandon(error);
    }
  }

  async #flush(done: Done): Promise<void> {
    this.#backlog.cut(this.batching.size, this.#time.nowMs());
    await this.#settle(done);
  }

  /** @throws StoreError when any of it has to be asked again */
  async #ask(requests: readonly StoreRequest[], terms: Terms): Promise<Replies> {
    if (this.#isClosed()) throw new StoreError("closed", "the store was closed", { transient: false });
    const sentMs = performance.now();
    const replies = await within(this.deadlineMs, this.#store.book(requests, terms));
    const failed = replies.find((reply) => isOutage(reply));
    if (failed !== undefined) throw failed;
    this.#learn(requests, replies, sentMs);
    return replies;
  }

  #terms(receipt?: Terms["receipt"], leftMs: number = this.deadlineMs): Terms {
    return {
      notAfterMs: this.#time.nowMs() + Math.ceil(leftMs),
      ...(this.#incarnation === undefined ? {} : { incarnation: this.#incarnation }),
      ...(receipt === undefined ? {} : { receipt }),
    };
  }

  /** @param isAwaited whether a call waits for it; who only looks for the store keeps no process alive */
  async #beat(isAwaited = false): Promise<Beat> {
    const sentMs = performance.now();
    const asked = within(FORGOTTEN_AFTER_MS, this.#store.beat(this.#member()), { isAwaited: false }).then((beat) => {
      if (!this.#isClosed()) this.#heard(beat, sentMs);
      return beat;
    });
    try {
      return await within(this.deadlineMs, asked, { isAwaited });
    } catch (error) {
      throw this.#failureOf(error);
    }
  }

  /** Learns from a beat that was answered, in time or late. */
  #heard(beat: Beat, sentMs: number): void {
    this.#time.learn(beat.nowMs, sentMs);
    if (this.#members.learn(beat)) this.#tell({ type: "instances", instances: beat.instances });
    // A store that stood still is there again, and asked soon. One that goes on being slow is not asked more often for that.
    if (this.#isHastened || performance.now() - sentMs < this.deadlineMs) return;
    this.#isHastened = true;
    this.#pause.shorten(Math.random() * longestProbeMs(this.#members.count));
  }

  /** An error as the store's. One that only says that there is no answer says why there is no connection, where that is known. */
  #failureOf(error: unknown): StoreError {
    const fault = error instanceof LateError ? this.#store.lastFault?.() : undefined;
    if (fault === undefined) return asStoreError(error);
    const message = `the store: ${reasonOf(error)} (${reasonOf(fault)})`;
    return new StoreError("unavailable", message, { transient: true, cause: fault });
  }

  #member() {
    const seen: string[] = [];
    for (const [bucket] of this.#views.live(this.#time.nowMs())) {
      if (seen.length === SEEN) break;
      seen.push(bucket);
    }
    return { group: this.#group, instance: this.#instance, livesMs: livesMs(this.#members.count), seen };
  }

  #startBeating(): void {
    if (this.#beating !== undefined) return;
    const next = (livedMs: number, leastMs?: number) => {
      // There may be many more now than when it said how long it lives.
      const ms = Math.min(beatEachMs(this.#members.count, leastMs), livedMs / 2);
      this.#beating = setTimeout(beat, spread(ms)).unref();
    };
    const beat = async () => {
      const livedMs = livesMs(this.#members.count);
      if (this.#state === "here") await this.#stay();
      if (!this.#isClosed()) next(livedMs);
    };
    next(livesMs(1), SECOND_BEAT_MS);
  }

  /** Says that this instance lives, and sees whether the store still is what it was. */
  async #stay(): Promise<void> {
    try {
      const { incarnation } = await this.#beat();
      if (incarnation !== this.#incarnation && this.#state === "here") this.#leave(lost());
    } catch (error) {
      if (isOutage(error)) this.#leave(error);
    }
  }

  // What changes while something is awaited.
  #isClosed(): boolean {
    return this.#state === "closed";
  }

  #isAway(): boolean {
    return this.#state === "away";
  }
}

/** How much was made good in an outage. */
interface Done {
  booked: number;
  dropped: number;
  raised: number;
}

function sumOf({ booked, dropped, raised }: Done): number {
  return booked + dropped + raised;
}

/** Whether an error means that the store is away, and not that one request is wrong. */
export function isOutage(error: unknown): error is StoreError {
  return StoreError.isInstance(error) && error.transient && !REQUEST_ALONE.has(error.code);
}

/** Errors of one request, whose fault it is. */
const REQUEST_ALONE: ReadonlySet<string> = new Set(["capacity", "too-many-holds", "overloaded"]);

function asStoreError(error: unknown): StoreError {
  if (StoreError.isInstance(error)) return error;
  return new StoreError("unavailable", `the store: ${reasonOf(error)}`, { transient: true, cause: error });
}

function tooOld(): StoreError {
  return new TermsError("too-late", "the store remembers what it booked of a batch for a day", { transient: false });
}

function lost(): StoreError {
  return new TermsError("other-incarnation", "the store has lost what it held");
}
