// Server-sent events: decisions, changes of buckets, and events of the store and the policy. Each listener has a bounded buffer;
// one that does not keep up is dropped. Arguments, labels and keys of calls are never sent.

import { everyInBackground, spread, type Timer } from "../clock.ts";
import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { LimiterEvent } from "../limiter.ts";
import type { Bounds } from "./bounds.ts";
import { joined } from "./bytes.ts";
import { dataFor, dataOf, shortened } from "./event-data.ts";
import type { Metrics } from "./metrics.ts";
import { ProblemError } from "./problems.ts";
import { shownNames, type Tenants } from "./tenants.ts";

/** The events that a listener gets. */
interface Subscription {
  /** Bound tenants get only events of their own buckets and calls. */
  readonly tenants: Tenants;
  readonly types: ReadonlySet<string>;
  /** Asked with each heartbeat: a key may have been revoked meanwhile. */
  isAllowed(): boolean;
}

/** The longest time until a listener that was cut off connects again, ms. It is random, so that not all come at one instant. */
const RETRY_MS = 2_000;

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": alive\n\n");

export class Events {
  readonly #bounds: Bounds;
  readonly #metrics: Metrics | undefined;
  readonly #policy: () => CompiledPolicy;
  readonly #listeners = new Set<Listener>();
  #heart: Timer | undefined;

  constructor(bounds: Bounds, policy: () => CompiledPolicy, metrics: Metrics | undefined) {
    this.#bounds = bounds;
    this.#policy = policy;
    this.#metrics = metrics;
  }

  /** A stream of events. Throws ProblemError 503 above `maxListeners`. */
  listen(subscription: Subscription): ReadableStream<Uint8Array> {
    const { maxListeners, maxListenerBytes, heartbeatMs } = this.#bounds;
    if (this.#listeners.size >= maxListeners) {
      throw new ProblemError("too-many-listeners", `There are ${maxListeners} listeners already.`, {
        headers: { "retry-after": "10" },
      });
    }
    this.#heart ??= everyInBackground(heartbeatMs, () => this.#beat());
    const leave = (isSlow: boolean) => {
      this.#listeners.delete(listener);
      this.#metrics?.setListeners(this.#listeners.size);
      if (isSlow) this.#metrics?.countRejected("slow-listener");
    };
    const listener = new Listener(subscription, maxListenerBytes, leave);
    this.#listeners.add(listener);
    this.#metrics?.setListeners(this.#listeners.size);
    listener.send(encoder.encode(`retry: ${Math.ceil(spread(RETRY_MS))}\n\n`));
    return listener.stream;
  }

  sendDecision(decision: Decision, call: Call): void {
    if (this.#listeners.size === 0) return;
    const type = decision.allowed ? "call.allowed" : "call.denied";
    const policy = this.#policy();
    const dimensions = dimensionsOf(policy, call);
    const { message: _, detail: __, notice: ___, ...numbers } = decision;
    let forAll: Uint8Array | undefined;
    const { tenant } = dimensions;
    for (const listener of this.#listenersTo(type)) {
      const { tenants } = listener.subscription;
      if (tenants === null) {
        forAll ??= frame(type, { dimensions: shortened(dimensions), decision: numbers });
        listener.send(forAll);
      } else if (tenant !== undefined && tenants.includes(tenant)) {
        const shown = shownNames(policy, tenant, dimensions);
        listener.send(frame(type, { dimensions: shortened(shown), decision: numbers }));
      }
    }
  }

  sendEvent(event: LimiterEvent): void {
    if (this.#listeners.size === 0) return;
    const data = dataOf(event);
    if (data === null) return;
    const forAll = frame(event.type, data);
    for (const listener of this.#listenersTo(event.type)) {
      const { tenants } = listener.subscription;
      const own = tenants === null ? data : dataFor(tenants, this.#policy(), event);
      if (own !== null) listener.send(own === data ? forAll : frame(event.type, own));
    }
  }

  close(): void {
    this.#heart?.cancel();
    for (const listener of this.#listeners) listener.end();
  }

  #listenersTo(type: string): Listener[] {
    return [...this.#listeners].filter(({ subscription }) => subscription.types.has(type));
  }

  #beat(): void {
    for (const listener of this.#listeners) {
      if (listener.subscription.isAllowed()) listener.send(HEARTBEAT);
      else listener.end();
    }
  }
}

/** One stream, and its events that wait until the reader asks for more. */
class Listener {
  readonly subscription: Subscription;
  readonly stream: ReadableStream<Uint8Array>;
  readonly #maxBytes: number;
  readonly #leave: (isSlow: boolean) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #isWanted = false;

  constructor(subscription: Subscription, maxBytes: number, leave: (isSlow: boolean) => void) {
    this.subscription = subscription;
    this.#maxBytes = maxBytes;
    this.#leave = leave;
    // Events wait here and not in the stream, so that a slow listener's events can be dropped.
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#isWanted = true;
          this.#flush();
        },
        cancel: () => {
          this.#controller = null;
          leave(false);
        },
      },
      { highWaterMark: 0 },
    );
  }

  send(bytes: Uint8Array): void {
    if (this.#controller === null) return;
    if (this.#bytes + bytes.byteLength > this.#maxBytes) {
      this.#waiting = [];
      this.#end(true);
      return;
    }
    this.#waiting.push(bytes);
    this.#bytes += bytes.byteLength;
    this.#flush();
  }

  end(): void {
    // The last events are handed over even if the reader has not asked for them.
    this.#isWanted = true;
    this.#flush();
    this.#end(false);
  }

  #end(isSlow: boolean): void {
    this.#controller?.close();
    this.#controller = null;
    this.#leave(isSlow);
  }

  #flush(): void {
    if (!this.#isWanted || this.#waiting.length === 0) return;
    this.#controller?.enqueue(joined(this.#waiting, this.#bytes));
    this.#waiting = [];
    this.#bytes = 0;
    this.#isWanted = false;
  }
}

/** The dimensions of a call, not shortened yet, because tenants are compared whole. */
function dimensionsOf(policy: CompiledPolicy, call: Call): Record<string, string> {
  return Object.fromEntries(
    Object.entries(call).flatMap(([word, value]) => {
      if (!policy.dimensions.has(word) || value === undefined || value === null) return [];
      return [[word, String(value)]];
    }),
  );
}

function frame(type: string, data: object): Uint8Array {
  return encoder.encode(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
}
