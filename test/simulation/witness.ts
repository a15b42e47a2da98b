// A witness of denials: while a call is answered, it looks at what the store holds, and sees whether the denial and its retry time
// are right. The log alone cannot tell that later.

import { decideBatch, StoreError, type StoreRequest } from "../../src/store/api.ts";
import type { Log } from "./log.ts";
import { BEGIN_MS } from "./machine.ts";
import type { Decided } from "./oracle.ts";
import type { Policies } from "./policies.ts";
import type { Call, Schedule } from "./schedule.ts";
import type { SimulatedStore } from "./store.ts";

/** By how much the age of a denial may be wrong, ms: clocks drift by a thousandth, and whole milliseconds are counted. */
const CLOCKS_DIFFER_MS = 5;

/** How soon after the store started again every instance knows of it, ms. */
const KNOWS_LOSS_WITHIN_MS = 6_000;

/** What makes a bucket admit more. */
const FREEING = ["reset", "grant"] as const;

export class Witness {
  readonly problems: string[] = [];
  readonly #schedule: Schedule;
  readonly #store: SimulatedStore;
  readonly #log: Log;
  readonly #policies: Policies;

  constructor(schedule: Schedule, policies: Policies, store: SimulatedStore, log: Log) {
    this.#schedule = schedule;
    this.#store = store;
    this.#log = log;
    this.#policies = policies;
  }

  /** A call was decided just now. */
  see(entry: Decided): void {
    const { decision, planned, policies, askedAtMs, on } = entry;
    if (decision.allowed || decision.degraded !== null || decision.replayed || planned.verb !== "consume") return;
    // A service may have another policy than its client.
    if (this.#isClient(on) || planned.maxWaitMs !== undefined || policies[0] !== policies[1]) return;
    const request = this.#requestOf(planned.call, policies[1]);
    if (request === null || this.#isDisturbed(entry)) return;
    const keys = request.steps.map(({ bucket }) => bucket);
    // A value that was damaged since then says nothing.
    if (keys.some((key) => this.#store.of(key).damaged.has(key))) return;
    const isUnchangedSince = (sinceMs: number) =>
      keys.every((key) => (this.#store.of(key).changedAtMs.get(key) ?? 0) < sinceMs);
    const { decidedAtMs, retryAfterMs } = decision;
    // What the store holds now is what it held when it denied, or later than the instant that the denial is for.
    if (!isUnchangedSince(Math.min(askedAtMs, worldMsOf(decidedAtMs) + 1))) return;
    const deniedAtMs = this.#deniedAtMs(entry);
    // It knows what it has freed itself when it is done.
    const knownBy = this.#isFreeing(on, askedAtMs) ? null : on;
    if (keys.some((key) => this.#store.of(key).isFreedSince(key, deniedAtMs, knownBy))) return;
    // A denial that is repeated does not know of units that were booked since, such as by a record.
    const isQuiet = isUnchangedSince(deniedAtMs);
    if (!isQuiet && !this.#freeAlike(entry)) return;
    const retriedMs = retryAfterMs ?? 0;
    const wrong = (problem: string) =>
      this.problems.push(`the call ${planned.id} on ${on} is denied with retryAfterMs ${retryAfterMs}: ${problem}`);
    if (this.#isAllowed(request, decidedAtMs)) wrong("the store would have allowed it then");
    else if (retryAfterMs === null) return;
    else if (this.#isAllowed(request, decidedAtMs + retriedMs - 1 - this.#apartMs(entry)))
      wrong("it would be allowed before");
    else if (isQuiet && !this.#hasGrants() && !this.#isAllowed(request, decidedAtMs + retriedMs))
      wrong("it would be denied then");
  }

  /** How long shards of a cluster may have decided after one another: the time of each says when to try again by its own clock. */
  #apartMs({ tookMs }: Decided): number {
    return this.#store.isCluster ? Math.ceil(tookMs) : 0;
  }

  /** When the store denied a call at the earliest, if this denial is repeated; its answer may have come late. */
  #deniedAtMs({ decision }: Decided): number {
    return worldMsOf(decision.decidedAtMs) - this.#schedule.settings.denyCacheMs - CLOCKS_DIFFER_MS;
  }

  /** Whether another policy, or an override, frees no units of the limits of a call at another time. */
  #freeAlike({ planned, policies }: Decided): boolean {
    if (!("call" in planned)) return true;
    const matches = this.#policies.matchesOf(planned.call, policies[1]);
    return matches.every(({ limit }) => this.#policies.freesAlike(limit.name));
  }

  /**
   * What the call asks; `null` where an instance borrows units, and knows more than the store, or returns them later, or where another instance with
   * another policy frees them all.
   */
  #requestOf(call: Call, policy: number): StoreRequest | null {
    const matches = this.#policies.matchesOf(call, policy);
    if (matches.some(({ limit: { name } }) => this.#policies.lends(name) || !this.#policies.keepsCounts(name)))
      return null;
    const counted = matches.filter(({ price }) => price !== 0);
    const steps = counted.map(({ key, limit, allotment, price = 0 }) => ({
      bucket: key,
      limit: allotment.spec,
      event: { type: "charge", cost: price } as const,
      shadow: limit.mode !== "enforce",
    }));
    return { mode: "peek", steps };
  }

  #isAllowed(request: StoreRequest, atMs: number): boolean {
    const [reply] = decideBatch([request], (key) => this.#store.of(key).read(key), atMs).replies;
    return reply !== undefined && !StoreError.isInstance(reply) && reply.allowed;
  }

  #isDoneBy(id: number, atMs: number): boolean {
    return this.#log.of("done").some((entry) => entry.planned.id === id && entry.atMs <= atMs);
  }

  #isClient(on: string): boolean {
    return this.#schedule.instances.some(({ role }, i) => role === "client" && on.startsWith(`p${i}.`));
  }

  /** Whether the store's clock has jumped, or the store may have lost what this instance has seen. */
  #isDisturbed(entry: Decided): boolean {
    const { atMs } = entry;
    const deniedAtMs = this.#deniedAtMs(entry);
    return this.#schedule.faults.some((fault) => {
      if (fault.type === "server-clock") return fault.atMs <= atMs;
      return (
        fault.type === "restart" && fault.atMs <= atMs && deniedAtMs < fault.atMs + fault.forMs + KNOWS_LOSS_WITHIN_MS
      );
    });
  }

  /** A grant may end before that, and then another limit denies the call. */
  #hasGrants(): boolean {
    return this.#log.about("grant").some(({ type }) => type === "asked");
  }

  /** Whether a process has asked for a grant or a reset, and has not heard that it is done. */
  #isFreeing(on: string, askedAtMs: number): boolean {
    const asked = FREEING.flatMap((verb) => this.#log.about(verb)).filter(({ type }) => type === "asked");
    return asked.some((entry) => "on" in entry && entry.on === on && !this.#isDoneBy(entry.planned.id, askedAtMs));
  }
}

/** The world's time of an instant by the store's clock, as long as that has not jumped. */
function worldMsOf(storeMs: number): number {
  return storeMs - BEGIN_MS;
}
