// A hold that this process made while the service was unreachable. When the service is back it makes the hold, too, and the end
// of the call goes to that one.

import type { Cost } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { checkHoldOptions } from "../limiter/hold.ts";
import type { CallOptions, HoldOptions, Outcome, Settlement } from "../limiter.ts";
import { checkSendable, closedAfter } from "./ask.ts";
import type { Booking } from "./bookings.ts";
import type { ClientContext } from "./context.ts";
import { type EndableHold, serviceHold } from "./hold.ts";
import type { KeyedCall } from "./keyed-call.ts";
import type { SentOutcome } from "./outcome.ts";
import type { BatchItem } from "./wire.ts";

type EndOp = "settle" | "release" | "end";

export class LocalHold implements EndableHold {
  readonly #context: ClientContext;
  readonly #local: EndableHold;
  readonly #keyed: KeyedCall;
  /** The request that makes it in the service. */
  readonly #making: BatchItem;
  /** The service's hold; `undefined`: the service has not answered yet. */
  #remote: EndableHold | undefined;

  constructor(context: ClientContext, local: EndableHold, keyed: KeyedCall, making: BatchItem) {
    this.#context = context;
    this.#local = local;
    this.#keyed = keyed;
    this.#making = making;
  }

  get id(): string {
    return this.#remote?.id ?? this.#local.id;
  }

  /** Makes it in the service. */
  booking(): Booking {
    const { call, quotas } = this.#keyed;
    const become = (holdId: string | null) => {
      this.#remote = serviceHold(this.#context, holdId ?? this.#local.id, call, quotas);
    };
    return {
      item: () => this.#making,
      answered: (answer, sentMs) => {
        this.#context.away?.learn(call, answer as Decision, sentMs);
        become((answer as { readonly holdId: string | null }).holdId);
        return null;
      },
      // The service does not know this id. So it books what the call used when that ends.
      dropped: () => become(null),
    };
  }

  settle(usage: Cost = {}, options?: CallOptions): Promise<Settlement> {
    return this.#end((hold) => hold.settle(usage), "settle", { usage }, options);
  }

  fail(usage: Cost): Promise<Settlement> {
    return this.#end((hold) => hold.fail(usage), "settle", { usage, failed: true });
  }

  end(usage: Cost, outcome: Outcome, sent: SentOutcome): Promise<unknown> {
    return this.#end((hold) => hold.end(usage, outcome, sent), "end", { usage, ...sent });
  }

  release(options?: CallOptions): Promise<Settlement> {
    return this.#end((hold) => hold.release(), "release", {}, options);
  }

  async extend(options?: HoldOptions): Promise<boolean> {
    checkHoldOptions(options ?? {});
    return (this.#remote ?? this.#local).extend(options);
  }

  /** Ends the service's hold, or this one and tells the service. */
  async #end<Ended>(
    end: (hold: EndableHold) => Promise<Ended>,
    op: EndOp,
    more: object,
    options?: CallOptions,
  ): Promise<Ended> {
    checkSendable(this.#context, options);
    if (this.#remote !== undefined) return end(this.#remote);
    const ended = await closedAfter(this.#context, end(this.#local));
    const { call, quotas } = this.#keyed;
    const body = () => ({ holdId: this.id, call, ...quotas, ...more });
    // It is sent after the service has answered whether it makes the hold.
    const isReady = () => this.#remote !== undefined;
    this.#context.away?.book({ item: () => ({ op, body: body(), isRepeatable: true }), isReady }, false);
    return ended;
  }
}
