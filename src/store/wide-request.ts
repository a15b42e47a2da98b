// A store of several shards decides atomically only within one of them: a slot of a Redis Cluster, a Durable Object. A request
// over several shards holds its units in each of them, one after the other, and spends what it holds when all have allowed it.
// So it never passes a quota. When its process dies on the way, its holds are charged when they end.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import {
  LISTING,
  NAMING,
  type Replay,
  type Step,
  type StepReply,
  type StoreReply,
  type StoreRequest,
} from "../kernel/request.ts";
import { keysOf } from "../kernel/decide.ts";
import { asStoreError, StoreError, tooFewReplies } from "./error.ts";
import type { StoreAnswer } from "./store.ts";

/** How long a hold on the way to a decision lives, unless it is ended. */
const LEASE_MS = 5_000;

type AskShard = (shard: string, requests: readonly StoreRequest[]) => Promise<readonly StoreAnswer[]>;

/** The shards of a store, and how they are asked. */
export interface Shards {
  /** The shard that a key is in. With a `=` it belongs to another dimension than the partition, so that more calls share it. */
  of(key: string): string;
  /** Decides requests that are all of one shard, within the time of the calls. */
  readonly decide: AskShard;
  /** The same for what follows from a decision, which has time of its own. */
  readonly settle: AskShard;
  /** Takes work that goes on after the decision. */
  runLater(settled: Promise<unknown>): void;
  /** The result of the work, or a `StoreError` when the time of the calls is over before. */
  inTime<Value>(work: Promise<Value>): Promise<Value>;
}

/**
 * Decides requests of any shards. Those of one shard go together and act in their order; a request over several goes by
 * itself, beside the others. A request without keys goes to the shard of the empty text.
 */
export async function decideInShards(
  requests: readonly StoreRequest[],
  shards: Shards,
): Promise<readonly StoreAnswer[]> {
  const [only] = requests;
  const onlyShard = only === undefined || requests.length > 1 ? null : onlyShardOf(only, shards);
  // Nearly every call: one request in one shard.
  if (onlyShard !== null) return decideTogether(onlyShard, requests, shards);
  const answers: StoreAnswer[] = [];
  const byShard = Map.groupBy(requests.keys(), (i) => onlyShardOf(requests[i] as StoreRequest, shards));
  const decideAt = async (shard: string, indexes: readonly number[]) => {
    const own = indexes.map((i) => requests[i] as StoreRequest);
    const replies = await decideTogether(shard, own, shards);
    for (const [n, i] of indexes.entries()) answers[i] = replies[n] as StoreAnswer;
  };
  const decideWide = async (i: number) => {
    const deciding = new WideRequest(requests[i] as StoreRequest, shards).decide();
    answers[i] = await deciding.catch((error) => asStoreError(error));
  };
  const work = [...byShard].map(([shard, indexes]) =>
    shard === null ? Promise.all(indexes.map(decideWide)) : decideAt(shard, indexes),
  );
  await Promise.all(work);
  return answers;
}

/** Decides requests that are all of one shard. One that is away fails its own calls alone. */
async function decideTogether(
  shard: string,
  requests: readonly StoreRequest[],
  shards: Shards,
): Promise<readonly StoreAnswer[]> {
  try {
    return await shards.decide(shard, requests);
  } catch (error) {
    const failed = asStoreError(error);
    return requests.map(() => failed);
  }
}

/** The shard of all keys of a request; `null` where they are in several. */
function onlyShardOf(request: StoreRequest, shards: Shards): string | null {
  let only: string | undefined;
  for (const key of keysOf(request)) {
    const shard = shards.of(key);
    only ??= shard;
    if (shard !== only) return null;
  }
  return only ?? "";
}

/** The steps of a request that are in one shard. */
interface Group {
  readonly shard: string;
  /** Their indexes in the request. */
  readonly indexes: readonly number[];
  readonly request: StoreRequest;
}

class WideRequest {
  readonly #request: StoreRequest;
  readonly #shards: Shards;
  readonly #groups: readonly Group[];
  readonly #id = crypto.randomUUID();

  constructor(request: StoreRequest, shards: Shards) {
    this.#request = request;
    this.#shards = shards;
    this.#groups = groupsOf(request, shards);
  }

  async decide(): Promise<StoreReply> {
    const { mode, steps } = this.#request;
    const isJudged = mode === "judge" && steps.some(({ event }) => event.type === "charge" || event.type === "hold");
    if (isJudged) return this.#judge();
    return this.#merge(await Promise.all(this.#groups.map((group) => this.#ask(group))));
  }

  async #judge(): Promise<StoreReply> {
    const replies: StoreReply[] = [];
    const last = this.#groups.length - 1;
    for (const [n, group] of this.#groups.entries()) {
      const { request } = group;
      // All others have allowed it by then: the last one books it.
      const steps = n === last ? request.steps : request.steps.map((step) => this.#asHold(step));
      const reply = await this.#ask({ ...group, request: { ...request, steps } }).catch((error) => {
        // What this shard may hold, without an answer, is charged when it expires.
        this.#shards.runLater(this.#releaseHolds(n));
        throw error;
      });
      if (reply.replay !== undefined) return this.#replayed(n, reply, reply.replay);
      if (!reply.allowed) return this.#denied(n, reply);
      replies.push(reply);
    }
    this.#shards.runLater(this.#spendHolds());
    return this.#merge(replies);
  }

  /** Of a call that one shard denies: nothing stays held, and the others say how they stand. */
  async #denied(n: number, reply: StoreReply): Promise<StoreReply> {
    const before = await this.#releaseInTime(n);
    if (reply.stale === true) return reply;
    const after = this.#groups.slice(n + 1).map((group) => this.#standing(group));
    return this.#merge([...before, reply, ...(await Promise.all(after))]);
  }

  /** What a shard would answer, and how its buckets stand now: a peek that is allowed shows them as if it were booked. */
  async #standing({ shard, request: { once: _, ...request } }: Group): Promise<StoreReply> {
    const read: StoreRequest = {
      mode: "peek",
      steps: request.steps.map((step) => ({ ...step, event: { type: "read" } })),
    };
    const answers = await this.#shards.decide(shard, [{ ...request, mode: "peek" }, read]);
    const [peeked, now] = answered(answers, 2) as [StoreReply, StoreReply];
    if (!peeked.allowed) return peeked;
    const steps = now.steps.map((step, i) => {
      const { allowed, retryAfterMs } = peeked.steps[i] as StepReply;
      return { ...step, allowed, retryAfterMs };
    });
    return { ...peeked, steps };
  }

  /**
   * The kept answer is in the last shard. So the other shards have just allowed the repeated call and hold its units a second
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
        const { event } = this.#asHold(step);
        const isHeld = event.type === "hold";
        return { ...step, event: isHeld ? { type: "settle", id: event.id, units: 0 } : { type: "read" } };
      });
      return this.#ask({ ...group, request: { mode: "force", steps: ends } }, this.#shards.settle);
    });
    return Promise.all(releasing);
  }

  /** A charge on the way to a decision. */
  #asHold(step: Step): Step {
    if (!isHoldable(step)) return step;
    const { cost: units } = step.event;
    return { ...step, event: { type: "hold", id: this.#id, units, leaseMs: LEASE_MS, onExpiry: "charge" } };
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
        const isFound = found !== undefined && NAMING.has(type);
        const isListed = grants !== undefined && LISTING.has(type);
        steps[index] = { ...step, ...(isFound ? { found } : {}), ...(isListed ? { grants } : {}) };
      }
    }
    const allowed = steps.every((step, i) => step.allowed || this.#request.steps[i]?.shadow === true);
    return { allowed, nowMs, steps };
  }
}

/** The first replies. Throws the error that is in place of one. */
function answered(answers: readonly StoreAnswer[], count: number): StoreReply[] {
  return Array.from({ length: count }, (_, i) => {
    const answer = answers[i] ?? tooFewReplies();
    if (StoreError.isInstance(answer)) throw answer;
    return answer;
  });
}

/** Whether a step is a charge that can be held. What counts values, or begins a time, cannot: it is asked as it is. */
function isHoldable(step: Step): step is Step & { readonly event: Extract<Step["event"], { type: "charge" }> } {
  const { event, limit } = step;
  return event.type === "charge" && event.seen === undefined && algorithmOf(limit).countsUnits;
}

/**
 * The narrow shards first, so that what many callers share is held for the shortest time. Then the one whose steps cannot be
 * held: it books at once, and so it must not be asked before another may deny. Last the shard where the answer is kept.
 */
function groupsOf({ mode, steps, once, atMs }: StoreRequest, shards: Shards): Group[] {
  const keptIn = once === undefined || mode === "peek" ? null : shards.of(once.key);
  const byShard = Map.groupBy(steps.keys(), (i) => shards.of((steps[i] as Step).bucket));
  if (keptIn !== null && !byShard.has(keptIn)) byShard.set(keptIn, []);
  const rank = (shard: string, indexes: readonly number[]) => {
    if (shard === keptIn) return 3;
    if (indexes.some((i) => booksAtOnce(steps[i] as Step))) return 2;
    return shard.includes("=") ? 1 : 0;
  };
  return [...byShard]
    .sort(([one, a], [other, b]) => rank(one, a) - rank(other, b) || (one < other ? -1 : 1))
    .map(([shard, indexes]) => {
      const own = indexes.map((i) => steps[i] as Step);
      const request = { mode, steps: own, ...(atMs === undefined ? {} : { atMs }) };
      return { shard, indexes, request: shard === keptIn && once !== undefined ? { ...request, once } : request };
    });
}

function booksAtOnce(step: Step): boolean {
  return step.event.type === "charge" && !isHoldable(step);
}
