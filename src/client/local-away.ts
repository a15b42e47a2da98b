// Decides while the service is unreachable, by this process's share of what was left of each bucket when it was last seen. The
// service gets these calls as bookings when it is back. layers/failover/outage.ts says when that is, as for a limiter.

import { monotonicClock } from "../clock.ts";
import { isWithin } from "../deadlines.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import type { Decision } from "../kernel/decision.ts";
import type { Step, StoreRequest } from "../kernel/request.ts";
import { yielding } from "../breath.ts";
import { Fallback } from "../layers/failover/fallback.ts";
import { InFlight } from "../layers/failover/in-flight.ts";
import { isOutage, Outage, type OutageWork } from "../layers/failover/outage.ts";
import type { Place } from "../layers/failover/shares.ts";
import { changedLimits } from "../limiter/policy-change.ts";
import { type ChangeNote, createHostedLimiter, type HostedLimiter, type LimiterEvent } from "../limiter.ts";
import type { Store, StoreAnswer } from "../store/store.ts";
import { StoreError } from "../store/error.ts";
import type { Away, Flight } from "./away.ts";
import { type Booking, Bookings } from "./bookings.ts";
import { KnownHolds } from "./known-holds.ts";
import { ServiceViews } from "./service-views.ts";
import { MAX_ITEMS, type Wire } from "./wire.ts";

/** The prefix of keys, which exist only in this process. */
const PREFIX = "rate";

/** A limiter for the time in which the service is unreachable. */
export class LocalAway implements Away, OutageWork {
  readonly limiter: HostedLimiter;
  readonly holds: KnownHolds;
  /** The request that failed was sent up to four times, so a pause comes before the first probe. */
  readonly pausesFirst = true;
  readonly #wire: Wire;
  readonly #emit: (event: LimiterEvent) => void;
  /** How the service's buckets stood. */
  readonly seen: ServiceViews;
  readonly #fallback: Fallback;
  readonly #inFlight: InFlight;
  /** Calls that are under way, and what they ask if an outage has begun meanwhile. */
  readonly #sent = new Map<Flight, readonly StoreRequest[]>();
  readonly #instances: number;
  readonly #bookings = new Bookings();
  readonly #yield = yielding();
  readonly #outage: Outage;
  #wasReached = false;
  /** Called when every booking was sent, for a client that is being closed. */
  #drained: () => void = () => {};
  /** Whether `policy.differs` was emitted for this policy. */
  #hasEmittedDifference = false;

  constructor(
    wire: Wire,
    { policy, instances }: { readonly policy: CompiledPolicy; readonly instances: number },
    emit: (event: LimiterEvent) => void,
  ) {
    this.#wire = wire;
    this.#emit = emit;
    this.#instances = instances;
    this.seen = new ServiceViews(policy, PREFIX);
    this.#fallback = new Fallback(this.seen.views);
    this.#inFlight = new InFlight(this.#fallback);
    const unreached = new StoreError("unavailable", "the service was never reached", { transient: true });
    this.#outage = new Outage(this, "here", unreached, monotonicClock);
    const store: Store = {
      answer: (request) => this.#answer(request),
      apply: async (requests) => requests.map((request) => this.#answer(request)),
      close: async () => {},
    };
    this.limiter = createHostedLimiter({ policy: this.seen.policy, store, prefix: PREFIX });
    this.holds = new KnownHolds(this.limiter);
  }

  /**
   * Whether this process decides a call. While the last bookings are sent, the call waits as long as it has time; after that this
   * process decides it, and an outage begins.
   *
   * @param endsAtMs when the call has to be decided, by the monotonic clock
   */
  async decidesHere(endsAtMs: number): Promise<boolean> {
    if (this.seen.loading !== null) await this.seen.loading;
    const leftMs = await this.#outage.pass(endsAtMs);
    if (leftMs > 0 || !this.#outage.isHeld) return this.#outage.state === "away" && this.#yield(true);
    // The call's time is over, and the service still gets bookings.
    return this.leave(
      new StoreError("unavailable", "the service gets the bookings that it missed", { transient: true }),
    );
  }

  sent(flight: Flight): void {
    this.#sent.set(flight, []);
  }

  heard(flight: Flight, decision: Decision, sentMs: number): void {
    this.learn(flight.call, decision, sentMs, flight.isForced);
    // An answer that is given again may be to a call that was sent twice.
    const isBooked = decision.allowed || flight.isForced;
    this.#end(flight, isBooked ? this.seen.chargesIn(flight.call, decision) : []);
  }

  lost(flight: Flight): void {
    this.#end(flight, []);
  }

  /** The service has answered. */
  reached(): void {
    this.#wasReached = true;
  }

  /** Begins an outage if the error is one: from now on this process decides. Returns whether it does. */
  leave(error: unknown): boolean {
    if (!isOutage(error)) return false;
    if (this.#outage.leave(error)) {
      for (const flight of this.#sent.keys()) this.#expect(flight);
      // A booking may come while the last ones are sent. In `returned` it would be too early: calls still wait then.
      this.#outage.recovering?.then(() => this.#sendLate());
    }
    return this.#outage.state === "away";
  }

  checkRoom(): void {
    this.#bookings.checkRoom();
  }

  /** Remembers to tell the service something when it is back. `isSent`: the service may know it already. */
  book(booking: Booking, isSent: boolean): void {
    this.#bookings.add(booking, isSent);
    this.#sendLate();
  }

  learn(...seen: Parameters<ServiceViews["learn"]>): void {
    if (this.seen.learn(...seen) || this.#hasEmittedDifference) return;
    this.#hasEmittedDifference = true;
    this.#emit({ type: "policy.differs" });
  }

  reload(policy: Policy | PolicyInput, note: ChangeNote): CompiledPolicy {
    const next = compiledPolicy(policy);
    const changed = changedLimits(this.seen.policy, next);
    this.limiter.reload(next);
    this.seen.policy = next;
    this.#hasEmittedDifference = false;
    this.#emit({ type: "policy.reloaded", version: next.version, restarted: [], ...changed, ...note });
    return next;
  }

  /** Goes on trying to send the bookings that are left, as long as there is time. */
  async close(withinMs: number): Promise<void> {
    if (this.#bookings.size > 0 && withinMs > 0) {
      const drained = new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
      await isWithin(withinMs, drained);
    }
    this.#outage.close();
    const bookings = this.#bookings.size;
    if (bookings > 0) this.#emit({ type: "failover.lost", bookings });
    await this.limiter.close();
  }

  /** Expects that the service charges a call that is under way. */
  #expect(flight: Flight): void {
    const mode = flight.isForced ? "force" : "judge";
    const requests = [{ mode, steps: this.seen.chargesOf(flight.call) } as const];
    this.#sent.set(flight, requests);
    this.#inFlight.expect(requests, this.seen.time.nowMs());
  }

  /** It is known what became of a call that was under way, and what the service has charged. */
  #end(flight: Flight, steps: readonly Step[]): void {
    const requests = this.#sent.get(flight) ?? [];
    this.#sent.delete(flight);
    if (this.#outage.recovering === null) return;
    const nowMs = this.seen.time.nowMs();
    const charged = { mode: "force", steps } as const;
    this.#inFlight.end(requests, nowMs, () => {
      this.#fallback.count(charged, this.#place, nowMs, this.#outage.failure);
    });
  }

  /** A process that has never reached the service does not know what it admitted before it was started. */
  get #place(): Place | null {
    return this.#wasReached ? { instances: this.#instances, rank: null } : null;
  }

  #answer(request: StoreRequest): StoreAnswer {
    try {
      return this.#fallback.decide(request, this.#place, this.seen.time.nowMs(), this.#outage.failure);
    } catch (error) {
      if (StoreError.isInstance(error)) return error;
      throw error;
    }
  }

  /** Sends bookings that were added when the service was back already. */
  #sendLate(): void {
    if (this.#outage.state !== "here" || this.#outage.isHeld || this.#bookings.size === 0) return;
    const sent = this.finish().then(
      () => true,
      (error) => {
        this.leave(error);
        return false;
      },
    );
    this.#outage.hold(sent).then((isSent) => isSent && this.#sendLate());
  }

  // The six methods of `OutageWork`, which the outage calls.

  instances(): number {
    return this.#instances;
  }

  progress(): number {
    return this.#bookings.done;
  }

  async probe(): Promise<void> {
    await this.#wire.send({ method: "GET", path: "/readyz", isRepeatable: false });
    while (this.#bookings.size > MAX_ITEMS) await this.#bookings.send(this.#wire);
  }

  async finish(): Promise<void> {
    try {
      while (this.#bookings.size > 0) await this.#bookings.send(this.#wire);
    } finally {
      if (this.#bookings.size === 0) this.#drained();
    }
  }

  left(error: StoreError): void {
    this.#emit({ type: "store.unreachable", error });
  }

  returned(awayMs: number): void {
    this.#fallback.clear();
    this.#inFlight.clear();
    this.#wasReached = true;
    this.#emit({ type: "store.recovered", awayMs, ...this.#bookings.takeCounts(), raised: 0 });
  }
}
