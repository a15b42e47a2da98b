// A round robin over the instances, as a load balancer with retries: an instance that refuses, breaks off or says that it
// cannot is passed by for a moment, and the call goes to the next one under the same idempotency key. It knows of an instance's
// end by that alone.

import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";

/** A call as it is sent, each time alike. */
export interface Sending {
  readonly key: string;
  readonly body: string;
}

/** What of a decision the load looks at. */
export interface Answer {
  readonly allowed: boolean;
  readonly replayed: boolean;
  readonly degraded: object | null;
  readonly verdicts: readonly { readonly limit: string; readonly allowed: boolean }[];
}

/** How often calls had to be sent again, and why. */
export interface Resent {
  /** Calls that were sent more than once. */
  calls: number;
  /** The connection broke, and the outcome of the call is unknown. */
  broken: number;
  /** Nothing listened. */
  refused: number;
  /** 503: it is about to end, or has enough to do. */
  unavailable: number;
  /** It did not reach its store in time, and decided nothing. */
  undecided: number;
}

interface Lane {
  readonly url: string;
  readonly pool: Pool;
  /** Until when it is passed by, by `performance.now()`. */
  restsUntilMs: number;
}

const CONNECTIONS = 64;
const REST_MS = 250;
const LOOK_AGAIN_MS = 5;
const ANSWERS_WITHIN_MS = 10_000;
/** A call without a decision by then is lost. */
const GIVE_UP_MS = 60_000;

export class Balancer {
  #lanes: Lane[] = [];
  #next = 0;
  #lookAgain: Promise<unknown> | null = null;
  resent = nothingResent();

  add(url: string): void {
    const pool = new Pool(url, { connections: CONNECTIONS, headersTimeout: ANSWERS_WITHIN_MS });
    this.#lanes.push({ url, pool, restsUntilMs: 0 });
  }

  /** Sends nothing more there. */
  async remove(url: string): Promise<void> {
    const lane = this.#lanes.find((each) => each.url === url);
    this.#lanes = this.#lanes.filter((each) => each !== lane);
    await lane?.pool.close();
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map(({ pool }) => pool.destroy()));
  }

  /**
   * Sends a call until it is decided.
   *
   * @throws Error when an instance answers what it must not, or no instance decides
   */
  async ask(sending: Sending): Promise<Answer> {
    const giveUpMs = performance.now() + GIVE_UP_MS;
    let lane = await this.#lane(giveUpMs);
    for (let tries = 1; performance.now() < giveUpMs; tries++) {
      const answer = await this.#send(lane, sending);
      if (typeof answer !== "string") return answer;
      if (tries === 1) this.resent.calls++;
      this.resent[answer]++;
      lane.restsUntilMs = performance.now() + REST_MS;
      lane = await this.#lane(giveUpMs);
    }
    throw new Error(`the call ${sending.key} was lost: no instance decided it within ${GIVE_UP_MS} ms`);
  }

  async #send({ pool }: Lane, { key, body }: Sending): Promise<Answer | Exclude<keyof Resent, "calls">> {
    const headers = { "content-type": "application/json", "idempotency-key": key };
    let [status, text] = [0, ""];
    try {
      const response = await pool.request({ method: "POST", path: "/v1/consume", headers, body });
      [status, text] = [response.statusCode, await response.body.text()];
    } catch (error) {
      return error instanceof Error && "code" in error && error.code === "ECONNREFUSED" ? "refused" : "broken";
    }
    if (status === 503) return "unavailable";
    if (status !== 200) throw new Error(`the call ${key} was answered ${status}: ${text}`);
    const answer: Answer = JSON.parse(text);
    return answer.degraded === null ? answer : "undecided";
  }

  /** The next instance that is not passed by, as soon as there is one. */
  async #lane(giveUpMs: number): Promise<Lane> {
    for (;;) {
      const nowMs = performance.now();
      for (let tries = 0; tries < this.#lanes.length; tries++) {
        const lane = this.#lanes[this.#next++ % this.#lanes.length];
        if (lane !== undefined && lane.restsUntilMs <= nowMs) return lane;
      }
      if (nowMs > giveUpMs) throw new Error("no instance came back");
      this.#lookAgain ??= sleep(LOOK_AGAIN_MS).then(() => {
        this.#lookAgain = null;
      });
      await this.#lookAgain;
    }
  }
}

export const nothingResent = (): Resent => ({ calls: 0, broken: 0, refused: 0, unavailable: 0, undecided: 0 });
