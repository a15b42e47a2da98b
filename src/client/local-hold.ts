// A hold that this process made while the service was unreachable. When the service is back it makes the hold, too, and the end
// of the call goes to that one.

import type { Cost } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { checkHoldOptions } from "../limiter/hold.ts";
import { newHoldId } from "../limiter/hold-id.ts";
import type { CallOptions, HoldOptions, Outcome, Settlement } from "../limiter.ts";
import { askOr, checkSendable, closedAfter } from "./ask.ts";
import type { Booking } from "./bookings.ts";
import type { ClientContext } from "./context.ts";
import { type EndableHold, serviceHold } from "./hold.ts";
import { type KeyedCall, recordItem } from "./keyed-call.ts";
import { reportItem, type SentOutcome } from "./outcome.ts";
import type { Prices } from "./service-views.ts";
import type { BatchItem } from "./wire.ts";

/** How a call ends in the service. */
interface EndRequest {
  readonly op: "settle" | "release" | "end";
  /** Beside the hold and the call. */
  readonly body: object;
  /** Booked by itself when the service denied the hold; absent: nothing is booked. */
  readonly usage?: Cost;
  readonly hasFailed?: boolean;
  /** The call's outcome alone, for a hold that the service denied: `record` reports nothing. */
  readonly report?: BatchItem;
}

export class LocalHold implements EndableHold {
  readonly #context: ClientContext;
  readonly #local: EndableHold;
  readonly #keyed: KeyedCall;
  /** The request that makes it in the service. */
  readonly #making: BatchItem;
  readonly #prices: Prices;
  /** Whether the call holds nothing, so that it may end without a word. */
  readonly #isEmpty: boolean;
  /** Whether the call was booked when the service denied the hold. */
  #isBooked = false;
  /** Under which the usage of a call is settled that the service does not record. */
  readonly #unknownId = newHoldId(true);
  /** The service's hold; `null`: the service denied it; `undefined`: the service has not answered yet. */
  #remote: EndableHold | null | undefined;

  /** @param isEmpty whether it holds nothing: `run` charges `calls` when it starts */
  constructor(
    context: ClientContext,
    local: EndableHold,
    keyed: KeyedCall,
    making: BatchItem,
    prices: Prices,
    isEmpty: boolean,
  ) {
    this.#context = context;
    this.#local = local;
    this.#keyed = keyed;
    this.#making = making;
    this.#prices = prices;
    this.#isEmpty = isEmpty;
  }

  get id(): string {
    return this.#remote?.id ?? this.#local.id;
  }

  /** Makes it in the service. */
  booking(): Booking {
    return {
      item: () => this.#making,
      answered: (answer, sentMs) => {
        const { holdId } = answer as { readonly holdId: string | null };
        const { call, quotas } = this.#keyed;
        this.#context.away?.learn(call, answer as Decision, sentMs);
        this.#remote = holdId === null ? null : serviceHold(this.#context, holdId, call, quotas);
        if (holdId !== null || !this.#isEmpty) return null;
        this.#isBooked = true;
        return { item: () => recordItem({ ...this.#keyed.sent, cost: this.#prices.whole }, quotas) };
      },
      dropped: () => {
        this.#remote = null;
      },
    };
  }

  settle(usage: Cost = {}, options?: CallOptions): Promise<Settlement> {
    return this.#end((hold) => hold.settle(usage), { op: "settle", body: { usage }, usage }, options);
  }

  fail(usage: Cost): Promise<Settlement> {
    const ending: EndRequest = { op: "settle", body: { usage, failed: true }, usage, hasFailed: true };
    return this.#end((hold) => hold.fail(usage), ending);
  }

  end(usage: Cost, outcome: Outcome, sent: SentOutcome): Promise<unknown> {
    const report = reportItem(this.#keyed.call, sent);
    const ending: EndRequest = { op: "end", body: { usage, ...sent }, usage, hasFailed: "error" in outcome, report };
    return this.#end((hold) => hold.end(usage, outcome, sent), ending);
  }

  release(options?: CallOptions): Promise<Settlement> {
    return this.#end((hold) => hold.release(), { op: "release", body: {} }, options);
  }

  async extend(options?: HoldOptions): Promise<boolean> {
    checkHoldOptions(options ?? {});
    return (this.#remote ?? this.#local).extend(options);
  }

  /** Ends the service's hold, or this one and tells the service. */
  async #end<Ended>(
    end: (hold: EndableHold) => Promise<Ended>,
    ending: EndRequest,
    options?: CallOptions,
  ): Promise<Ended> {
    checkSendable(this.#context, options);
    if (this.#remote) return end(this.#remote);
    const ended = await closedAfter(this.#context, end(this.#local));
    if (this.#remote === undefined) this.#book(ending);
    else {
      // The service denied the hold: the usage and the outcome are sent by themselves.
      for (const item of [this.#itemOf(ending), ending.report]) if (item) await this.#send(item);
    }
    return ended;
  }

  async #send(item: BatchItem): Promise<void> {
    await askOr(this.#context, item, async (away, isInDoubt) => {
      if (item.isRepeatable || !isInDoubt) away.book({ item: () => item }, isInDoubt);
    });
  }

  /** Books the end, to be sent after the service has answered whether it makes the hold. */
  #book(ending: EndRequest): void {
    const { report } = ending;
    const isReady = () => this.#remote !== undefined;
    const answered = (): Booking | null => {
      return report === undefined || this.#remote ? null : { item: () => report };
    };
    this.#context.away?.book({ item: () => this.#itemOf(ending), isReady, answered }, false);
  }

  #itemOf({ op, body, usage, hasFailed }: EndRequest): BatchItem | null {
    const { call, sent, quotas } = this.#keyed;
    if (this.#remote) {
      return { op, body: { holdId: this.#remote.id, call, ...quotas, ...body }, isRepeatable: true };
    }
    if (usage === undefined) return null;
    // The service has no hold. All usage is booked, because this process admitted the call.
    const { whole, ofFailed, isUntilEnd } = this.#prices;
    if (this.#isBooked) return this.#excessItem(usage);
    const cost = { ...(hasFailed ? ofFailed : whole), ...usage };
    return isUntilEnd ? this.#settleItem(cost) : recordItem({ ...sent, cost }, quotas);
  }

  /** Settles a hold that the service does not know: it books all of the usage. */
  #settleItem(usage: Cost): BatchItem {
    const { call, quotas } = this.#keyed;
    const nothing = Object.fromEntries(Object.keys(usage).map((unit) => [unit, 0]));
    const body = { holdId: this.#unknownId, call: { ...call, cost: nothing }, ...quotas, usage };
    return { op: "settle", body, isRepeatable: true };
  }

  /** Books what a call used beyond the prices at which it was booked. `null`: nothing. */
  #excessItem(usage: Cost): BatchItem | null {
    const { sent, quotas } = this.#keyed;
    const { whole } = this.#prices;
    const excess = Object.entries(usage).map(
      ([unit, units]) => [unit, Math.max(0, units - (whole[unit] ?? 0))] as const,
    );
    if (excess.every(([, units]) => units === 0)) return null;
    const nothing = Object.keys(whole).map((unit) => [unit, 0] as const);
    const cost = Object.fromEntries([...nothing, ...excess]);
    const key = sent.idempotencyKey === undefined ? {} : { idempotencyKey: `${sent.idempotencyKey}:end` };
    return recordItem({ ...sent, ...key, cost }, quotas);
  }
}
