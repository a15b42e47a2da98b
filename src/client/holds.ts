// Holds over HTTP: those that the service made, and those that this process made while the service was away, which the
// service makes, too, when it is back.

import type { Call, Cost } from "../kernel/call.ts";
import { invalidOption } from "../kernel/errors.ts";
import { type CallOptions, checkCallOptions, type QuotaOptions } from "../limiter/call-options.ts";
import { checkHoldOptions, type Hold, type HoldOptions, type Settlement } from "../limiter/hold.ts";
import type { Outcome } from "../limiter/report.ts";
import { endCall, type Limiter } from "../limiter.ts";
import type { Prices } from "./away.ts";
import type { Booking } from "./bookings.ts";
import { askOr, type ClientShared, checkOpen } from "./shared.ts";
import type { Item } from "./wire.ts";

/** What came of a call, as it is sent. */
export type OutcomeWords = { readonly error: true } | { readonly result: unknown };

/** Quotas that came with a call, as they are sent beside it. */
export type Claims = Pick<QuotaOptions, "quotas">;

/** A hold, perhaps of a call that runs and may fail. */
export interface EndableHold extends Hold {
  /** Settles what a failed call took: units that are not named as the `onError` of each limit says. */
  fail(actual: Cost): Promise<Settlement>;
  /**
   * Settles a call, and reports what came of it.
   *
   * @param words the outcome as it is sent
   */
  end(actual: Cost, outcome: Outcome, words: OutcomeWords): Promise<unknown>;
}

/**
 * A hold that the service made.
 *
 * @throws MisuseError `invalid-option`
 */
export function serviceHold(shared: ClientShared, id: string, call: Call, claims: Claims): EndableHold {
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) {
    throw invalidOption("id", "a hold's id: 1 to 64 letters, digits, _ or -", id);
  }
  const end = (op: "settle" | "release" | "end", more: object, locally: (limiter: Limiter) => Promise<Settlement>) => {
    const item: Item<typeof op> = { op, body: { holdId: id, call, ...claims, ...more }, isRepeatable: true };
    return askOr(shared, item, async (away, isDoubted) => {
      const settlement = await locally(away.limiter);
      away.book({ item: () => item, endsCall: true }, isDoubted);
      return settlement;
    });
  };
  return {
    id,
    async settle(actual = {}, options) {
      check(shared, options);
      return end("settle", { usage: actual }, (limiter) => limiter.getHold(id, call, claims).settle(actual));
    },
    async fail(actual) {
      check(shared);
      const ending = { usage: actual, hasFailed: true, outcome: null };
      return end("settle", { usage: actual, failed: true }, (limiter) => endCall(limiter, id, call, ending, claims));
    },
    async end(actual, outcome, words) {
      check(shared);
      const ending = { usage: actual, hasFailed: "error" in outcome, outcome };
      return end("end", { usage: actual, ...words }, (limiter) => endCall(limiter, id, call, ending, claims));
    },
    async release(options) {
      check(shared, options);
      return end("release", {}, (limiter) => limiter.getHold(id, call, claims).release());
    },
    async extend(options = {}) {
      checkHoldOptions(options);
      check(shared, { signal: options.signal });
      const { leaseMs } = options;
      const body = { holdId: id, call, ...claims, leaseMs };
      const item: Item<"extend"> = { op: "extend", body, isRepeatable: true };
      const { extended } = await askOr(shared, item, async (away) => {
        return { extended: await away.limiter.getHold(id, call, claims).extend({ leaseMs }) };
      });
      return extended;
    },
  };
}

/** A hold that this process made. */
export class OwnHold implements EndableHold {
  readonly #shared: ClientShared;
  readonly #local: EndableHold;
  readonly #call: Call;
  readonly #made: Item;
  readonly #prices: Prices;
  readonly #claims: Claims;
  /** The one that the service made for it; `null`: it denied that; `undefined`: it was not asked yet. */
  #later: EndableHold | null | undefined;

  /** @param made what the service is asked to make it with */
  constructor(shared: ClientShared, local: EndableHold, { call, claims }: Named, made: Item, prices: Prices) {
    this.#shared = shared;
    this.#local = local;
    this.#call = call;
    this.#made = made;
    this.#prices = prices;
    this.#claims = claims;
  }

  get id(): string {
    return this.#later?.id ?? this.#local.id;
  }

  /** What makes it in the service. */
  booking(): Booking {
    return {
      item: () => this.#made,
      answered: (answer) => {
        const { holdId } = answer as { readonly holdId: string | null };
        this.#later = holdId === null ? null : serviceHold(this.#shared, holdId, this.#call, this.#claims);
        return null;
      },
      dropped: () => {
        this.#later = null;
      },
    };
  }

  async settle(actual: Cost = {}, options?: CallOptions): Promise<Settlement> {
    check(this.#shared, options);
    return this.#end(
      (hold) => hold.settle(actual),
      () => this.#settleItem(actual, false),
    );
  }

  async fail(actual: Cost): Promise<Settlement> {
    check(this.#shared);
    return this.#end(
      (hold) => hold.fail(actual),
      () => this.#settleItem(actual, true),
    );
  }

  async end(actual: Cost, outcome: Outcome, words: OutcomeWords): Promise<unknown> {
    check(this.#shared);
    const settlement = await this.#end(
      (hold) => hold.end(actual, outcome, words),
      () =>
        this.#later === null
          ? this.#settleItem(actual, "error" in outcome)
          : this.#endItem("end", { usage: actual, ...words }),
      reportOf(this.#call, words),
    );
    return settlement;
  }

  async release(options?: CallOptions): Promise<Settlement> {
    check(this.#shared, options);
    return this.#end(
      (hold) => hold.release(),
      () => this.#endItem("release", {}),
    );
  }

  async extend(options?: HoldOptions): Promise<boolean> {
    checkHoldOptions(options ?? {});
    return (this.#later ?? this.#local).extend(options);
  }

  /** @param apart what is sent beside the item where the service has no hold */
  async #end<Ended>(
    end: (hold: EndableHold) => Promise<Ended>,
    item: () => Item | null,
    apart: Item | null = null,
  ): Promise<Ended> {
    if (this.#later) return end(this.#later);
    const ended = await end(this.#local);
    if (this.#later === null) {
      for (const each of [item(), apart]) if (each !== null) await this.#send(each);
    } else if (this.#later === undefined) this.#bookLater(item, apart);
    return ended;
  }

  async #send(item: Item): Promise<void> {
    const booking: Booking = { item: () => item, endsCall: true };
    await askOr(this.#shared, item, async (away, isDoubted) => {
      if (item.isRepeatable || !isDoubted) away.book(booking, isDoubted);
    });
  }

  #bookLater(item: () => Item | null, apart: Item | null): void {
    const next: Booking | null = apart === null ? null : { item: () => apart, endsCall: true };
    this.#shared.away?.book(
      {
        item,
        endsCall: true,
        isReady: () => this.#later !== undefined,
        answered: () => (this.#later === null ? next : null),
      },
      false,
    );
  }

  /** Where the service has no hold, all of it is booked: it was admitted. */
  #settleItem(actual: Cost, failed: boolean): Item | null {
    if (this.#later !== null) return this.#endItem("settle", { usage: actual, ...(failed ? { failed } : {}) });
    const { call } = this.#made.body as { readonly call: Call };
    const { whole, ofFailed } = this.#prices;
    return recordOf({ ...call, cost: { ...(failed ? ofFailed : whole), ...actual } }, this.#claims);
  }

  #endItem(op: "settle" | "release" | "end", more: object): Item | null {
    const holdId = this.#later?.id;
    if (holdId === undefined) return null;
    return { op, body: { holdId, call: this.#call, ...this.#claims, ...more }, isRepeatable: true };
  }
}

/** Reports what came of a call by itself. Sent twice it would count twice. */
export function reportOf(call: Call, words: OutcomeWords): Item<"report"> {
  return { op: "report", body: { call, ...words }, isRepeatable: false };
}

/** Books a call that the service would not allow, after it was admitted here. */
export function recordOf(call: Call, claims: Claims): Item {
  const { idempotencyKey, ...rest } = call;
  // The caller may send the call once more: under its own key that would contradict this.
  const key = idempotencyKey === undefined ? {} : { idempotencyKey: `${idempotencyKey}:booked` };
  const body = { call: { ...rest, ...key }, ...claims };
  return { op: "record", body, isRepeatable: idempotencyKey !== undefined };
}

function check(shared: ClientShared, options: CallOptions = {}): void {
  checkCallOptions(options);
  options.signal?.throwIfAborted();
  checkOpen(shared);
}

/** A call as it was made, and as it is sent: under a key. */
export interface Named {
  readonly call: Call;
  readonly sent: Call;
  readonly isRepeatable: boolean;
  readonly claims: Claims;
}
