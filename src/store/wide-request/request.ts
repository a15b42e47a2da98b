// One request over several shards, as a conversation: it says what it asks which shards, gets their answers, and says what it asks
// next. Who holds the conversation sends what several requests ask one shard together.

import type { Step, StoreReply, StoreRequest } from "../../kernel/request.ts";
import { StoreError, tooFewReplies } from "../error.ts";
import { questionFor } from "../kept-answer.ts";
import { endsCall } from "../room.ts";
import type { StoreAnswer } from "../store.ts";
import { type Group, isGivenBack, stagesOf } from "./groups.ts";
import { asStanding, type GroupReplies, merged, readOf, standing, unbooked } from "./replies.ts";
import type { Shards } from "./shards.ts";

/** A request of one shard. */
export type Ask = Pick<Group, "shard" | "request">;
/** Yields what is asked at once, and is given one answer for each. It returns the reply to the request, or throws why there is none. */
export type Conversation = Generator<readonly Ask[], StoreReply, readonly StoreAnswer[]>;
/** A part of one. */
type Asking<Result> = Generator<readonly Ask[], Result, readonly StoreAnswer[]>;

export class WideRequest {
  /** What gives back units of a call that is not allowed. Who sends it takes it out. */
  readonly givesBack: Ask[] = [];
  readonly #request: StoreRequest;
  readonly #memory: Shards["memory"];
  readonly #stages: readonly (readonly Group[])[];
  /** In the order of the stages. */
  readonly #groups: readonly Group[];

  constructor(request: StoreRequest, shards: Shards) {
    this.#request = request;
    this.#memory = shards.memory;
    this.#stages = stagesOf(request, shards);
    this.#groups = this.#stages.flat();
  }

  *decide(): Conversation {
    const { mode, steps, once, atMs } = this.#request;
    const isBookedOnce = mode === "force" && once !== undefined && atMs === undefined;
    if (isBookedOnce && endsCall(this.#request)) return yield* this.#end();
    if (mode === "undo" && once !== undefined) return yield* this.#undo();
    const isCall = steps.some(({ event }) => event.type === "charge" || event.type === "hold");
    if (isCall && mode === "peek") return yield* this.#peek();
    if (isBookedOnce || (isCall && mode === "judge")) return yield* this.#call();
    return this.#merge(yield* ask(this.#groups));
  }

  *#call(): Conversation {
    const replies: StoreReply[] = [];
    for (const stage of this.#stages) {
      const answers = yield stage;
      const error = answers.find((answer) => StoreError.isInstance(answer));
      if (error !== undefined) {
        // What a shard has booked without an answer stays booked.
        this.#giveBack([...replies, ...answers]);
        throw error;
      }
      for (const reply of answers as readonly StoreReply[]) {
        this.#learn(this.#groups[replies.length] as Group, reply);
        replies.push(reply);
      }
      const last = replies.at(-1) as StoreReply;
      if (last.replay !== undefined) return this.#replayed(this.#takenBack(replies.slice(0, -1)), last);
      const stale = replies.find((reply) => reply.stale === true);
      if (stale !== undefined) {
        this.#giveBack(replies);
        return stale;
      }
      if (this.#request.mode === "judge" && !replies.every(({ allowed }) => allowed)) {
        return yield* this.#denied(replies);
      }
    }
    return this.#merge(replies);
  }

  /**
   * Ends a call. Its answer is kept first, so that nothing is booked when it is sent again. Then a shard that was away the
   * first time still has the hold, and is asked.
   */
  *#end(): Conversation {
    const others = this.#groups.slice(0, -1);
    const [reply] = (yield* ask(this.#groups.slice(-1))) as [StoreReply];
    if (reply.stale === true) return reply;
    const { replay } = reply;
    if (replay === undefined) return this.#merge([...(yield* ask(others)), reply]);
    const isSame = replay.request === this.#request.once?.request;
    const held = isSame ? yield* areHeld(others) : [];
    const ended = yield* ask(others.filter((_, i) => held[i] === true));
    const read = yield* peek(others.filter((_, i) => held[i] !== true));
    const replies = others.map((_, i) => (held[i] === true ? ended.shift() : read.shift()?.now) as StoreReply);
    return this.#replayed(replies, reply);
  }

  /** Takes a call back. The shard that keeps its answer says whether it may be: not where that was given again. */
  *#undo(): Conversation {
    const others = this.#groups.slice(0, -1);
    const [reply] = (yield* ask(this.#groups.slice(-1))) as [StoreReply];
    const asked = reply.allowed ? others : others.map(({ shard, request }) => ({ shard, request: readOf(request) }));
    return { ...this.#merge([...(yield* ask(asked)), reply]), allowed: reply.allowed };
  }

  /** Of a call that one shard denies: the others are as if it had not been made. Those that were not asked say how they stand. */
  *#denied(replies: readonly StoreReply[]): Conversation {
    const before = this.#takenBack(replies);
    const after = this.#groups.slice(replies.length);
    const kept = yield* this.#keptAnswer(after.at(-1));
    if (kept !== null) {
      const between = yield* peek(after.slice(0, -1));
      return this.#replayed([...before, ...between.map(({ now }) => now)], kept);
    }
    const peeked = yield* peek(after);
    return this.#merge([...before, ...peeked.map(standing)]);
  }

  /** The answer that a shard keeps for this request: one of a call that was allowed stays, whatever has been used since. */
  *#keptAnswer(group: Group | undefined): Asking<StoreReply | null> {
    const { once } = group?.request ?? {};
    if (group === undefined || once === undefined) return null;
    const [reply] = yield* ask([{ shard: group.shard, request: questionFor(once) }]);
    return reply?.replay === undefined ? null : reply;
  }

  /** What the shards would answer, as if the call were booked; when one denies it, it would be booked in none. */
  *#peek(): Conversation {
    const peeked = yield* peek(this.#groups);
    const allowed = peeked.every(({ booked }) => booked.allowed);
    return this.#merge(peeked.map((each) => (allowed ? each.booked : standing(each))));
  }

  /** The answer that the last shard keeps, and how the others stand. They have no part of it. */
  #replayed(others: readonly StoreReply[], reply: StoreReply): StoreReply {
    const all = [...others.map(asStanding), reply];
    const { replay } = reply;
    if (replay === undefined) return this.#merge(all);
    const units = this.#request.steps.map(({ event }) =>
      "cost" in event ? event.cost : "units" in event ? event.units : 0,
    );
    for (const [i, index] of (this.#groups.at(-1)?.indexes ?? []).entries()) units[index] = replay.units[i] ?? 0;
    return { ...this.#merge(all), replay: { ...replay, units } };
  }

  /** Gives back what the first groups have booked. Returns how they stand then. */
  #takenBack(replies: readonly StoreReply[]): StoreReply[] {
    this.#giveBack(replies);
    return replies.map((reply, n) => (this.#hasBooked(reply) ? unbooked(reply, this.#groups[n] as Group) : reply));
  }

  #giveBack(answers: readonly StoreAnswer[]): void {
    for (const [n, answer] of answers.entries()) {
      const { shard, request } = this.#groups[n] as Group;
      if (StoreError.isInstance(answer) || !this.#hasBooked(answer)) continue;
      // In the window in which it was booked.
      const steps = request.steps.filter(isGivenBack);
      if (steps.length > 0) this.givesBack.push({ shard, request: { mode: "undo", steps, atMs: answer.nowMs } });
    }
  }

  #hasBooked({ allowed, stale }: StoreReply): boolean {
    return stale !== true && (allowed || this.#request.mode === "force");
  }

  #learn({ request }: Group, { steps, replay }: StoreReply): void {
    if (replay !== undefined) return;
    for (const [i, reply] of steps.entries()) this.#memory.learn(request.steps[i] as Step, reply);
  }

  #merge(replies: readonly StoreReply[]): StoreReply {
    return merged(this.#request, this.#groups, replies);
  }
}

/** Asks shards at once. Throws the error of the first that fails. */
function* ask(asked: readonly Ask[]): Asking<StoreReply[]> {
  const answers = asked.length === 0 ? [] : yield asked;
  const error = answers.find((answer) => StoreError.isInstance(answer));
  if (error !== undefined) throw error;
  return [...answers] as StoreReply[];
}

/** A shard that this process decides for judges, but cannot be read: it stands as it would without the call. */
function* peek(groups: readonly Group[]): Asking<GroupReplies[]> {
  const asked = groups.flatMap(({ shard, request: { once: _, ...request } }) => [
    { shard, request: { ...request, mode: "peek" } as const },
    { shard, request: readOf(request) },
  ]);
  const answers = asked.length === 0 ? [] : yield asked;
  return groups.map((group, n) => {
    const booked = replyIn(answers[2 * n]);
    const now = answers[2 * n + 1];
    return { booked, now: StoreError.isInstance(now) ? without(booked, group) : replyIn(now) };
  });
}

/** How the buckets stand of which a peek told how they would with the call. Of a call that is denied it tells how they do. */
function without(peeked: StoreReply, group: Group): StoreReply {
  return peeked.allowed ? unbooked(peeked, group) : peeked;
}

function replyIn(answer: StoreAnswer | undefined): StoreReply {
  if (answer === undefined || StoreError.isInstance(answer)) throw answer ?? tooFewReplies();
  return answer;
}

/** Whether shards still have all holds that groups end. */
function* areHeld(groups: readonly Group[]): Asking<boolean[]> {
  const asked = groups.map(({ shard, request }) => {
    const steps = request.steps.flatMap((step): Step[] => {
      const { event } = step;
      return event.type === "settle" ? [{ ...step, event: { type: "extend", id: event.id, leaseMs: 1 } }] : [];
    });
    return { shard, request: { mode: "peek", steps } as const };
  });
  const replies = yield* ask(asked);
  // A step that denies no call says so, too, where its hold has ended. What decides for a shard that is away does not know.
  return replies.map(
    ({ steps, degraded }) => degraded === undefined && steps.length > 0 && steps.every(({ allowed }) => allowed),
  );
}
