// Log lines for requests that were refused: of administrators for their key, and calls for what they say. Callers can send any number of
// them, so they are counted, and one line in ten seconds has the count. Where timers end with a request, each has its line.

import { everyInBackground, type Timer } from "../clock.ts";
import type { Logger } from "./logger.ts";
import type { ProblemCode } from "../http/problem-table.ts";

/** The least time between two lines for the same path and code, ms. */
const INTERVAL_MS = 10_000;

interface OfAdministrator {
  readonly path: string;
  readonly code: ProblemCode;
  /** The id of a known key that lacks the scope; `null`: the caller is unknown. */
  readonly keyId: string | null;
}

interface OfCall {
  readonly path: string;
  readonly code: ProblemCode;
  /** What is wrong, such as `call.user`, and what was expected; `null`: the body could not be read. */
  readonly fault: string | null;
}

type Refusal = OfAdministrator | OfCall;

/** Requests that came since the last line. */
interface Pending {
  last: Refusal;
  requests: number;
  readonly timer: Timer;
}

/** Logs refusals: the first of each path and code at once, and those that follow together. */
export class Refusals {
  readonly #logger: Logger | undefined;
  readonly #hasTimers: boolean;
  readonly #pending = new Map<string, Pending>();

  constructor(logger: Logger | undefined, hasTimers = true) {
    this.#logger = logger;
    this.#hasTimers = hasTimers;
  }

  add(refusal: Refusal): void {
    const about = `${refusal.path} ${refusal.code}`;
    const pending = this.#pending.get(about);
    if (pending === undefined) {
      this.#write(refusal, 1);
      if (!this.#hasTimers) return;
      const timer = everyInBackground(INTERVAL_MS, () => this.#flush(about));
      this.#pending.set(about, { last: refusal, requests: 0, timer });
      return;
    }
    pending.last = refusal;
    pending.requests++;
  }

  /** Logs requests that came since the last lines. */
  close(): void {
    for (const about of this.#pending.keys()) {
      this.#flush(about);
      this.#pending.get(about)?.timer.cancel();
    }
    this.#pending.clear();
  }

  #flush(about: string): void {
    const pending = this.#pending.get(about) as Pending;
    const { last, requests, timer } = pending;
    if (requests > 0) {
      pending.requests = 0;
      this.#write(last, requests);
    } else {
      timer.cancel();
      this.#pending.delete(about);
    }
  }

  #write(refusal: Refusal, requests: number): void {
    const message = "fault" in refusal ? "a call was refused" : "an administrator's request was refused";
    this.#logger?.warn({ ...refusal, requests }, message);
  }
}
