// What all parts of a Redis store share: the way to the servers, the time that calls have, and whether the store is closed.

import { type Clock, monotonicClock } from "../../clock.ts";
import { Deadlines, LateError } from "../../deadlines.ts";
import { closedError } from "../../store/error.ts";
import type { SetupCheck } from "../../store/store.ts";
import type { RedisClient, Send } from "./client.ts";
import { eventsOf, type LastFault } from "./client-events.ts";
import { redisError } from "./errors.ts";
import { Route } from "./route.ts";

/** A way to the servers, for one batch or for one beat. */
export interface Way {
  readonly send: Send;
  /** Waits for something else that has to be done first, within the same time. */
  wait<Result>(work: () => Promise<Result>): Promise<Result>;
}

export class RedisLink {
  readonly deadlineMs: number;
  readonly clock: Clock | undefined;
  readonly lastFault: LastFault;
  readonly isCluster: boolean;
  readonly #client: RedisClient;
  readonly #route: Route;
  readonly #deadlines = new Deadlines();
  #isClosed = false;

  constructor(client: RedisClient, deadlineMs: number, clock: Clock | undefined) {
    this.#client = client;
    this.deadlineMs = deadlineMs;
    this.clock = clock;
    this.#route = new Route(client);
    this.isCluster = this.#route.isCluster;
    this.lastFault = eventsOf(client).lastFault;
  }

  /** The way without a deadline. */
  get unbound(): Way {
    return { send: this.#route.send, wait: (work) => work() };
  }

  /**
   * The way for any number of commands until the time is over.
   *
   * @param isAwaited whether a call waits for the answers, so that the process must stay alive until then
   */
  within(leftMs: number, isAwaited = true): Way {
    const { deadlineMs } = this;
    const endsAtMs = monotonicClock.nowMs() + leftMs;
    const wait: Way["wait"] = (work) => {
      const ms = endsAtMs - monotonicClock.nowMs();
      if (ms <= 0) return Promise.reject(new LateError(deadlineMs));
      return this.#deadlines.within(ms, work(), { deadlineMs, isAwaited });
    };
    return { wait, send: (...command) => wait(() => this.#route.send(...command)) };
  }

  async setup(): Promise<readonly SetupCheck[]> {
    // No call waits for it, so it is loaded when it is needed.
    const { checkSetup } = await import("./setup.ts");
    return checkSetup(this.#client, this.within(this.deadlineMs, false).send).catch(this.fail);
  }

  readonly fail = (error: unknown): never => {
    throw redisError(error, this.lastFault());
  };

  checkOpen(): void {
    if (this.#isClosed) throw closedError("Redis");
  }

  /** From now on nothing is asked. What is under way may go on until `close`. */
  end(): void {
    this.#isClosed = true;
  }

  close(): void {
    this.#route.close();
  }
}

/** What a shard needs of it. */
export type ShardLink = Pick<
  RedisLink,
  "checkOpen" | "clock" | "close" | "deadlineMs" | "end" | "fail" | "lastFault" | "setup" | "unbound" | "within"
>;
