// A deployment whose instances reach one server each through a proxy of its own, under load: what its callers saw.

import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createLimiter,
  type Decision,
  type FailoverOptions,
  type Limiter,
  type LimiterEvent,
  type PolicyInput,
} from "tollgate";
import type { Store } from "tollgate/store";
import type { FaultProxy } from "./fault-proxy.ts";

/** Whether promises in time are judged: on a machine that does nothing else. */
export const isStrict = process.env.TOLLGATE_CHAOS_STRICT === "1";

/** What one call came to. Times are by `performance.now()`. */
export interface Seen {
  readonly instance: number;
  readonly session: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly decision: Decision;
}

/** One of several that share limits. */
export interface Instance {
  readonly limiter: Limiter;
  readonly proxy: FaultProxy;
  readonly events: LimiterEvent[];
  /** When each of them was said, by `performance.now()`. */
  readonly eventsAtMs: number[];
}

/** Opens an instance behind a proxy. */
export function openInstance(
  proxy: FaultProxy,
  store: Store,
  policy: PolicyInput,
  failover: FailoverOptions = {},
): Instance {
  const events: LimiterEvent[] = [];
  const eventsAtMs: number[] = [];
  const onEvent = (event: LimiterEvent) => {
    events.push(event);
    eventsAtMs.push(performance.now());
  };
  const limiter = createLimiter({ policy, store, failover, onEvent });
  return { limiter, proxy, events, eventsAtMs };
}

/** Whether an instance decided by itself at an instant. */
export function wasAway({ events, eventsAtMs }: Instance, atMs: number): boolean {
  const last = eventsAtMs.findLastIndex(
    (saidMs, i) => saidMs <= atMs && /^store\.(unreachable|recovered)$/.test(events[i]?.type ?? ""),
  );
  return events[last]?.type === "store.unreachable";
}

/** Callers of some instances, until they are told to stop. */
export class Load {
  readonly seen: Seen[] = [];
  /** What was thrown: a limiter with a fallback throws nothing. */
  readonly errors: unknown[] = [];
  readonly #callers: Promise<void>[];
  #isOver = false;

  /**
   * @param sessions whom calls are for, by turns
   * @param pauseMs between the calls of one caller
   */
  constructor(instances: readonly Instance[], callers: number, sessions: readonly string[], pauseMs = 2) {
    this.#callers = instances.flatMap(({ limiter }, instance) =>
      Array.from({ length: callers }, (_, caller) => this.#call(limiter, instance, caller, sessions, pauseMs)),
    );
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#callers);
  }

  admitted(session: string, instance?: number): number {
    return this.seen.filter((each) => {
      return (
        each.session === session && each.decision.allowed && (instance === undefined || each.instance === instance)
      );
    }).length;
  }

  async #call(limiter: Limiter, instance: number, caller: number, sessions: readonly string[], pauseMs: number) {
    for (let turn = caller; !this.#isOver; turn++) {
      const session = sessions[turn % sessions.length] ?? "";
      const startMs = performance.now();
      try {
        const decision = await limiter.consume({ tool: "search", session });
        this.seen.push({ instance, session, startMs, endMs: performance.now(), decision });
      } catch (error) {
        this.errors.push(error);
      }
      await sleep(pauseMs);
    }
  }
}

/** Waits for something to become true, at most `ms`; returns how long that took. */
export async function until(ms: number, isTrue: () => boolean): Promise<number> {
  const startMs = performance.now();
  while (!isTrue() && performance.now() - startMs < ms) await sleep(5);
  return performance.now() - startMs;
}

/** Whether all instances are done with every outage that they spoke of. */
export function areBack(instances: readonly Instance[]): boolean {
  const count = (events: readonly LimiterEvent[], type: LimiterEvent["type"]) =>
    events.filter((event) => event.type === type).length;
  return instances.every(({ events }) => count(events, "store.unreachable") === count(events, "store.recovered"));
}

/** The middle one of some numbers. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
}

/** The seed of a run: the one that TOLLGATE_CHAOS_SEED names, else any. It is printed, so that a run can be tried again. */
export function seedOf(name: string): number {
  const seed = Number(process.env.TOLLGATE_CHAOS_SEED ?? randomInt(2 ** 31));
  console.log(`${name}: TOLLGATE_CHAOS_SEED=${seed}`);
  return seed;
}

/** Numbers from 0 to below 1 that follow from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
