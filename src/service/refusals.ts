// Requests of administrators that were refused before they said what they want, in the log. A caller without a key can
// make any number of them: they are counted, and one line in ten seconds says how many.

import type { Scope } from "./keys.ts";
import type { Log } from "./log.ts";
import type { ProblemCode } from "../http/problem-table.ts";

/** The least time between two lines about the same, ms. */
const INTERVAL_MS = 10_000;

/** A request that was refused. */
export interface Refusal {
  readonly path: string;
  readonly code: ProblemCode;
  /** Of a key that is known and lacks the scope; `null` where the caller is not known. */
  readonly keyId: string | null;
}

/** Requests that came since the last line. */
interface Pending {
  last: Refusal;
  requests: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The scope whose refusals are logged. */
export const LOGGED_SCOPE: Scope = "admin";

/** Logs refusals: the first of each path and code at once, and those that follow together. */
export class Refusals {
  readonly #log: Log | undefined;
  readonly #intervalMs: number;
  readonly #pending = new Map<string, Pending>();

  constructor(log: Log | undefined, intervalMs = INTERVAL_MS) {
    this.#log = log;
    this.#intervalMs = intervalMs;
  }

  add(refusal: Refusal): void {
    const about = `${refusal.path} ${refusal.code}`;
    const pending = this.#pending.get(about);
    if (pending === undefined) {
      this.#tell(refusal, 1);
      this.#wait(about, refusal);
      return;
    }
    pending.last = refusal;
    pending.requests++;
  }

  /** Logs what came since the last lines. */
  close(): void {
    for (const { last, requests, timer } of this.#pending.values()) {
      clearTimeout(timer);
      if (requests > 0) this.#tell(last, requests);
    }
    this.#pending.clear();
  }

  #wait(about: string, last: Refusal): void {
    const timer = setTimeout(() => this.#flush(about), this.#intervalMs).unref();
    this.#pending.set(about, { last, requests: 0, timer });
  }

  #flush(about: string): void {
    const { last, requests } = this.#pending.get(about) as Pending;
    this.#pending.delete(about);
    if (requests === 0) return;
    this.#tell(last, requests);
    this.#wait(about, last);
  }

  #tell({ path, code, keyId }: Refusal, requests: number): void {
    this.#log?.warn({ path, code, keyId, requests }, "an administrator's request was refused");
  }
}
