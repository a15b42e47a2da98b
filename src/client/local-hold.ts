// A hold that this process made while the service was unreachable. When the service is back it makes the hold, too, and the end
// of the call goes to that one.

import type { Cost } from "../kernel/call.ts";
import { checkHoldOptions } from "../limiter/hold.ts";
import type { CallOptions, HoldOptions, Outcome, Settlement } from "../limiter.ts";
import { askOr, checkSendable } from "./ask.ts";
import type { Prices } from "./away.ts";
import type { Booking } from "./bookings.ts";
import type { ClientContext } from "./context.ts";
import { type EndableHold, serviceHold } from "./hold.ts";
import { type KeyedCall, recordItem } from "./keyed-call.ts";
import { reportItem, type SentOutcome } from "./outcome.ts";
import type { BatchItem } from "./wire.ts";

export class LocalHold implements EndableHold {
  readonly #context: ClientContext;
  readonly #local: EndableHold;
  readonly #keyed: KeyedCall;
  /** The request that makes it in the service. */
  readonly #making: BatchItem;
  readonly #prices: Prices;
  /** The service's hold; `null`: the service denied it; `undefined`: the service has not answered yet. */
  #remote: EndableHold | null | undefined;

  constructor(context: ClientContext, local: EndableHold, keyed: KeyedCall, making: BatchItem, prices: Prices) {
    this.#context = context;
    this.#local = local;
    this.#keyed = keyed;
    this.#making = making;
    this.#prices = prices;
  }

  get id(): string {
    return this.#remote?.id ?? this.#local.id;
  }

  /** Makes it in the service. */
  booking(): Booking {
    return {
      item: () => this.#making,
      answered: (answer) => {
        const { holdId } = answer as { readonly holdId: string | null };
        const { call, quotas } = this.#keyed;
        this.#remote = holdId === null ? null : serviceHold(this.#context, holdId, call, quotas);
        return null;
      },
      dropped: () => {
        this.#remote = null;
      },
    };
  }

  async settle(usage: Cost = {}, options?: CallOptions): Promise<Settlement> {
    checkSendable(this.#context, options);
    return this.#end(
      (hold) => hold.settle(usage),
      () => this.#settleItem(usage, false),
    );
  }

  async fail(usage: Cost): Promise<Settlement> {
    checkSendable(this.#context);
    return this.#end(
      (hold) => hold.fail(usage),
      () => this.#settleItem(usage, true),
    );
  }

  async end(usage: Cost, outcome: Outcome, sent: SentOutcome): Promise<unknown> {
    checkSendable(this.#context);
    const hasFailed = "error" in outcome;
    return this.#end(
      (hold) => hold.end(usage, outcome, sent),
      () => (this.#remote === null ? this.#settleItem(usage, hasFailed) : this.#endItem("end", { usage, ...sent })),
      reportItem(this.#keyed.call, sent),
    );
  }

  async release(options?: CallOptions): Promise<Settlement> {
    checkSendable(this.#context, options);
    return this.#end(
      (hold) => hold.release(),
      () => this.#endItem("release", {}),
    );
  }

  async extend(options?: HoldOptions): Promise<boolean> {
    checkHoldOptions(options ?? {});
    return (this.#remote ?? this.#local).extend(options);
  }

  /**
   * Ends the service's hold, or this one and tells the service.
   *
   * @param item ends the call in the service
   * @param report the call's outcome alone, for a hold that the service denied: its usage is booked by `record`, which reports
   *   nothing
   */
  async #end<Ended>(
    end: (hold: EndableHold) => Promise<Ended>,
    item: () => BatchItem | null,
    report: BatchItem | null = null,
  ): Promise<Ended> {
    if (this.#remote) return end(this.#remote);
    const ended = await end(this.#local);
    if (this.#remote === undefined) this.#bookEnd(item, report);
    else for (const each of [item(), report]) if (each !== null) await this.#send(each);
    return ended;
  }

  async #send(item: BatchItem): Promise<void> {
    await askOr(this.#context, item, async (away, isInDoubt) => {
      if (item.isRepeatable || !isInDoubt) away.book({ item: () => item, endsCall: true }, isInDoubt);
    });
  }

  /** Books the end, to be sent after the service has answered whether it makes the hold. */
  #bookEnd(item: () => BatchItem | null, report: BatchItem | null): void {
    const isReady = () => this.#remote !== undefined;
    const answered = (): Booking | null => {
      return report === null || this.#remote !== null ? null : { item: () => report, endsCall: true };
    };
    this.#context.away?.book({ item, endsCall: true, isReady, answered }, false);
  }

  /** When the service has no hold, all usage is booked, because this process admitted the call. */
  #settleItem(usage: Cost, failed: boolean): BatchItem | null {
    if (this.#remote !== null) return this.#endItem("settle", { usage, ...(failed ? { failed } : {}) });
    const { whole, ofFailed } = this.#prices;
    const { sent, quotas } = this.#keyed;
    return recordItem({ ...sent, cost: { ...(failed ? ofFailed : whole), ...usage } }, quotas);
  }

  #endItem(op: "settle" | "release" | "end", more: object): BatchItem | null {
    const holdId = this.#remote?.id;
    if (holdId === undefined) return null;
    const { call, quotas } = this.#keyed;
    return { op, body: { holdId, call, ...quotas, ...more }, isRepeatable: true };
  }
}
