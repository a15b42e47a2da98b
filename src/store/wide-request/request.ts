// One request over several shards: the shards are asked one after the other, and what is held in them is spent or released.

import { randomId } from "../../ids.ts";
import {
  listsGrants,
  namesEntry,
  type Step,
  type StepEvent,
  type StepReply,
  type StoreReply,
  type StoreRequest,
} from "../../kernel/request.ts";
import { StoreError, tooFewReplies } from "../error.ts";
import { endsCall } from "../room.ts";
import type { StoreAnswer } from "../store.ts";
import { type Group, groupsOf, isHoldable } from "./groups.ts";
import type { Shards } from "./shards.ts";

/** How long a hold on the way to a decision lives, unless it is ended. */
const LEASE_MS = 5_000;

export class WideRequest {
  readonly #request: StoreRequest;
  readonly #shards: Shards;
  readonly #groups: readonly Group[];
  readonly #id = randomId();

  constructor(request: StoreRequest, shards: Shards) {
    this.#request = request;
    this.#shards = shards;
    this.#groups = groupsOf(request, (key) => shards.of(key));
  }

  async decide(): Promise<StoreReply> {
    const { mode, steps, once, atMs } = this.#request;
    const isBookedOnce = mode === "force" && once !== undefined && atMs === undefined;
    if (isBookedOnce && endsCall(this.#request)) return this.#end();
    const isCall = steps.some(({ event }) => event.type === "charge" || event.type === "hold");
    if (isCall && mode === "peek") return this.#peek();
    if (isBookedOnce || (isCall && mode === "judge")) return this.#call();
    return this.#merge(await Promise.all(this.#groups.map((group) => this.#ask(group))));
  }

  async #call(): Promise<StoreReply> {
    const { mode } = this.#request;
    const replies: StoreReply[] = [];
    const last = this.#groups.length - 1;
    for (const [n, group] of this.#groups.entries()) {
      // All others have allowed it by then: the last one books it.
      const reply = await this.#askSteps(group, (step) => (n === last ? step.event : this.#asHold(step))).catch(
        (error) => {
          // What this shard may hold, without an answer, is charged when it expires.
          this.#shards.runLater(this.#releaseHolds(n));
          throw error;
        },
      );
      if (reply.replay !== undefined) return this.#replayed(await this.#releaseInTime(n), reply);
      if (reply.stale === true || (mode === "judge" && !reply.allowed)) return this.#denied(n, reply);
      replies.push(reply);
    }
    this.#shards.runLater(this.#spendHolds());
    return this.#merge(replies);
  }

  /**
   * Ends a call. Its answer is kept first, so that nothing is booked when it is sent again. Then a shard that was away the
   * first time still has the hold, and is asked.
   */
  async #end(): Promise<StoreReply> {
    const others = this.#groups.slice(0, -1);
    const reply = await this.#ask(this.#groups.at(-1) as Group);
    if (reply.stale === true) return reply;
    const { replay } = reply;
    if (replay === undefined)
      return this.#merge([...(await Promise.all(others.map((each) => this.#ask(each)))), reply]);
    const isSame = replay.request === this.#request.once?.request;
    const ended = others.map(async (group) =>
      isSame && (await this.#isHeld(group)) ? this.#ask(group) : this.#read(group),
    );
    return this.#replayed(await Promise.all(ended), reply);
  }

  /** Whether a shard still has all holds that a group ends. */
  async #isHeld({ shard, request }: Group): Promise<boolean> {
    const steps = request.steps.flatMap((step): Step[] => {
      const { event } = step;
      return event.type === "settle" ? [{ ...step, event: { type: "extend", id: event.id, leaseMs: 1 } }] : [];
    });
    return steps.length > 0 && (await this.#ask({ shard, request: { mode: "peek", steps } })).allowed;
  }

  /** Of a call that one shard denies: nothing stays held, and the others say how they stand. */
  async #denied(n: number, reply: StoreReply): Promise<StoreReply> {
    const before = await this.#releaseInTime(n);
    if (reply.stale === true) return reply;
    const after = this.#groups.slice(n + 1);
    const kept = await this.#keptAnswer(after.at(-1));
    if (kept !== null) {
      const between = this.#groups.slice(n, -1).map((group) => this.#read(group));
      return this.#replayed([...before, ...(await Promise.all(between))], kept);
    }
    const peeked = await Promise.all(after.map((group) => this.#peekIn(group)));
    return this.#merge([...before, reply, ...peeked.map(({ standing }) => standing)]);
  }

  /** The answer that a shard keeps for this request: one of a call that was allowed stays, whatever has been used since. */
  async #keptAnswer(group: Group | undefined): Promise<StoreReply | null> {
    const { once } = group?.request ?? {};
    const [first] = this.#request.steps;
    if (group === undefined || once === undefined || first === undefined) return null;
    // It is always denied, and so it books nothing where there is no answer.
    const unknown: StepEvent = { type: "extend", id: this.#id, leaseMs: 1 };
    const steps = [{ bucket: `${once.key}:none`, limit: first.limit, event: unknown }];
    const reply = await this.#ask({ shard: group.shard, request: { mode: "judge", steps, once } });
    return reply.replay === undefined ? null : reply;
  }

  /** What the shards would answer, as if the call were booked; when one denies it, it would be booked in none. */
  async #peek(): Promise<StoreReply> {
    const peeked = await Promise.all(this.#groups.map((group) => this.#peekIn(group)));
    const allowed = peeked.every(({ booked }) => booked.allowed);
    return this.#merge(peeked.map(({ booked, standing }) => (allowed ? booked : standing)));
  }

  /** What a shard would answer: as if it were booked, and as it stands. */
  async #peekIn({
    shard,
    request: { once: _, ...request },
  }: Group): Promise<Record<"booked" | "standing", StoreReply>> {
    const answers = await this.#shards.decide(shard, [{ ...request, mode: "peek" }, readOf(request)]);
    const [booked, now] = answered(answers, 2) as [StoreReply, StoreReply];
    if (!booked.allowed) return { booked, standing: booked };
    const steps = now.steps.map((step, i) => {
      const { allowed, retryAfterMs } = booked.steps[i] as StepReply;
      return { ...step, allowed, retryAfterMs };
    });
    return { booked, standing: { ...booked, steps } };
  }

  /** The answer that the last shard keeps, and how the others stand. They have no part of it. */
  #replayed(others: readonly StoreReply[], reply: StoreReply): StoreReply {
    const { replay } = reply;
    if (replay === undefined) return this.#merge([...others, reply]);
    const units = this.#request.steps.map(({ event }) =>
      "cost" in event ? event.cost : "units" in event ? event.units : 0,
    );
    for (const [i, index] of (this.#groups.at(-1)?.indexes ?? []).entries()) units[index] = replay.units[i] ?? 0;
    return { ...this.#merge([...others, reply]), replay: { ...replay, units } };
  }

  async #spendHolds(): Promise<void> {
    const spending = this.#groups.slice(0, -1).map((group) => {
      const ends = group.request.steps.filter(isHoldable).map((step): Step => {
        return { ...step, event: { type: "settle", id: this.#id, units: step.event.cost } };
      });
      return ends.length === 0
        ? undefined
        : this.#ask({ ...group, request: { mode: "force", steps: ends } }, this.#shards.settle);
    });
    await Promise.all(spending);
  }

  /** What the first shards say that held something for the call. They are freed also when that takes too long. */
  #releaseInTime(count: number): Promise<StoreReply[]> {
    const releasing = this.#releaseHolds(count);
    this.#shards.runLater(releasing);
    return this.#shards.inTime(releasing);
  }

  /** Gives back what the first shards hold for the call. Replies how they stand then. */
  #releaseHolds(count: number): Promise<StoreReply[]> {
    const releasing = this.#groups.slice(0, count).map((group) => {
      const ends = group.request.steps.map((step): Step => {
        const event = this.#asHold(step);
        return {
          ...step,
          event: event.type === "hold" ? { type: "settle", id: event.id, units: 0 } : { type: "read" },
        };
      });
      return this.#ask({ ...group, request: { mode: "force", steps: ends } }, this.#shards.settle);
    });
    return Promise.all(releasing);
  }

  /** A charge on the way to a decision. */
  #asHold(step: Step): StepEvent {
    if (!isHoldable(step)) return step.event;
    return { type: "hold", id: this.#id, units: step.event.cost, leaseMs: LEASE_MS, onExpiry: "charge" };
  }

  #read({ shard, request }: Group): Promise<StoreReply> {
    return this.#ask({ shard, request: readOf(request) });
  }

  #askSteps(group: Group, eventOf: (step: Step) => StepEvent): Promise<StoreReply> {
    const steps = group.request.steps.map((step) => ({ ...step, event: eventOf(step) }));
    return this.#ask({ ...group, request: { ...group.request, steps } });
  }

  async #ask({ shard, request }: Pick<Group, "shard" | "request">, ask = this.#shards.decide): Promise<StoreReply> {
    const [reply] = answered(await ask(shard, [request]), 1);
    return reply as StoreReply;
  }

  #merge(replies: readonly StoreReply[]): StoreReply {
    const nowMs = Math.max(...replies.map((reply) => reply.nowMs));
    const stale = replies.find((reply) => reply.stale === true);
    if (stale !== undefined) return stale;
    const steps: StepReply[] = [];
    for (const [n, reply] of replies.entries()) {
      for (const [i, index] of (this.#groups[n]?.indexes ?? []).entries()) {
        const { found, grants, ...step } = reply.steps[i] as StepReply;
        const { type } = (this.#request.steps[index] as Step).event;
        // What was only ended or read on the way names no hold, and lists no grants.
        const isFound = found !== undefined && namesEntry(type);
        const isListed = grants !== undefined && listsGrants(type);
        steps[index] = { ...step, ...(isFound ? { found } : {}), ...(isListed ? { grants } : {}) };
      }
    }
    const allowed = steps.every((step, i) => step.allowed || this.#request.steps[i]?.shadow === true);
    return { allowed, nowMs, steps };
  }
}

/** The request that says how the buckets of another one stand. */
function readOf({ steps }: Pick<StoreRequest, "steps">): StoreRequest {
  return { mode: "peek", steps: steps.map((step) => ({ ...step, event: { type: "read" } })) };
}

/** The first replies. Throws the error that is in place of one. */
function answered(answers: readonly StoreAnswer[], count: number): StoreReply[] {
  return Array.from({ length: count }, (_, i) => {
    const answer = answers[i] ?? tooFewReplies();
    if (StoreError.isInstance(answer)) throw answer;
    return answer;
  });
}
