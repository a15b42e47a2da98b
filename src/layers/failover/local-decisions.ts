// What this process decides without the store, and what it remembers of that for later: bookings of what it admitted, and
// batches whose answers were lost. It does not know when it decides (outage.ts) nor when that is booked (recovery.ts).

import { reasonOf } from "../../kernel/reason.ts";
import type { StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { asStoreError, StoreError } from "../../store/error.ts";
import { isQuestion } from "../../store/kept-answer.ts";
import type { Backlog } from "./backlog.ts";
import { asSettled, asUndone, type LocalFlow } from "./booking.ts";
import { Fallback, needsStore } from "./fallback.ts";
import { InFlight } from "./in-flight.ts";
import type { Members } from "./members.ts";
import { isOutage, type Outage } from "./outage.ts";
import type { Room } from "./room.ts";
import type { StoreLink } from "./store-link.ts";

/** What the store has said until now. */
interface Seen extends Pick<StoreLink, "views"> {
  readonly time: Pick<StoreLink["time"], "nowMs"> & Partial<Pick<StoreLink["time"], "isKnown">>;
}

export class LocalDecisions {
  readonly #link: Seen;
  readonly #backlog: Backlog;
  readonly #members: Pick<Members, "place">;
  readonly #outage: Pick<Outage, "failure" | "awayMs">;
  /** The buckets of this process: cleared when the store counts again. */
  readonly #fallback: Fallback;
  readonly #inFlight: InFlight;

  constructor(
    link: Seen,
    backlog: Backlog,
    members: Pick<Members, "place">,
    outage: Pick<Outage, "failure" | "awayMs">,
    room?: Room,
  ) {
    this.#link = link;
    this.#backlog = backlog;
    this.#members = members;
    this.#outage = outage;
    this.#fallback = new Fallback(link.views, room);
    this.#inFlight = new InFlight(this.#fallback);
    // Also what an earlier process admitted.
    this.#decideAgain();
  }

  /** The store's time is known from now on: what was admitted before it counts by it, here and later in the store. */
  correct(byMs: number): void {
    this.#backlog.correct(byMs);
    this.clear();
    this.#decideAgain();
  }

  /** Expects that the store books requests that are under way when an outage begins. */
  expect(requests: readonly StoreRequest[]): void {
    this.#inFlight.expect(requests, this.#link.time.nowMs());
  }

  /** The store has answered requests that were under way when it went away, or never will. What it has booked counts here, too. */
  hear(requests: readonly StoreRequest[], replies: readonly StoreAnswer[]): void {
    const nowMs = this.#link.time.nowMs();
    this.#inFlight.end(requests, nowMs, () => {
      for (const [i, request] of requests.entries()) {
        if (!isBooking(request, replies[i])) continue;
        this.#fallback.count(request, this.#members.place(), nowMs, this.#outage.failure);
      }
    });
  }

  /** Forgets all: the store counts again. */
  clear(): void {
    this.#fallback.clear();
    this.#inFlight.clear();
  }

  /** Decides a request that the store is not asked about, and remembers to book it. */
  admit(request: StoreRequest): StoreAnswer {
    const reply = this.#decide(request);
    if (!isBooking(request, reply)) return reply;
    try {
      const { time } = this.#link;
      this.#backlog.add(request, time.nowMs(), this.#fallback.flowsOf(request), time.isKnown === false);
      return reply;
    } catch (error) {
      this.#takeBack(request, reply);
      return asStoreError(error);
    }
  }

  /**
   * Takes back charges that were admitted here for a call that was denied elsewhere. Those that are not among the sums to be booked
   * stay, and so do those of buckets with a rate: the error says so.
   */
  giveBack(request: StoreRequest): StoreAnswer {
    const { failure } = this.#outage;
    try {
      if (!this.#backlog.takeBack(request)) return failure;
      return this.#fallback.decide(request, null, this.#link.time.nowMs(), failure);
    } catch (error) {
      return asStoreError(error);
    }
  }

  /**
   * Decides requests of a batch that may have been booked, and remembers to settle it if it has a number. `known` are the store's
   * replies, as far as there are any.
   */
  doubt(requests: readonly StoreRequest[], number: number | null, known: readonly StoreAnswer[]): StoreAnswer[] {
    const atMs = this.#link.time.nowMs();
    this.hear(requests, known);
    const flows: LocalFlow[][] = [];
    const replies = requests.map((request, i): StoreAnswer => {
      const found = known[i];
      if (found !== undefined && !isOutage(found)) return found;
      const reply = this.#decide(request);
      flows[i] = this.#fallback.flowsOf(request);
      return reply;
    });
    if (number === null) return replies;
    const isAdmitted = (i: number) => {
      const reply = replies[i];
      return !StoreError.isInstance(reply) && reply?.allowed === true && !isQuestion(requests[i] as StoreRequest);
    };
    const settled = requests.map((request, i) => asSettled(request, isAdmitted(i), atMs, flows[i]));
    try {
      this.#backlog.addDoubtful(number, settled, atMs);
    } catch (error) {
      // The journal cannot be written, so the calls fail: what the store has booked of them is taken back.
      this.#backlog.replaceDoubtful(
        number,
        requests.map((request) => asUndone(request, atMs)),
      );
      for (const [i, request] of requests.entries()) {
        const reply = replies[i] as StoreAnswer;
        if (reply !== known[i] && isBooking(request, reply)) this.#takeBack(request, reply);
      }
      throw error;
    }
    return replies;
  }

  /** Decides what was admitted and has not been booked, so that it reduces this instance's share. */
  #decideAgain(): void {
    for (const request of this.#backlog.bookings()) this.#decide(request);
  }

  #decide(request: StoreRequest): StoreAnswer {
    if (needsStore(request)) return this.#needsStore();
    try {
      return this.#fallback.decide(request, this.#members.place(), this.#link.time.nowMs(), this.#outage.failure);
    } catch (error) {
      return asStoreError(error);
    }
  }

  #takeBack(request: StoreRequest, reply: StoreReply): void {
    this.#fallback.takeBack(request, reply, this.#link.time.nowMs(), this.#outage.failure);
  }

  /** The error of a request that only the store can answer. */
  #needsStore(): StoreError {
    const { failure, awayMs } = this.#outage;
    const message = `the store has been away for ${awayMs} ms, and only it can do this (${reasonOf(failure)})`;
    return new StoreError(failure.code, message, { transient: failure.transient, cause: failure });
  }
}

/** Whether a request has booked something: not where its reply is an answer that was given before. */
function isBooking({ mode }: StoreRequest, reply: StoreAnswer | undefined): reply is StoreReply {
  if (reply === undefined || StoreError.isInstance(reply) || mode === "peek") return false;
  if (reply.replay !== undefined || reply.stale === true) return false;
  return reply.allowed || mode === "force";
}
