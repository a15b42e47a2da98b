// What happened in a run, in order: what judges look at, and what a story is made of.

import type { Decision, LimiterEvent } from "tollgate";
import type { Fault, PlannedCall, Verb } from "./schedule.ts";

interface Happened {
  /** In the world's time. */
  readonly atMs: number;
}

/** A call, or the later end of its hold, that was begun on an instance. */
export interface Asked {
  readonly planned: PlannedCall;
  /** The instance, and which of its lives: `p0.1` is the first life of the first one. */
  readonly on: string;
  readonly askedAtMs: number;
  /** By the machine's clock. */
  readonly tookMs: number;
  /** How long the machine stood still meanwhile. */
  readonly pausedMs: number;
  /** Which policy was in force when it began, and when it ended. */
  readonly policies: readonly [began: number, ended: number];
}

export type Entry = Happened &
  (
    | { readonly type: "started"; readonly on: string }
    | { readonly type: "closed"; readonly on: string }
    | { readonly type: "fault"; readonly fault: Fault; readonly isOver: boolean }
    | { readonly type: "skipped"; readonly planned: PlannedCall }
    | { readonly type: "asked"; readonly planned: PlannedCall; readonly on: string; readonly policy: number }
    | ({ readonly type: "decided"; readonly decision: Decision } & Asked)
    /** Another verb than those that decide has answered. */
    | ({ readonly type: "done"; readonly result: unknown } & Asked)
    | ({ readonly type: "failed"; readonly error: Failure } & Asked)
    /** A hold was settled, released, extended: `isRun` by `run` itself. */
    | {
        readonly type: "ended";
        readonly planned: PlannedCall;
        readonly on: string;
        readonly how: string;
        readonly askedAtMs: number;
        readonly status: string;
        readonly error: Failure | null;
      }
    | { readonly type: "event"; readonly on: string; readonly event: LimiterEvent }
    /** A shard of a cluster went away for an instance, or is back. */
    | { readonly type: "shard"; readonly on: string; readonly shard: number; readonly isAway: boolean }
  );

type EntryOfCall = Extract<Entry, { readonly planned: PlannedCall }>;

/** An error as the log has it. */
export interface Failure {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** Which instance has a life: 3 for `p3.1`. */
export function numberOf(on: string): number {
  return Number(on.slice(1, on.indexOf(".")));
}

export function failureOf(error: unknown): Failure {
  const { name = "", code = "", message = String(error) } = (error ?? {}) as Partial<Failure>;
  return { name, code: String(code), message };
}

export class Log {
  readonly entries: Entry[] = [];
  readonly #byType = new Map<Entry["type"], Entry[]>();
  readonly #byVerb = new Map<Verb, EntryOfCall[]>();

  add(entry: Entry): void {
    this.entries.push(entry);
    listIn(this.#byType, entry.type).push(entry);
    if ("planned" in entry) listIn(this.#byVerb, entry.planned.verb).push(entry);
  }

  of<Type extends Entry["type"]>(type: Type): readonly Extract<Entry, { type: Type }>[] {
    return (this.#byType.get(type) ?? []) as readonly Entry[] as readonly Extract<Entry, { type: Type }>[];
  }

  /** What the log has about calls of a verb. */
  about(verb: Verb): readonly EntryOfCall[] {
    return this.#byVerb.get(verb) ?? [];
  }

  /** The whole log as text: two runs of one seed write the same. */
  text(): string {
    return this.entries.map((entry) => JSON.stringify(entry, withErrors)).join("\n");
  }
}

function listIn<Key, Item>(lists: Map<Key, Item[]>, key: Key): Item[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

function withErrors(_key: string, value: unknown): unknown {
  return value instanceof Error ? failureOf(value) : value;
}
