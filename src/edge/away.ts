// What an isolate does while an object does not answer: it decides the object's calls by its share of each limit, and books
// them with the first call that the object answers. Calls look for the object themselves, because the timers of a Worker end with
// their request. Other objects are asked as before.

import { randomId } from "../ids.ts";
import { monotonicClock, pauseAfter, sleep, systemClock } from "../clock.ts";
import { yielding } from "../breath.ts";
import { Backlog, type OpenBatch } from "../layers/failover/backlog.ts";
import { LocalDecisions } from "../layers/failover/local-decisions.ts";
import { isOutage } from "../layers/failover/outage.ts";
import { Views } from "../layers/failover/views.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import type { StoreAnswer } from "../store/store.ts";

/** What the runtime does for a call. */
export interface ForCall {
  /** Asks an object, within the time of the call. Throws where it does not answer. */
  ask(name: string, requests: readonly StoreRequest[]): Promise<readonly StoreAnswer[]>;
  /** The same, with time of its own. */
  settle(name: string, requests: readonly StoreRequest[]): Promise<readonly StoreAnswer[]>;
  /** Takes work that goes on when the call has its answer. */
  runLater(work: Promise<unknown>): void;
}

/** How long calls are decided without an object until one asks it again, ms: this, then twice as long each time. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** Most requests that are booked in one message beside a call. */
const BATCH_SIZE = 200;
/** How long a request looks for an object when it has its answer, ms. The runtime ends it after 30 s. */
const LOOKS_FOR_MS = 20_000;
/** The longest deadline of a message to an object, ms. */
const LONGEST_SEND_MS = 60_000;
/** Most objects that are away at one time. What waits for the one that went first is forgotten for another one. */
const MAX_AWAY = 1_000;

/** One object that does not answer, or has not got all bookings yet. */
class AwayObject {
  failure: StoreError;
  /** Whether it has answered since: from then on it decides. */
  isBack = false;
  readonly #local: LocalDecisions;
  readonly #backlog = new Backlog({ instance: randomId() }, undefined);
  /** Until when a batch is under way. A request that was ended on the way does not say that it failed. */
  readonly #sentUntilMs = new WeakMap<OpenBatch, number>();
  readonly #sinceMs = systemClock.nowMs();
  #failures = 0;
  #askAtMs = 0;
  #lookedForUntilMs = 0;

  constructor(failure: StoreError, views: Views, isolates: number) {
    this.failure = failure;
    const place = { instances: isolates, rank: null };
    this.#local = new LocalDecisions({ views, time: systemClock }, this.#backlog, { place: () => place }, this);
  }

  get awayMs(): number {
    return systemClock.nowMs() - this.#sinceMs;
  }

  get isOver(): boolean {
    return this.isBack && this.#backlog.isEmpty;
  }

  /** Whether a call should ask the object. While one does, others are decided here. */
  takesTurn(): boolean {
    if (this.isBack) return true;
    if (systemClock.nowMs() < this.#askAtMs) return false;
    this.#pause();
    return true;
  }

  /** Whether no request looks for it. From now on one does. */
  beginsLooking(): boolean {
    if (systemClock.nowMs() < this.#lookedForUntilMs) return false;
    this.#lookedForUntilMs = systemClock.nowMs() + LOOKS_FOR_MS;
    return true;
  }

  /** Decides a request without the object. An `undo` fails, because its bookings are charges: its units stay used. */
  admit(request: StoreRequest): StoreAnswer {
    return request.mode === "undo" ? this.failure : this.#local.admit(request);
  }

  failed(failure: StoreError): void {
    this.failure = failure;
    this.isBack = false;
    this.#failures++;
    this.#pause();
  }

  /** What is to be booked, and is not under way. Each is booked once, as its key says, however often it is sent. */
  take(): readonly OpenBatch[] {
    this.#backlog.makeBatches(BATCH_SIZE, systemClock.nowMs());
    const nowMs = systemClock.nowMs();
    const batch = this.#backlog.batches.find((each) => nowMs >= (this.#sentUntilMs.get(each) ?? 0));
    if (batch === undefined) return [];
    this.#sentUntilMs.set(batch, nowMs + LONGEST_SEND_MS);
    return [batch];
  }

  gaveBack(batches: readonly OpenBatch[]): void {
    for (const batch of batches) this.#sentUntilMs.delete(batch);
  }

  booked(batches: readonly OpenBatch[]): void {
    for (const batch of batches) this.#backlog.forget(batch);
  }

  #pause(): void {
    this.#askAtMs = systemClock.nowMs() + pauseAfter(this.#failures, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  }
}

export class AwayObjects {
  readonly #isolates: number;
  readonly #views = new Views();
  readonly #away = new Map<string, AwayObject>();
  readonly #yield = yielding();

  /** @param isolates how many isolates may ask the same objects */
  constructor(isolates: number) {
    this.#isolates = isolates;
  }

  /** Whether an object's calls are decided without it. */
  has(name: string): boolean {
    return this.#away.get(name)?.isBack === false;
  }

  /** Decides requests of one object: as it says, or without it. */
  async decide(name: string, requests: readonly StoreRequest[], forCall: ForCall): Promise<readonly StoreAnswer[]> {
    const away = this.#away.get(name);
    const answers =
      away === undefined || away.takesTurn()
        ? await this.#decideThere(name, requests, away, forCall.ask)
        : await this.#yield(requests.map((request) => away.admit(request)));
    const left = this.#away.get(name);
    if (left?.beginsLooking()) forCall.runLater(this.#lookFor(name, forCall.settle));
    return answers;
  }

  /** Books what was admitted while an object was away, when no call does so before. */
  async #lookFor(name: string, ask: ForCall["ask"]): Promise<void> {
    const endsAtMs = monotonicClock.nowMs() + LOOKS_FOR_MS;
    for (let failures = 0; monotonicClock.nowMs() < endsAtMs; failures++) {
      await sleep(pauseAfter(failures, FIRST_PAUSE_MS, LONGEST_PAUSE_MS));
      const away = this.#away.get(name);
      if (away === undefined) return;
      if (away.takesTurn()) await this.#decideThere(name, [], away, ask);
    }
  }

  async #decideThere(
    name: string,
    requests: readonly StoreRequest[],
    away: AwayObject | undefined,
    ask: ForCall["ask"],
  ): Promise<readonly StoreAnswer[]> {
    const batches = away?.take() ?? [];
    const bookings = batches.flatMap((batch) => bookingsOf(name, batch));
    const sentMs = monotonicClock.nowMs();
    let answers: readonly StoreAnswer[];
    try {
      answers = await ask(name, [...bookings, ...requests]);
    } catch (error) {
      away?.gaveBack(batches);
      if (!isOutage(error)) throw error;
      return this.#decideHere(name, requests, error);
    }
    const failure = answers.find((answer) => isOutage(answer));
    if (failure !== undefined) {
      away?.gaveBack(batches);
      return this.#decideHere(name, requests, failure as StoreError, answers.slice(bookings.length));
    }
    if (away !== undefined) {
      away.isBack = true;
      away.booked(batches);
      if (away.isOver) this.#away.delete(name);
    }
    const own = answers.slice(bookings.length);
    const trip = { sentMs, heardMs: monotonicClock.nowMs() };
    for (const [i, answer] of own.entries()) {
      if (!StoreError.isInstance(answer)) this.#views.learn(requests[i] as StoreRequest, answer, trip);
    }
    return own;
  }

  /** Decides what an object did not answer. It may have booked it nevertheless: what is admitted here is booked again. */
  #decideHere(
    name: string,
    requests: readonly StoreRequest[],
    failure: StoreError,
    known: readonly StoreAnswer[] = [],
  ): readonly StoreAnswer[] {
    let away = this.#away.get(name);
    if (away === undefined) {
      const [first] = this.#away.keys();
      if (first !== undefined && this.#away.size >= MAX_AWAY) this.#away.delete(first);
      away = new AwayObject(failure, this.#views, this.#isolates);
      this.#away.set(name, away);
    }
    away.failed(failure);
    return requests.map((request, i) => {
      const answer = known[i];
      return answer === undefined || isOutage(answer) ? away.admit(request) : answer;
    });
  }
}

/** The requests of a batch, each with a key, so that the object books it once. */
function bookingsOf(name: string, { instance, number, requests }: OpenBatch): StoreRequest[] {
  return requests.map((request, i) => {
    if (request.once !== undefined) return request;
    const id = `${instance}-${number}-${i}`;
    return { ...request, once: { key: `${name}:$away:${id}`, request: id } };
  });
}
