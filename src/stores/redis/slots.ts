// A cluster decides atomically only within one slot. A call over several slots holds its units in each of them, one after
// the other, and spends what it holds when all have allowed it: never over a quota, and a process that dies on the way has
// its holds charged when they end.

import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import { tagOf } from "../../kernel/key.ts";
import {
  LISTING,
  NAMING,
  type Replay,
  type Step,
  type StepReply,
  type StoreReply,
  type StoreRequest,
} from "../../kernel/request.ts";
import { keysOf } from "../../kernel/decide.ts";
import { asStoreError, StoreError, tooFewReplies } from "../../store/error.ts";
import type { StoreAnswer } from "../../store/store.ts";

/** How long a hold on the way to a decision lives, unless it is ended. */
const LEASE_MS = 5_000;

type AskSlot = (requests: readonly StoreRequest[]) => Promise<readonly StoreAnswer[]>;

export interface Slots {
  /** Decides requests that are all of one slot, within the time of the calls. */
  readonly decide: AskSlot;
  /** The same for what follows from a decision, which has time of its own. */
  readonly settle: AskSlot;
  /** Takes work that goes on after the decision. */
  runLater(settled: Promise<unknown>): void;
  /** The result of the work, or a `StoreError` when the time of the calls is over before. */
  inTime<Value>(work: Promise<Value>): Promise<Value>;
}

/**
 * Decides requests of any slots. Those of one slot go together and act in their order; a request over several goes by
 * itself, beside the others.
 */
export async function decideInSlots(requests: readonly StoreRequest[], slots: Slots): Promise<StoreAnswer[]> {
  const answers: StoreAnswer[] = [];
  const bySlot = Map.groupBy(requests.keys(), (i) => tagOfAll(requests[i] as StoreRequest));
  const decideTogether = async (indexes: readonly number[]) => {
    try {
      const replies = await slots.decide(indexes.map((i) => requests[i] as StoreRequest));
      for (const [n, i] of indexes.entries()) answers[i] = replies[n] as StoreAnswer;
    } catch (error) {
      // A node that is away fails its own calls alone.
      for (const i of indexes) answers[i] = asStoreError(error);
    }
  };
  const decideWide = async (i: number) => {
    const deciding = new WideRequest(requests[i] as StoreRequest, slots).decide();
    answers[i] = await deciding.catch((error) => asStoreError(error));
  };
  const work = [...bySlot].map(([tag, indexes]) =>
    tag === null ? Promise.all(indexes.map(decideWide)) : decideTogether(indexes),
  );
  await Promise.all(work);
  return answers;
}

/** The tag of all keys of a request; `null` where they are of several slots. */
function tagOfAll(request: StoreRequest): string | null {
  const [tag = "", ...others] = new Set(keysOf(request).map(slotTag));
  return others.length === 0 ? tag : null;
}

/** What decides a key's slot: what stands between braces, else all of it. */
export function slotTag(key: string): string {
  const tag = key.includes("{") ? tagOf(key) : "";
  return tag === "" ? key : tag;
}

/** The steps of a request that are in one slot. */
interface Group {
  /** Their indexes in the request. */
  readonly indexes: readonly number[];
  readonly request: StoreRequest;
}

class WideRequest {
  readonly #request: StoreRequest;
  readonly #slots: Slots;
  readonly #groups: readonly Group[];
  readonly #id = crypto.randomUUID();

  constructor(request: StoreRequest, slots: Slots) {
    this.#request = request;
    this.#slots = slots;
    this.#groups = groupsOf(request);
  }

  async decide(): Promise<StoreReply> {
    const { mode, steps } = this.#request;
    const isJudged = mode === "judge" && steps.some(({ event }) => event.type === "charge" || event.type === "hold");
    if (isJudged) return this.#judge();
    return this.#merge(await Promise.all(this.#groups.map(({ request }) => this.#ask(request))));
  }

  async #judge(): Promise<StoreReply> {
    const replies: StoreReply[] = [];
    for (const [n, { request }] of this.#groups.entries()) {
      const steps = request.steps.map((step) => this.#asHold(step));
      const reply = await this.#ask({ ...request, steps }).catch((error) => {
        // What this slot may hold, without an answer, is charged when it expires.
        this.#slots.runLater(this.#releaseHolds(n));
        throw error;
      });
      if (reply.replay !== undefined) return this.#replayed(n, reply, reply.replay);
      if (!reply.allowed) return this.#denied(n, reply);
      replies.push(reply);
    }
    this.#slots.runLater(this.#spendHolds());
    return this.#merge(replies);
  }

  /** Of a call that one slot denies: nothing stays held, and the others say how they stand. */
  async #denied(n: number, reply: StoreReply): Promise<StoreReply> {
    const before = await this.#releaseInTime(n);
    if (reply.stale === true) return reply;
    const after = this.#groups
      .slice(n + 1)
      .map(({ request: { once: _, ...request } }) => this.#ask({ ...request, mode: "peek" }));
    return this.#merge([...before, reply, ...(await Promise.all(after))]);
  }

  /**
   * The kept answer is in the last slot. So the other slots have just allowed the repeated call and hold its units a second
   * time: those are released.
   */
  async #replayed(n: number, reply: StoreReply, replay: Replay): Promise<StoreReply> {
    const others = await this.#releaseInTime(n);
    const units = this.#request.steps.map(({ event }) =>
      "cost" in event ? event.cost : "units" in event ? event.units : 0,
    );
    for (const [i, index] of (this.#groups[n]?.indexes ?? []).entries()) units[index] = replay.units[i] ?? 0;
    return { ...this.#merge([...others, reply]), replay: { ...replay, units } };
  }

  async #spendHolds(): Promise<void> {
    const spending = this.#groups.map(({ request }) => {
      const ends = request.steps.filter(isHoldable).map((step): Step => {
        return { ...step, event: { type: "settle", id: this.#id, units: step.event.cost } };
      });
      return ends.length === 0 ? undefined : this.#ask({ mode: "force", steps: ends }, this.#slots.settle);
    });
    await Promise.all(spending);
  }

  /** What the first slots say that held something for the call. They are freed also when that takes too long. */
  #releaseInTime(count: number): Promise<StoreReply[]> {
    const releasing = this.#releaseHolds(count);
    this.#slots.runLater(releasing);
    return this.#slots.inTime(releasing);
  }

  /** Gives back what the first slots hold for the call. Replies how they stand then. */
  #releaseHolds(count: number): Promise<StoreReply[]> {
    const releasing = this.#groups.slice(0, count).map(({ request }) => {
      const ends = request.steps.map((step): Step => {
        const { event } = this.#asHold(step);
        const isHeld = event.type === "hold";
        return { ...step, event: isHeld ? { type: "settle", id: event.id, units: 0 } : { type: "read" } };
      });
      return this.#ask({ mode: "force", steps: ends }, this.#slots.settle);
    });
    return Promise.all(releasing);
  }

  /** A charge on the way to a decision. */
  #asHold(step: Step): Step {
    if (!isHoldable(step)) return step;
    const { cost: units } = step.event;
    return { ...step, event: { type: "hold", id: this.#id, units, leaseMs: LEASE_MS, onExpiry: "charge" } };
  }

  async #ask(request: StoreRequest, ask = this.#slots.decide): Promise<StoreReply> {
    const [reply] = await ask([request]);
    if (reply === undefined || StoreError.isInstance(reply)) throw reply ?? tooFewReplies();
    return reply;
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
        const isFound = found !== undefined && NAMING.has(type);
        const isListed = grants !== undefined && LISTING.has(type);
        steps[index] = { ...step, ...(isFound ? { found } : {}), ...(isListed ? { grants } : {}) };
      }
    }
    const allowed = steps.every((step, i) => step.allowed || this.#request.steps[i]?.shadow === true);
    return { allowed, nowMs, steps };
  }
}

/** Whether a step is a charge that can be held. What counts values, or begins a time, cannot: it is asked as it is. */
function isHoldable(step: Step): step is Step & { readonly event: Extract<Step["event"], { type: "charge" }> } {
  const { event, limit } = step;
  return event.type === "charge" && event.seen === undefined && algorithmOf(limit).countsUnits;
}

/**
 * The narrow slots first, so that what many callers share is held for the shortest time: a tag with `=` is of a dimension other
 * than the partition, which more callers share. Last the slot where the answer is kept.
 */
function groupsOf({ mode, steps, once, atMs }: StoreRequest): Group[] {
  const keptIn = once === undefined || mode === "peek" ? null : slotTag(once.key);
  const tags = new Map<string, number[]>();
  for (const [i, { bucket }] of steps.entries()) {
    const tag = slotTag(bucket);
    tags.set(tag, [...(tags.get(tag) ?? []), i]);
  }
  if (keptIn !== null && !tags.has(keptIn)) tags.set(keptIn, []);
  const rank = (tag: string) => (tag === keptIn ? 2 : tag.includes("=") ? 1 : 0);
  return [...tags]
    .sort(([one], [other]) => rank(one) - rank(other) || (one < other ? -1 : 1))
    .map(([tag, indexes]) => {
      const own = indexes.map((i) => steps[i] as Step);
      const request = { mode, steps: own, ...(atMs === undefined ? {} : { atMs }) };
      return { indexes, request: tag === keptIn && once !== undefined ? { ...request, once } : request };
    });
}
