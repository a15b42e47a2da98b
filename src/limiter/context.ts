// What a limiter shares with the limiters that are bound from it.

import type { Clock } from "../clock.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { Layered } from "../store/store.ts";
import type { CalendarSpecs } from "./calendar-specs.ts";
import type { CallCache } from "./call-cache.ts";
import type { LogHooks } from "./decision-log.ts";
import type { DecisionListener, EventListener } from "./listener.ts";
import type { QuotaLookup } from "./quotas.ts";
import type { SlotQueues } from "./slots.ts";
import type { TelemetryHooks } from "./telemetry.ts";

export interface LimiterContext {
  /** The policy in force: `reload` replaces it. */
  policy: CompiledPolicy;
  /** The prepared calls of that policy. */
  callCache: CallCache;
  /** The first part of all keys. */
  readonly prefix: string;
  readonly quotaLookup: QuotaLookup;
  /** The layers in front of the store. */
  readonly layers: Layered;
  /** The outermost of them. */
  readonly store: Layered["store"];
  readonly checkPolicy: (policy: CompiledPolicy) => void;
  readonly calendar: CalendarSpecs;
  readonly onDecision: DecisionListener | undefined;
  readonly onEvent: EventListener | undefined;
  readonly hooks: TelemetryHooks | null;
  readonly log: LogHooks | null;
  /** The clock that waiting calls and holds of `run` use: the store's, where a test gives it one. */
  readonly clock: Clock;
  /** Whether the store decides by `clock`, so that its instants can be compared with the clock's. */
  readonly isStoreClock: boolean;
  /** How many calls of this process sleep until a bucket may have room for them, by bucket. */
  readonly sleepCounts: Map<string, number>;
  /** Calls of this process that wait for slots of concurrency limits. */
  readonly slots: SlotQueues;
  /** Calls with `maxWaitMs` that are not decided yet, and places that are being given back. */
  readonly unfinishedWaits: Set<Promise<unknown>>;
  /** Each ends the sleep of one call that sleeps now. */
  readonly endSleeps: Set<(reason: unknown) => void>;
  /** Takes back the booking of a call whose caller is gone. It is not sent again after an outage. */
  readonly undo: (request: StoreRequest) => Promise<unknown>;
  /** `null`: the limiter is open; else the promise of `close`. */
  closing: Promise<void> | null;
}
