// Holds over HTTP: those that the service made, and those that this process made while the service was away, which the
// service makes, too, when it is back.

import type { Call, Cost } from "../kernel/call.ts";
import { invalidOption } from "../kernel/errors.ts";
import { checkHoldOptions, type Hold, type HoldOptions, type Settlement } from "../limiter/hold.ts";
import { type CallOptions, checkCallOptions } from "../limiter/shared.ts";
import { endCall, type Limiter } from "../limiter.ts";
import type { Booking } from "./bookings.ts";
import { askOr, type ClientShared, checkOpen } from "./shared.ts";
import type { Item } from "./wire.ts";

/** A hold, perhaps of a call that runs and may fail. */
export interface EndableHold extends Hold {
  /** Settles what a failed call took: units that are not named as the `onError` of each limit says. */
  fail(actual: Cost): Promise<Settlement>;
}

/**
 * A hold that the service made.
 *
 * @throws MisuseError `invalid-option`
 */
export function serviceHold(shared: ClientShared, id: string, call: Call): EndableHold {
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) {
    throw invalidOption("id", "a hold's id: 1 to 64 letters, digits, _ or -", id);
  }
  const end = (op: "settle" | "release", more: object, locally: (limiter: Limiter) => Promise<Settlement>) => {
    const item: Item<typeof op> = { op, body: { hold: id, call, ...more }, isRepeatable: true };
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
      return end("settle", { cost: actual }, (limiter) => limiter.getHold(id, call).settle(actual));
    },
    async fail(actual) {
      check(shared);
      return end("settle", { cost: actual, failed: true }, (limiter) => endCall(limiter, id, call, actual, true));
    },
    async release(options) {
      check(shared, options);
      return end("release", {}, (limiter) => limiter.getHold(id, call).release());
    },
    async extend(options = {}) {
      checkHoldOptions(options);
      check(shared, { signal: options.signal });
      const { leaseMs } = options;
      const item: Item<"extend"> = { op: "extend", body: { hold: id, call, leaseMs }, isRepeatable: true };
      const { extended } = await askOr(shared, item, async (away) => {
        return { extended: await away.limiter.getHold(id, call).extend({ leaseMs }) };
      });
      return extended;
    },
  };
}

/** What a call was priced at, and what it costs when it fails. */
export interface Prices {
  readonly whole: Cost;
  readonly ofFailed: Cost;
}

/** A hold that this process made. */
export class OwnHold implements EndableHold {
  readonly #shared: ClientShared;
  readonly #local: EndableHold;
  readonly #call: Call;
  readonly #made: Item;
  readonly #prices: Prices;
  /** The one that the service made for it; `null`: it denied that; `undefined`: it was not asked yet. */
  #later: EndableHold | null | undefined;

  /** @param made what the service is asked to make it with */
  constructor(shared: ClientShared, local: EndableHold, call: Call, made: Item, prices: Prices) {
    this.#shared = shared;
    this.#local = local;
    this.#call = call;
    this.#made = made;
    this.#prices = prices;
  }

  get id(): string {
    return this.#later?.id ?? this.#local.id;
  }

  /** What makes it in the service. */
  booking(): Booking {
    return {
      item: () => this.#made,
      answered: (answer) => {
        const { hold } = answer as { readonly hold: string | null };
        this.#later = hold === null ? null : serviceHold(this.#shared, hold, this.#call);
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

  async #end(end: (hold: EndableHold) => Promise<Settlement>, item: () => Item | null): Promise<Settlement> {
    if (this.#later) return end(this.#later);
    const settlement = await end(this.#local);
    const booking: Booking = { item, endsCall: true, isReady: () => this.#later !== undefined };
    const now = this.#later === null ? item() : null;
    if (now !== null) await askOr(this.#shared, now, async (away, isDoubted) => away.book(booking, isDoubted));
    else if (this.#later === undefined) this.#shared.away?.book(booking, false);
    return settlement;
  }

  /** Where the service has no hold, all of it is booked: it was admitted. */
  #settleItem(actual: Cost, failed: boolean): Item | null {
    if (this.#later !== null) return this.#endItem("settle", { cost: actual, ...(failed ? { failed } : {}) });
    const { body } = this.#made;
    const { leaseMs: _, ...call } = body as Call & { readonly leaseMs?: number };
    const { whole, ofFailed } = this.#prices;
    return recordOf({ ...call, cost: { ...(failed ? ofFailed : whole), ...actual } });
  }

  #endItem(op: "settle" | "release", more: object): Item | null {
    const hold = this.#later?.id;
    return hold === undefined ? null : { op, body: { hold, call: this.#call, ...more }, isRepeatable: true };
  }
}

/** Books a call that the service would not allow, after it was admitted here. */
export function recordOf(call: Call): Item {
  const { idempotencyKey, ...rest } = call;
  // The caller may send the call once more: under its own key that would contradict this.
  const key = idempotencyKey === undefined ? {} : { idempotencyKey: `${idempotencyKey}:booked` };
  return { op: "record", body: { ...rest, ...key }, isRepeatable: idempotencyKey !== undefined };
}

function check(shared: ClientShared, options: CallOptions = {}): void {
  checkCallOptions(options);
  options.signal?.throwIfAborted();
  checkOpen(shared);
}
