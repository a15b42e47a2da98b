// A witness of denials: while a call is answered, it looks at what the store holds, and sees whether the denial and its retry time
// are right. The log alone cannot tell that later.

import { decideBatch, StoreError, type StoreRequest } from "../../src/store/api.ts";
import type { Log } from "./log.ts";
import type { Decided } from "./oracle.ts";
import type { Policies } from "./policies.ts";
import type { Call, Schedule } from "./schedule.ts";
import type { StoreServer } from "./server.ts";

/** How long an instance may repeat a denial after units were freed, such as by another one's reset, with the way there, ms. */
const SEEN_WITHIN_MS = 1_100;

/** How soon after the store started again every instance knows of it, ms. */
const KNOWS_LOSS_WITHIN_MS = 6_000;

/** What makes a bucket admit more. */
const FREEING = ["reset", "grant", "revoke"] as const;

export class Witness {
  readonly problems: string[] = [];
  readonly #schedule: Schedule;
  readonly #server: StoreServer;
  readonly #log: Log;
  readonly #policies: Policies;

  constructor(schedule: Schedule, policies: Policies, server: StoreServer, log: Log) {
    this.#schedule = schedule;
    this.#server = server;
    this.#log = log;
    this.#policies = policies;
  }

  /** A call was decided just now. */
  see(entry: Decided): void {
    const { decision, planned, policies, askedAtMs } = entry;
    if (decision.allowed || decision.degraded !== null || decision.replayed || planned.verb !== "consume") return;
    // A service may have another policy than its client.
    if (this.#isClient(entry.on) || planned.maxWaitMs !== undefined || policies[0] !== policies[1]) return;
    const request = this.#requestOf(planned.call, policies[1]);
    const keys = request?.steps.map(({ bucket }) => bucket) ?? [];
    const isUnchanged = keys.every((key) => (this.#server.changedAtMs.get(key) ?? 0) < askedAtMs);
    const isFreed = keys.some(
      (key) => (this.#server.takenBackAtMs.get(key) ?? Number.NEGATIVE_INFINITY) > askedAtMs - SEEN_WITHIN_MS,
    );
    if (request === null || !isUnchanged || isFreed || this.#mayBeOld(entry) || this.#isDisturbed(entry)) return;
    // A denial that is repeated does not know of units that were booked since, such as by a record.
    const isQuiet = keys.every((key) => (this.#server.changedAtMs.get(key) ?? 0) < askedAtMs - SEEN_WITHIN_MS);
    const { decidedAtMs, retryAfterMs } = decision;
    const retriedMs = retryAfterMs ?? 0;
    const wrong = (problem: string) =>
      this.problems.push(
        `the call ${planned.id} on ${entry.on} is denied with retryAfterMs ${retryAfterMs}: ${problem}`,
      );
    if (this.#isAllowed(request, decidedAtMs)) wrong("the store would have allowed it then");
    else if (retryAfterMs === null) return;
    else if (this.#isAllowed(request, decidedAtMs + retriedMs - 1)) wrong("it would be allowed before");
    else if (isQuiet && !this.#hasGrants() && !this.#isAllowed(request, decidedAtMs + retriedMs))
      wrong("it would be denied then");
  }

  /**
   * What the call asks; `null` where units are borrowed, and instances know more than the store, or where another instance with
   * another policy frees them all.
   */
  #requestOf(call: Call, policy: number): StoreRequest | null {
    const matches = this.#policies.matchesOf(call, policy);
    if (matches.some(({ limit }) => limit.isBorrowing || !this.#policies.keepsCounts(limit.name))) return null;
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
    const [reply] = decideBatch([request], (key) => this.#server.read(key), atMs).replies;
    return reply !== undefined && !StoreError.isInstance(reply) && reply.allowed;
  }

  #isDoneBy(id: number, atMs: number): boolean {
    return this.#log.of("done").some((entry) => entry.planned.id === id && entry.atMs <= atMs);
  }

  #isClient(on: string): boolean {
    return this.#schedule.instances.some(({ role }, i) => role === "client" && on.startsWith(`p${i}.`));
  }

  /** Whether the store's clock has jumped, or the store may have lost what this instance has seen. */
  #isDisturbed({ atMs }: Decided): boolean {
    return this.#schedule.faults.some((fault) => {
      if (fault.type === "server-clock") return fault.atMs <= atMs;
      return fault.type === "restart" && fault.atMs <= atMs && atMs < fault.atMs + fault.forMs + KNOWS_LOSS_WITHIN_MS;
    });
  }

  /** A grant may end before that, and then another limit denies the call. */
  #hasGrants(): boolean {
    return this.#log.about("grant").some(({ type }) => type === "asked");
  }

  /** Whether another instance has freed a bucket so shortly before that this one need not know. */
  #mayBeOld({ askedAtMs, on }: Decided): boolean {
    const freeing = FREEING.flatMap((verb) => this.#log.about(verb));
    return freeing.some((entry) => {
      if (entry.type === "skipped" || entry.type === "failed") return false;
      if (entry.atMs <= askedAtMs - SEEN_WITHIN_MS) return false;
      // Its own reset it knows when it is done.
      return entry.on !== on || (entry.type === "asked" && !this.#isDoneBy(entry.planned.id, askedAtMs));
    });
  }
}
