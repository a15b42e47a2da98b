// What happens, as server-sent events, to whoever listens: decisions, and what befalls the store and the policy. Each
// listener has a bounded buffer; one that does not keep up is dropped. Arguments, labels and keys of calls are never told.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import type { Policy } from "../kernel/policy.ts";
import type { LimiterEvent } from "../limiter.ts";
import type { Metrics } from "./metrics.ts";
import { ProblemError } from "./problems.ts";
import { prefixOf, shownNames, type Tenants } from "./tenants.ts";

/** What a listener can ask for. */
export const EVENT_TYPES = ["decision", "denial", "store-away", "store-back", "policy-reload"] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Longest value of a dimension that is told. */
const MAX_VALUE = 200;

export interface EventOptions {
  readonly maxListeners: number;
  readonly maxListenerBytes: number;
  readonly heartbeatMs: number;
}

/** Who listens, and to what. */
export interface Listening {
  readonly tenants: Tenants;
  readonly types: ReadonlySet<EventType>;
  /** Asked with each heartbeat: a key may have been revoked meanwhile. */
  isAllowed(): boolean;
}

interface Listener extends Listening {
  send(bytes: Uint8Array): void;
  end(): void;
}

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": alive\n\n");
const HELLO = encoder.encode("retry: 1000\n\n");

/** Tells listeners what happens. */
export class Events {
  readonly #options: EventOptions;
  readonly #metrics: Metrics;
  readonly #policy: () => Policy;
  readonly #listeners = new Set<Listener>();
  #heart: ReturnType<typeof setInterval> | undefined;

  constructor(options: EventOptions, policy: () => Policy, metrics: Metrics) {
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
      throw new ProblemError(503, "too-many-listeners", "As many listen as may.", { headers: { "retry-after": "10" } });
    }
    this.#heart ??= setInterval(() => this.#beat(), heartbeatMs).unref();
    let listener: Listener;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          listener = this.#listenerOf(listening, controller);
          this.#listeners.add(listener);
          this.#count();
          listener.send(HELLO);
        },
        cancel: () => this.#leave(listener),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: maxListenerBytes }),
    );
  }

  /** A decision was made. */
  decided(decision: Decision, call: Call): void {
    if (this.#listeners.size === 0) return;
    const type = decision.allowed ? "decision" : "denial";
    const policy = this.#policy();
    const dimensions = told(policy, call);
    const { message: _, notice: __, ...numbers } = decision;
    let forAll: Uint8Array | undefined;
    for (const listener of this.#listeners) {
      if (!listener.types.has(type)) continue;
      if (listener.tenants === null) {
        forAll ??= frame(type, { dimensions, decision: numbers });
        listener.send(forAll);
      } else if (dimensions.tenant !== undefined && listener.tenants.includes(dimensions.tenant)) {
        const shown = shownNames(policy, prefixOf(dimensions.tenant), dimensions);
        listener.send(frame(type, { dimensions: shown, decision: numbers }));
      }
    }
  }

  /** Something befell the store or the policy. It concerns those alone who see everything. */
  happened(event: LimiterEvent): void {
    const data = dataOf(event);
    if (data === null || this.#listeners.size === 0) return;
    const bytes = frame(event.type, data);
    for (const listener of this.#listeners) {
      if (listener.tenants === null && listener.types.has(event.type as EventType)) listener.send(bytes);
    }
  }

  close(): void {
    clearInterval(this.#heart);
    for (const listener of this.#listeners) listener.end();
  }

  #listenerOf(listening: Listening, controller: ReadableStreamDefaultController<Uint8Array>): Listener {
    const listener: Listener = {
      tenants: listening.tenants,
      types: listening.types,
      isAllowed: () => listening.isAllowed(),
      send: (bytes) => {
        if ((controller.desiredSize ?? 0) >= bytes.byteLength) return controller.enqueue(bytes);
        this.#leave(listener);
        this.#metrics.refused("slow-listener");
        controller.error(new Error("a listener that does not keep up"));
      },
      end: () => {
        this.#leave(listener);
        controller.close();
      },
    };
    return listener;
  }

  #beat(): void {
    for (const listener of this.#listeners) {
      if (listener.isAllowed()) listener.send(HEARTBEAT);
      else listener.end();
    }
  }

  #leave(listener: Listener): void {
    this.#listeners.delete(listener);
    this.#count();
  }

  #count(): void {
    this.#metrics.listeners(this.#listeners.size);
  }
}

/** What is told of a call: whose it is, and the tool. */
function told(policy: Policy, call: Call): Record<string, string> {
  return Object.fromEntries(
    Object.entries(call).flatMap(([word, value]) => {
      if (!policy.dimensions.has(word) || value === undefined || value === null) return [];
      return [[word, String(value).slice(0, MAX_VALUE)]];
    }),
  );
}

function dataOf(event: LimiterEvent): object | null {
  switch (event.type) {
    case "store-away":
      return { code: event.error.code };
    case "store-back": {
      const { awayMs, booked, dropped, raised } = event;
      return { awayMs, booked, dropped, raised };
    }
    case "policy-reload":
      return { restarted: event.restarted };
    default:
      return null;
  }
}

function frame(type: string, data: object): Uint8Array {
  return encoder.encode(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
}
