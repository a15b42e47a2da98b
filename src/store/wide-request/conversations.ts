// The conversations of several requests with the shards, side by side. What they ask one shard at the same time is one message. A
// conversation goes on as soon as it has its own answers.

import type { StoreRequest } from "../../kernel/request.ts";
import { asStoreError, tooFewReplies } from "../error.ts";
import type { StoreAnswer } from "../store.ts";
import { decideTogether } from "./ask.ts";
import { giveBack } from "./give-back.ts";
import { type Ask, type Conversation, WideRequest } from "./request.ts";
import type { Shards } from "./shards.ts";

/** A request to a shard, and where its answer goes. */
interface Part {
  readonly request: StoreRequest;
  readonly answers: StoreAnswer[];
  readonly at: number;
  /** Absent: a request of this shard alone. */
  readonly talk?: Talk;
}

interface Talk {
  readonly wide: WideRequest;
  readonly conversation: Conversation;
  /** Where its reply goes. */
  readonly at: number;
  /** How many answers it waits for. */
  missing: number;
}

export class Conversations {
  readonly #shards: Shards;
  readonly #ended: (at: number, answer: StoreAnswer) => void;
  readonly #answers: StoreAnswer[] = [];
  /** What is sent next, by shard. */
  #parts = new Map<string, Part[]>();
  /** What gives units back, by shard. */
  #givesBack = new Map<string, StoreRequest[]>();

  /** @param ended is told of each request over several shards as soon as it is decided */
  constructor(shards: Shards, ended: (at: number, answer: StoreAnswer) => void = () => {}) {
    this.#shards = shards;
    this.#ended = ended;
  }

  /** @param onlyShardOf the shard of a request; `null` for one over several */
  async decide(
    requests: readonly StoreRequest[],
    onlyShardOf: (request: StoreRequest) => string | null,
  ): Promise<readonly StoreAnswer[]> {
    for (const [at, request] of requests.entries()) {
      const shard = onlyShardOf(request);
      if (shard !== null) {
        listIn(this.#parts, shard).push({ request, answers: this.#answers, at });
        continue;
      }
      const wide = new WideRequest(request, this.#shards);
      this.#goOn({ wide, conversation: wide.decide(), at, missing: 0 }, []);
    }
    await this.#send();
    return this.#answers;
  }

  /** Sends what is asked, and what follows from the answers, until nothing is asked any more. */
  async #send(): Promise<void> {
    const parts = this.#parts;
    const givesBack = this.#givesBack;
    this.#parts = new Map();
    this.#givesBack = new Map();
    for (const [shard, requests] of givesBack) giveBack(shard, requests, this.#shards);
    await Promise.all([...parts].map(([shard, own]) => this.#ask(shard, own)));
  }

  async #ask(shard: string, parts: readonly Part[]): Promise<void> {
    const requests = parts.map(({ request }) => request);
    const replies = await decideTogether(shard, requests, this.#shards.decide);
    const complete: Part[] = [];
    for (const [i, part] of parts.entries()) {
      part.answers[part.at] = replies[i] ?? tooFewReplies();
      if (part.talk !== undefined && --part.talk.missing === 0) complete.push(part);
    }
    for (const { talk, answers } of complete) this.#goOn(talk as Talk, answers);
    await this.#send();
  }

  #goOn(talk: Talk, answers: readonly StoreAnswer[]): void {
    const { wide, conversation, at } = talk;
    try {
      const { done, value } = conversation.next(answers);
      if (done === true) this.#end(at, value);
      else this.#expect(talk, value);
    } catch (error) {
      this.#end(at, asStoreError(error));
    }
    for (const { shard, request } of wide.givesBack.splice(0)) listIn(this.#givesBack, shard).push(request);
  }

  #end(at: number, answer: StoreAnswer): void {
    this.#answers[at] = answer;
    this.#ended(at, answer);
  }

  #expect(talk: Talk, asked: readonly Ask[]): void {
    const answers: StoreAnswer[] = [];
    talk.missing = asked.length;
    for (const [at, { shard, request }] of asked.entries()) {
      listIn(this.#parts, shard).push({ request, answers, at, talk });
    }
  }
}

function listIn<Item>(lists: Map<string, Item[]>, shard: string): Item[] {
  const known = lists.get(shard);
  if (known !== undefined) return known;
  const list: Item[] = [];
  lists.set(shard, list);
  return list;
}
