// The holds that this process made while the service was unreachable, by their ids: a program may end them through `getHold`.

import type { Call } from "../kernel/call.ts";
import { holdNameOf } from "../limiter/hold-id.ts";
import type { Hold, HostedLimiter } from "../limiter.ts";

/** Of so many holds; the oldest are forgotten first. */
const MAX_HOLDS = 10_000;

/** A hold stays known after its end, so that a second end is not taken for the end of an unknown one. */
export class KnownHolds {
  readonly #limiter: Pick<HostedLimiter, "policy">;
  readonly #holds = new Map<string, Hold>();

  constructor(limiter: Pick<HostedLimiter, "policy">) {
    this.#limiter = limiter;
  }

  add(call: Call, hold: Hold): void {
    const [oldest] = this.#holds.keys();
    if (this.#holds.size === MAX_HOLDS && oldest !== undefined) this.#holds.delete(oldest);
    this.#holds.set(holdNameOf(this.#limiter.policy, hold.id, call), hold);
  }

  /** The hold of an id; `undefined`: it was not made here, or for another call. */
  get(id: string, call: Call): Hold | undefined {
    return this.#holds.get(holdNameOf(this.#limiter.policy, id, call));
  }
}
