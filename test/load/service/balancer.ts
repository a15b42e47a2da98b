// A round robin over the instances, like a load balancer with retries: an instance that refuses, breaks off or answers 503 is
// skipped for a moment, and the call goes to the next one under the same idempotency key. This is how the balancer learns
// that an instance has ended.

import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";

/** A call as it is sent, the same each time. */
export interface Sending {
  readonly key: string;
  readonly body: string;
}

/** The fields of a decision that the load reads. */
export interface Answer {
  readonly allowed: boolean;
  readonly replayed: boolean;
  readonly degraded: object | null;
  readonly verdicts: readonly { readonly limit: string; readonly allowed: boolean }[];
}

/** How often calls were sent again, and why. */
export interface Resent {
  /** Calls that were sent more than once. */
  calls: number;
  /** The connection broke, and the outcome of the call is unknown. */
  broken: number;
  /** Nothing listened. */
  refused: number;
  /** 503: the instance is ending, or overloaded. */
  unavailable: number;
  /** The instance did not reach its store in time, and decided nothing. */
  undecided: number;
}

interface Lane {
  readonly url: string;
  readonly pool: Pool;
  /** It is skipped until then, by `performance.now()`. */
  restsUntilMs: number;
}

const CONNECTIONS = 64;
const REST_MS = 250;
const LOOK_AGAIN_MS = 5;
const ANSWERS_WITHIN_MS = 10_000;
/** A call without a decision by then is lost. */
const GIVE_UP_MS = 60_000;

export class Balancer implements AsyncDisposable {
  #lanes: Lane[] = [];
  #next = 0;
  #pausing: Promise<unknown> | null = null;
  resent = nothingResent();

  add(url: string): void {
    const pool = new Pool(url, { connections: CONNECTIONS, headersTimeout: ANSWERS_WITHIN_MS });
    this.#lanes.push({ url, pool, restsUntilMs: 0 });
  }

  async remove(url: string): Promise<void> {
    const lane = this.#lanes.find((each) => each.url === url);
    this.#lanes = this.#lanes.filter((each) => each !== lane);
    await lane?.pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#lanes.map(({ pool }) => pool.destroy()));
  }

  /**
   * Sends a call until it is decided.
   *
   * @throws Error when an instance answers what it must not, or no instance decides
   */
  async ask(sending: Sending): Promise<Answer> {
    const giveUpMs = performance.now() + GIVE_UP_MS;
    let failures = 0;
    while (performance.now() < giveUpMs) {
      const lane = this.#nextLane();
      if (lane === undefined) {
        await this.#pause();
        continue;
      }
      const answer = await send(lane, sending);
      if (typeof answer !== "string") return answer;
      if (++failures === 1) this.resent.calls++;
      this.resent[answer]++;
      lane.restsUntilMs = performance.now() + REST_MS;
    }
    throw new Error(`the call ${sending.key} was lost: no instance decided it within ${GIVE_UP_MS} ms`);
  }

  /** The next instance that is not skipped now, if there is one. */
  #nextLane(): Lane | undefined {
    const nowMs = performance.now();
    for (let tries = 0; tries < this.#lanes.length; tries++) {
      const lane = this.#lanes[this.#next++ % this.#lanes.length];
      if (lane !== undefined && lane.restsUntilMs <= nowMs) return lane;
    }
    return undefined;
  }

  /** One timer for all calls that wait. */
  #pause(): Promise<unknown> {
    this.#pausing ??= sleep(LOOK_AGAIN_MS).then(() => {
      this.#pausing = null;
    });
    return this.#pausing;
  }
}

async function send({ pool }: Lane, { key, body }: Sending): Promise<Answer | Exclude<keyof Resent, "calls">> {
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

export const nothingResent = (): Resent => ({ calls: 0, broken: 0, refused: 0, unavailable: 0, undecided: 0 });
