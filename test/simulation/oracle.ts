// The oracle: what really happened to each bucket, from the log of a run. It knows every call that was admitted, and says between
// which numbers the store's count has to lie when the world is calm.

import type { LimitSpec } from "../../src/kernel/algorithms/registry.ts";
import { algorithmOf } from "../../src/kernel/algorithms/registry.ts";
import type { Match } from "../../src/kernel/charge.ts";
import type { CompiledPolicy } from "../../src/kernel/limit.ts";
import { addTo, type Booking, ENDING, mostOf, type Units } from "./bookings.ts";
import { Deaths } from "./deaths.ts";
import { type Asked, type Entry, numberOf } from "./log.ts";
import { type Away, awayTimes, hasLeftDuring, hasReachedStore, isInDoubt } from "./outages.ts";
import type { Run } from "./run.ts";
import type { Call, Fault, PlannedCall } from "./schedule.ts";
import { isRefusal } from "./node.ts";

export type Decided = Extract<Entry, { type: "decided" }>;
export type Failed = Extract<Entry, { type: "failed" }>;

/** What was asked of one bucket. */
export interface Account {
  readonly key: string;
  readonly limit: string;
  /** The largest capacity of the limits that it was asked under. */
  capacity: number;
  /** The limits that it was asked under: a reload changes them. */
  readonly specs: LimitSpec[];
  /** What its limit is in any policy: an instance that has another one changes the bucket, too. */
  readonly everySpec: readonly LimitSpec[];
  readonly bookings: Booking[];
}

/** The lease of a hold where neither the call nor its limit says it. */
const LEASE_MS = 120_000;
const NOTHING: Units = { admitted: 0, least: 0, most: 0 };

export class Oracle {
  readonly run: Run;
  readonly policies: readonly CompiledPolicy[];
  readonly accounts = new Map<string, Account>();
  readonly deaths: Deaths;
  /** When instances decided without the store. */
  readonly away: readonly Away[];
  /** Whether there is one instance, and it lives all the time: it has seen everything, and gives back what the store loses. */
  readonly isOneAlone: boolean;
  /** Whether there is one client, and it lives all the time, as its services do, which always reach the store. */
  readonly isOneClient: boolean;
  /** Whether the store may have lost what it answered under a key. */
  readonly #losesAnswers: boolean;
  /** Whether the end of some hold is not known. */
  readonly #hasTrouble: boolean;
  readonly #clients: ReadonlySet<number>;
  /** By the call's key. */
  readonly #planned: ReadonlyMap<string | undefined, readonly PlannedCall[]>;
  /** By the call's number. */
  readonly #ends: ReadonlyMap<number, readonly Extract<Entry, { type: "ended" }>[]>;

  constructor(run: Run) {
    const { log, schedule, instances } = run;
    this.run = run;
    this.policies = run.policies.compiled;
    this.#clients = new Set(instances.flatMap(({ plan, number }) => (plan.role === "client" ? [number] : [])));
    this.#planned = Map.groupBy(schedule.calls, (call) => ("call" in call ? call.call.idempotencyKey : undefined));
    this.#ends = Map.groupBy(log.of("ended"), ({ planned }) => planned.id);
    this.#losesAnswers = schedule.faults.some((fault) => fault.type === "restart" && fault.agoMs !== 0);
    this.#hasTrouble = log.of("event").some(({ event }) => event.type.startsWith("hold."));
    const hasEnded = schedule.faults.some(({ type }) => type === "kill" || type === "close");
    this.isOneAlone = log.of("started").length === 1 && !hasEnded && schedule.settings.hasFailover;
    this.deaths = new Deaths(run);
    this.away = awayTimes(run);
    this.isOneClient =
      this.#clients.size === 1 &&
      log.of("started").length === instances.length &&
      !hasEnded &&
      schedule.settings.hasFailover &&
      this.away.every(({ on }) => this.isClient(on));
    const answered = new Set<string>();
    for (const entry of run.log.entries) {
      if (entry.type !== "decided" && entry.type !== "failed") continue;
      answered.add(`${entry.planned.id} ${entry.on}`);
      const [began, ended] = entry.policies;
      const decided = entry.type === "decided" ? entry : null;
      // A client's service may have any of the policies.
      const others = this.isClient(entry.on) ? this.policies.keys() : [];
      for (const policy of new Set([ended, began, ...others]))
        this.#book(entry.planned, policy, decided, policy === ended);
    }
    // Calls whose process died before it had an answer may have been booked.
    for (const entry of run.log.of("asked")) {
      if (!answered.has(`${entry.planned.id} ${entry.on}`)) this.#book(entry.planned, entry.policy, null, true);
    }
  }

  /** Whether a life is that of a client of services. */
  isClient(on: string): boolean {
    return this.#clients.has(numberOf(on));
  }

  /** Whether clients have no service to ask in the end. */
  get hasNoService(): boolean {
    const { instances } = this.run;
    return (
      instances.some(({ plan }) => plan.role === "client") &&
      !instances.some(({ plan, program }) => plan.role === "service" && program !== null)
    );
  }

  /** What a call made of each of its buckets. */
  #book(planned: PlannedCall, policy: number, decided: Decided | null, isLast: boolean): void {
    if (!("call" in planned) || planned.verb === "peek") return;
    for (const { key, limit, allotment, price } of this.matchesOf(planned.call, policy)) {
      const { spec } = allotment;
      const capacity = algorithmOf(spec).capacity(spec);
      const account = this.accounts.get(key) ?? this.#newAccount(key, limit.name, capacity);
      this.accounts.set(key, account);
      account.capacity = Math.max(account.capacity, capacity);
      if (!account.specs.includes(spec)) account.specs.push(spec);
      if (!isLast) continue;
      const mayBe = mostOf(planned, limit.unit, price ?? 0);
      const units = this.#shardsOf(planned, decided, limit.unit, price ?? 0, mayBe);
      const unknown = this.#isSettledUnknown(planned) ? mayBe - (price ?? 0) : 0;
      addTo(account.bookings, this.#losesAnswers, {
        planned,
        firstMs: planned.atMs,
        decided,
        mayBe,
        unknown,
        ...units,
      });
    }
  }

  /** Whether a call was settled whose hold was not known then. */
  #isSettledUnknown({ id }: PlannedCall): boolean {
    return this.#ends.get(id)?.some(({ how, status }) => how === "settle" && status === "unknown-hold") ?? false;
  }

  #newAccount(key: string, limit: string, capacity: number): Account {
    return { key, limit, capacity, specs: [], everySpec: this.run.policies.specsOf(limit), bookings: [] };
  }

  matchesOf(call: Call, policy: number): readonly Match[] {
    return this.run.policies.matchesOf(call, policy);
  }

  #shardsOf(planned: PlannedCall, decided: Decided | null, unit: string, price: number, mayBe: number): Units {
    if (decided === null) return this.#unitsWithoutAnswer(planned, mayBe);
    const { decision } = decided;
    const isLost =
      decision.degraded !== null &&
      (this.deaths.mayLose(decided, decision.allowed) || this.#mayServiceLose(decided) || this.#hasWrongTime(decided));
    // A client may deny a call that the service has admitted, and whose answer was lost: by itself, or when it has asked again.
    // So may an instance, if the call came twice under one key: an answer that was given again is not undone.
    // And a hold is charged at its end, if it was made for a call that was denied later than that.
    const isUnsure = this.#mayStayCharged(planned) || this.isClient(decided.on);
    const isDoubtful = isInDoubt(this, decided);
    const mayBeCharged =
      isLost || ((decision.degraded !== null || isDoubtful) && isUnsure) || this.#isSentAgain(decided);
    if (!decision.allowed && planned.verb !== "record") return mayBeCharged ? { ...NOTHING, most: mayBe } : NOTHING;
    const admitted = decision.allowed ? price : 0;
    const [least, most] = this.#rangeOf(planned, decided, unit, price, mayBe);
    // A hold that was made before its call was asked again is charged at its end.
    const isHeldTwice = ENDING.has(planned.verb) && isDoubtful && "maxWaitMs" in planned;
    const again =
      (this.#mayComeAfterLoss(decided) ? 1 : 0) +
      (isHeldTwice ? 1 : 0) +
      (decision.degraded === null ? 0 : this.deaths.timesAgain(decided.on));
    return { admitted, least: isLost ? 0 : least, most: most + again * mayBe };
  }

  /** A call that failed with an error, or whose process died, or whose caller gave up. */
  #unitsWithoutAnswer(planned: PlannedCall, most: number): Units {
    const { log, schedule } = this.run;
    const failed = log.of("failed").find((entry) => entry.planned.id === planned.id);
    // The turn of a call that waits may have come while its limiter was closed.
    const isWaiting = "maxWaitMs" in planned && failed?.error.code === "limiter-closed";
    const isRefused = failed?.error.name === "MisuseError" && !isWaiting;
    // With failover an error says that nothing was booked, unless the caller gave up a place that it had.
    const isNothing =
      failed?.error.name === "StoreError" &&
      schedule.settings.hasFailover &&
      !this.deaths.mayLose(failed) &&
      !this.#isSentAgain(failed) &&
      !(this.#mayStayCharged(planned) && hasLeftDuring(this, failed)) &&
      !this.#mayComeLate(failed);
    return isRefused || isNothing ? NOTHING : { ...NOTHING, most };
  }

  /** Whether a copy of a request that the server has refused may arrive when the server accepts it again. */
  #mayComeLate({ error, on, askedAtMs, atMs }: Failed): boolean {
    const during = this.run.schedule.faults.filter((fault) => {
      return "forMs" in fault && fault.atMs <= atMs && askedAtMs <= fault.atMs + fault.forMs;
    });
    // A service does not tell a client why its store failed.
    const isRefused = error.code === "unauthorized" || (this.isClient(on) && during.some(isRefusal));
    return isRefused && during.some((fault) => fault.type === "network" && fault.rules.repeats > 0);
  }

  /** Whether a client may have sent a call twice. */
  #isSentAgain({ on, tookMs }: Asked): boolean {
    return this.isClient(on) && tookMs >= SENT_AGAIN_AFTER_MS;
  }

  /** Whether a call that a client has sent twice may come once more after the store has lost the answer. */
  #mayComeAfterLoss(decided: Decided): boolean {
    const { faults } = this.run.schedule;
    const isLater = faults.some(
      (fault) => fault.type === "restart" && fault.agoMs !== 0 && fault.atMs >= decided.askedAtMs,
    );
    return isLater && this.#isSentAgain(decided);
  }

  /** What an admitted call comes to in the end. */
  #rangeOf(
    planned: PlannedCall,
    decided: Decided,
    unit: string,
    price: number,
    mayBe: number,
  ): [least: number, most: number] {
    if (planned.verb === "consume" || planned.verb === "record") return [price, price];
    if (planned.verb === "run" && unit === "calls") return [price, price];
    // A hold that is never ended is charged when it expires.
    const isAlone = !this.comesTwice(planned);
    if (planned.verb === "reserve" && NEVER_ENDS.has(planned.ending) && isAlone) return [price, price];
    const ends = this.#ends.get(planned.id) ?? [];
    const [end] = ends;
    if (ends.length !== 1 || end === undefined || this.#hasTrouble) return [0, mayBe];
    const used = "tokens" in planned && planned.tokens > 0 && unit === "tokens" ? planned.tokens : price;
    if (decided.decision.degraded !== null || this.isAwayDuring(end)) {
      // Either the end is booked, or the hold is charged when it expires.
      const isUsed = end.how === "run" || (end.how === "settle" && end.status !== "failed");
      return [isUsed && isAlone ? Math.min(used, price) : 0, mayBe];
    }
    // A hold that has expired is charged, and its end books only what goes beyond that.
    if (end.how === "run") return this.#mayExpire(decided, end.atMs) ? [Math.min(used, price), mayBe] : [used, used];
    if (end.how === "settle" && end.status === "settled") return [used, used];
    if (end.how === "release" && end.status === "settled") return [0, 0];
    return [0, mayBe];
  }

  /** Whether the server's clock is set forward by so much, while a call runs, that the lease of its hold may be over. */
  #mayExpire({ atMs, askedAtMs }: Decided, untilMs: number): boolean {
    const { faults } = this.run.schedule;
    const jumps = faults.map((fault) => {
      const isMeanwhile = fault.type === "server-clock" && askedAtMs <= fault.atMs && fault.atMs <= untilMs;
      return isMeanwhile ? Math.max(0, fault.jumpMs) : 0;
    });
    return jumps.reduce((sum, ms) => sum + ms, untilMs - atMs) >= LEASE_MS;
  }

  /** Whether a process died that had only its own clock, and that was wrong: its journal may be booked in a window that is over. */
  #hasWrongTime({ on, atMs }: Decided): boolean {
    const { schedule } = this.run;
    if (!this.deaths.hasEnded(on)) return false;
    const isWrong = schedule.faults.some((fault) => fault.type === "clock" && fault.instance === numberOf(on));
    if (!isWrong) return false;
    return !hasReachedStore(this, on, atMs);
  }

  /** Whether the service that a client's call was booked by, or is to be, may have ended before it could. */
  #mayServiceLose({ on, askedAtMs }: Decided): boolean {
    if (this.isClient(on) && this.hasNoService) return true;
    const { faults, instances } = this.run.schedule;
    const isEnd = (fault: Fault) =>
      (fault.type === "kill" || fault.type === "close") && instances[fault.instance]?.role === "service";
    return this.isClient(on) && faults.some((fault) => isEnd(fault) && fault.atMs >= askedAtMs - CLOSES_WITHIN_MS);
  }

  /** Whether a call may stay charged that the store had booked before it was denied alone. */
  #mayStayCharged(planned: PlannedCall): boolean {
    return ENDING.has(planned.verb) || this.comesTwice(planned);
  }

  /** Whether calls under its key were planned more than once. */
  comesTwice(planned: PlannedCall): boolean {
    const key = "call" in planned ? planned.call.idempotencyKey : undefined;
    return key !== undefined && (this.#planned.get(key)?.length ?? 0) > 1;
  }

  /** The decisions of calls under the key of this one, which has a key. */
  triesOf(planned: PlannedCall): Decided[] {
    const calls = "call" in planned ? this.#planned.get(planned.call.idempotencyKey ?? "") : undefined;
    return this.run.log.of("decided").filter((entry) => calls?.includes(entry.planned) === true);
  }

  /** Whether a process decided without the store while it asked; of a client, whether any service did. */
  isAwayDuring({ on, askedAtMs, atMs }: { on: string; askedAtMs: number; atMs: number }): boolean {
    // Of a client, its service may be away.
    return this.away.some(
      (time) => (time.on === on || this.isClient(on)) && time.fromMs <= atMs && askedAtMs <= (time.untilMs ?? atMs),
    );
  }
}

const NEVER_ENDS: ReadonlySet<string> = new Set(["never", "extend"]);
/** How long a client pauses at least before it sends a call again, ms. */
const SENT_AGAIN_AFTER_MS = 15;
/** How long a service may take to close, ms. */
const CLOSES_WITHIN_MS = 10_000;
