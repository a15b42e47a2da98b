// Which decisions a log keeps. Sessions are kept whole or not at all, so that what happened in one can be followed; all instances keep
// the same ones. When there are more than a log may keep in a second, the share is halved until they fit.

import { hashOf } from "./text.ts";

/** How long there have to be few entries before the share is doubled again. */
const QUIET_MS = 5_000;
const MOST_HALVINGS = 20;
/** A rate over less than this is chance. */
const SHORTEST_MS = 200;

/** The share of decisions that is kept. */
class Share {
  readonly #maxRate: number;
  #halvings = 0;
  #kept = 0;
  #sinceMs = 0;
  #quietSinceMs = 0;

  constructor(maxRate: number) {
    this.#maxRate = maxRate;
  }

  of(wanted: number): number {
    return wanted * 2 ** -this.#halvings;
  }

  add(): void {
    this.#kept++;
  }

  /** Fits the share to what was kept since the last time. */
  fit(nowMs: number): void {
    if (nowMs - this.#sinceMs < SHORTEST_MS) return;
    const perSecond = (this.#kept * 1_000) / (nowMs - this.#sinceMs);
    this.#kept = 0;
    this.#sinceMs = nowMs;
    if (perSecond > this.#maxRate) {
      const more = Math.ceil(Math.log2(perSecond / this.#maxRate));
      this.#halvings = Math.min(MOST_HALVINGS, this.#halvings + more);
    }
    if (perSecond > this.#maxRate * 0.4) this.#quietSinceMs = nowMs;
    if (this.#halvings === 0 || nowMs - this.#quietSinceMs < QUIET_MS) return;
    this.#halvings--;
    this.#quietSinceMs = nowMs;
  }
}

/** What a policy says of its log. */
export interface LogShares {
  /** Shares of decisions, 0 to 1. */
  readonly allowed: number;
  readonly denied: number;
}

export class Sample {
  readonly #allowed: Share;
  readonly #denied: Share;

  /** @param maxRate of allowed calls, and again of denied ones */
  constructor(maxRate: number) {
    this.#allowed = new Share(maxRate);
    this.#denied = new Share(maxRate);
  }

  /**
   * How many decisions a decision stands for; 0: it is not kept. A denial is kept with its session, and also by itself.
   *
   * @param session the empty text: none, and the call counts for itself
   */
  weightOf(shares: LogShares, session: string, id: string, isAllowed: boolean): number {
    const whole = this.#allowed.of(shares.allowed);
    const isInSample = isBelow(session === "" ? id : session, whole);
    if (isAllowed) {
      if (!isInSample) return 0;
      this.#allowed.add();
      return Math.max(1, Math.round(1 / whole));
    }
    const alone = this.#denied.of(shares.denied);
    if (!isInSample && !isBelow(id, alone)) return 0;
    this.#denied.add();
    return Math.max(1, Math.round(1 / (whole + alone - whole * alone)));
  }

  /** Called now and then. */
  fit(nowMs: number): void {
    this.#allowed.fit(nowMs);
    this.#denied.fit(nowMs);
  }
}

/** So many in each second. */
export class PerSecond {
  readonly #max: number;
  #second = 0;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether there may be one more now. */
  take(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.#second) this.#count = 0;
    this.#second = second;
    return this.#count++ < this.#max;
  }
}

/** Whether a text is among the first `share` of all texts. */
export function isBelow(text: string, share: number): boolean {
  return share >= 1 || hashOf(text) < share * 2 ** 32;
}
