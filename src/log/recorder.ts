// Records what limiters decide. The limiter only puts a decision into a list; it is counted and made an entry in the next turn of the event
// loop, when the caller has its decision. Nothing here waits, and nothing throws into a call.

import { inNextTurn, systemClock } from "../clock.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { writtenPolicy } from "../kernel/policy/parse.ts";
import type { LoggedCall, DecisionLog, LimiterEvent, LogCounts, LogEvent, LogHooks } from "../limiter.ts";
import { Gathered } from "./gathered.ts";
import { EntryIds, instanceName } from "./id.ts";
import { bucketOf, decisionEntry, eventEntry } from "./made-entry.ts";
import { capacityOf, isNear } from "./near.ts";
import type { WriteSettings } from "./options.ts";
import { PerSecond, Sample } from "./sample.ts";
import type { LogStorage } from "./storage.ts";
import { whoseOf } from "./text.ts";
import { LogWriter } from "./writer.ts";

/** A log that keeps what it is told in a storage. */
export interface StoredLog<Storage extends LogStorage = LogStorage> extends DecisionLog {
  readonly storage: Storage;
  /** Writes what waits. It ends early when the storage fails. */
  flush(): Promise<void>;
  /**
   * Resolves when the next entries are written, or after so many ms. Until then entries are written within 40 ms, so that what reads them
   * sees them soon.
   */
  written(withinMs: number): Promise<void>;
  /**
   * Writes what waits, for so many ms at most, and closes the storage. A log that has limiters is closed with the last of them.
   */
  close(withinMs?: number): Promise<void>;
}

/** Decisions that wait for the next turn at most. A loop that never ends its turn must not fill the memory. */
const MAX_IN_TURN = 1_024;
const MAX_EVENTS_PER_SECOND = 1_000;
const CLOSE_MS = 2_000;

/** Makes a log of a storage. */
export function logTo<Storage extends LogStorage>(storage: Storage, options: WriteSettings): StoredLog<Storage> {
  return new Recorder(storage, options);
}

interface Noted {
  readonly id: string;
  readonly decided: LoggedCall;
  readonly policy: CompiledPolicy;
}

class Recorder<Storage extends LogStorage> implements StoredLog<Storage> {
  readonly storage: Storage;
  readonly #instance = instanceName();
  readonly #ids = new EntryIds(this.#instance);
  readonly #gathered: Gathered;
  readonly #sample: Sample;
  readonly #events = new PerSecond(MAX_EVENTS_PER_SECOND);
  readonly #writer: LogWriter;
  readonly #listeners = new Set<(event: LogEvent) => void>();
  readonly #policies = new Set<string>();
  /** The version of the policy that was in force last. */
  #policy = "";
  #noted: Noted[] = [];
  #observers = 0;
  #kept = 0;
  #sampled = 0;
  /** Entries that were lost before the outage. */
  #droppedBefore = 0;
  #closing: Promise<void> | null = null;

  constructor(storage: Storage, options: WriteSettings) {
    const { flushMs, maxWaiting, maxRate } = options;
    this.storage = storage;
    this.#sample = new Sample(maxRate);
    this.#gathered = new Gathered(maxWaiting);
    this.#writer = new LogWriter({
      storage,
      instance: this.#instance,
      gathered: this.#gathered,
      flushMs,
      prepare: () => this.#prepare(),
      written: (count) => this.#written(count),
      failed: (error) => this.#emit({ type: "log.unreachable", storage: storage.name, error }),
      recovered: (awayMs) => {
        const dropped = this.#gathered.droppedTotal - this.#droppedBefore;
        this.#emit({ type: "log.recovered", storage: storage.name, awayMs, dropped });
      },
    });
  }

  counts(): LogCounts {
    return { kept: this.#kept, sampled: this.#sampled, dropped: this.#gathered.droppedTotal };
  }

  observe(first: CompiledPolicy, emit?: (event: LogEvent) => void): LogHooks {
    let policy = first;
    this.#observers++;
    if (emit !== undefined) this.#listeners.add(emit);
    this.#learn(policy);
    this.#event(policy.version, { type: "log.started", storage: this.storage.name });
    return {
      decided: (decided) => this.#note(decided, policy),
      happened: (event, tenant) => this.#happened(event, policy, tenant),
      reloaded: (next) => {
        policy = next;
        this.#learn(policy);
      },
      close: async (withinMs) => {
        if (--this.#observers === 0) await this.close(withinMs);
        else await this.flush();
        if (emit !== undefined) this.#listeners.delete(emit);
      },
    };
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  written(withinMs: number): Promise<void> {
    return this.#writer.written(withinMs);
  }

  close(withinMs = CLOSE_MS): Promise<void> {
    this.#closing ??= this.#writer.close(Math.min(withinMs, CLOSE_MS));
    return this.#closing;
  }

  #note(decided: LoggedCall, policy: CompiledPolicy): string {
    const id = this.#ids.next(decided.decision.decidedAtMs);
    if (this.#noted.length === 0) inNextTurn(() => this.#endTurn());
    else if (this.#noted.length >= MAX_IN_TURN) this.#takeNoted();
    this.#noted.push({ id, decided, policy });
    return id;
  }

  #endTurn(): void {
    this.#takeNoted();
    this.#writer.wake();
  }

  #takeNoted(): void {
    const noted = this.#noted;
    this.#noted = [];
    for (const each of noted) this.#take(each);
  }

  #take({ id, decided, policy }: Noted): void {
    const { call, decision } = decided;
    const whose = whoseOf(call);
    const pair = this.#gathered.count(decided, whose);
    for (const verdict of decision.verdicts) {
      if (!isNear(verdict.remaining, capacityOf(verdict))) continue;
      const dimensions = bucketOf(verdict.limit, call, policy);
      this.#gathered.near.add(verdict, dimensions, whose.tenant, decision.decidedAtMs);
    }
    const weight = this.#sample.weightOf(policy.log, whose.session, id, decision.allowed);
    if (weight === 0) {
      this.#sampled++;
      return;
    }
    const origin = { id, instance: this.#instance, policy: policy.version };
    this.#gathered.add(decisionEntry(origin, decided, weight, policy), pair);
  }

  #happened(event: LimiterEvent, policy: CompiledPolicy, tenant?: string): void {
    // What was decided before it stands before it.
    this.#takeNoted();
    if ("after" in event) this.#gathered.near.changed(event.after, systemClock.nowMs(), tenant);
    this.#event(policy.version, event, tenant);
  }

  #emit(event: LogEvent): void {
    if (event.type === "log.unreachable") this.#droppedBefore = this.#gathered.droppedTotal;
    for (const emit of this.#listeners) emit(event);
  }

  #written(count: number): void {
    this.#kept += count;
    const entries = this.#gathered.takeDropped();
    if (entries > 0) this.#event(this.#policy, { type: "log.dropped", entries });
  }

  #event(policy: string, event: LimiterEvent | OwnEvent, tenant?: string): void {
    const nowMs = systemClock.nowMs();
    if (!this.#events.take(nowMs)) {
      this.#gathered.drop();
      return;
    }
    const origin = { id: this.#ids.next(nowMs), instance: this.#instance, policy };
    this.#gathered.add(eventEntry(origin, event as LimiterEvent, nowMs, tenant), null);
    this.#writer.wake();
  }

  #learn(policy: CompiledPolicy): void {
    this.#policy = policy.version;
    if (this.#policies.has(policy.version)) return;
    this.#policies.add(policy.version);
    const source = JSON.stringify({ ...writtenPolicy(policy), tests: undefined });
    this.#gathered.addPolicy({ version: policy.version, atMs: systemClock.nowMs(), source });
  }

  #prepare(): void {
    this.#takeNoted();
    this.#sample.fit(systemClock.nowMs());
  }
}

/** What a log itself says in the timeline. */
type OwnEvent =
  | { readonly type: "log.started"; readonly storage: string }
  | { readonly type: "log.dropped"; readonly entries: number };
