// What happens, as server-sent events: decisions, changes of buckets, and events of the store and the policy. Each
// listener has a bounded buffer; one that does not keep up is dropped. Arguments, labels and keys of calls are never told.

import { spread } from "../clock.ts";
import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { LimiterEvent } from "../limiter.ts";
import { dataFor, dataOf, shortened } from "./event-data.ts";
import type { Metrics } from "./metrics.ts";
import { ProblemError } from "./problems.ts";
import { prefixOf, shownNames, type Tenants } from "./tenants.ts";

export interface EventOptions {
  readonly maxListeners: number;
  readonly maxListenerBytes: number;
  readonly heartbeatMs: number;
}

/** Who listens, and to what. */
export interface Listening {
  readonly tenants: Tenants;
  readonly types: ReadonlySet<string>;
  /** Asked with each heartbeat: a key may have been revoked meanwhile. */
  isAllowed(): boolean;
}

/** When a listener that was cut off comes again at the latest: not all of them at one instant, ms. */
const RETRY_MS = 2_000;

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": alive\n\n");

/** Tells listeners what happens. */
export class Events {
  readonly #options: EventOptions;
  readonly #metrics: Metrics;
  readonly #policy: () => CompiledPolicy;
  readonly #listeners = new Set<Listener>();
  #heart: ReturnType<typeof setInterval> | undefined;

  constructor(options: EventOptions, policy: () => CompiledPolicy, metrics: Metrics) {
    this.#options = options;
    this.#policy = policy;
    this.#metrics = metrics;
  }

  /**
   * A stream of events.
   *
   * @throws ProblemError 503 when as many listen as may
   */
  listen(listening: Listening): ReadableStream<Uint8Array> {
    const { maxListeners, maxListenerBytes, heartbeatMs } = this.#options;
    if (this.#listeners.size >= maxListeners) {
      throw new ProblemError("too-many-listeners", "As many listen as may.", { headers: { "retry-after": "10" } });
    }
    this.#heart ??= setInterval(() => this.#beat(), heartbeatMs).unref();
    const leave = (isSlow: boolean) => {
      this.#listeners.delete(listener);
      this.#metrics.listeners(this.#listeners.size);
      if (isSlow) this.#metrics.rejected("slow-listener");
    };
    const listener = new Listener(listening, maxListenerBytes, leave);
    this.#listeners.add(listener);
    this.#metrics.listeners(this.#listeners.size);
    listener.send(encoder.encode(`retry: ${Math.ceil(spread(RETRY_MS))}\n\n`));
    return listener.stream;
  }

  /** A decision was made. */
  decided(decision: Decision, call: Call): void {
    if (this.#listeners.size === 0) return;
    const type = decision.allowed ? "call.allowed" : "call.denied";
    const policy = this.#policy();
    const dimensions = dimensionsOf(policy, call);
    const { message: _, detail: __, notice: ___, ...numbers } = decision;
    let forAll: Uint8Array | undefined;
    for (const listener of this.#listeners) {
      if (!listener.types.has(type)) continue;
      if (listener.tenants === null) {
        forAll ??= frame(type, { dimensions: shortened(dimensions), decision: numbers });
        listener.send(forAll);
      } else if (dimensions.tenant !== undefined && listener.tenants.includes(dimensions.tenant)) {
        const shown = shownNames(policy, prefixOf(dimensions.tenant), dimensions);
        listener.send(frame(type, { dimensions: shortened(shown), decision: numbers }));
      }
    }
  }

  /** The limiter has emitted an event. Of these a key that is bound to tenants gets those of its own buckets alone. */
  happened(event: LimiterEvent): void {
    if (this.#listeners.size === 0) return;
    const data = dataOf(event);
    if (data === null) return;
    const forAll = frame(event.type, data);
    for (const listener of this.#listeners) {
      if (!listener.types.has(event.type)) continue;
      const own = listener.tenants === null ? null : dataFor(listener.tenants, this.#policy(), event);
      if (listener.tenants === null) listener.send(forAll);
      else if (own !== null) listener.send(frame(event.type, own));
    }
  }

  close(): void {
    clearInterval(this.#heart);
    for (const listener of this.#listeners) listener.end();
  }

  #beat(): void {
    for (const listener of this.#listeners) {
      if (listener.isAllowed()) listener.send(HEARTBEAT);
      else listener.end();
    }
  }
}

/** One stream, and what waits until it is read. */
class Listener {
  readonly tenants: Tenants;
  readonly types: ReadonlySet<string>;
  readonly isAllowed: () => boolean;
  readonly stream: ReadableStream<Uint8Array>;
  readonly #maxBytes: number;
  readonly #leave: (isSlow: boolean) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #isRead = false;

  constructor({ tenants, types, isAllowed }: Listening, maxBytes: number, leave: (isSlow: boolean) => void) {
    this.tenants = tenants;
    this.types = types;
    this.isAllowed = isAllowed;
    this.#maxBytes = maxBytes;
    this.#leave = leave;
    // What waits is kept here, so that it can be let go.
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#isRead = true;
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
    this.#isRead = true;
    this.#flush();
    this.#end(false);
  }

  #end(isSlow: boolean): void {
    this.#controller?.close();
    this.#controller = null;
    this.#leave(isSlow);
  }

  #flush(): void {
    if (!this.#isRead || this.#waiting.length === 0) return;
    this.#controller?.enqueue(Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#bytes = 0;
    this.#isRead = false;
  }
}

/** Whose a call is, and the tool. The values are whole: they are compared before they are shortened. */
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
