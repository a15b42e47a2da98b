// Adds up what a policy decided about a trace: how many calls were denied, by which limit and in which session, and what was spent.

import { type Call, DIMENSIONS } from "../kernel/call.ts";
import type { Judgement } from "../kernel/answer.ts";
import type { Verdict } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { TracedCall } from "./traced-call.ts";

/** What a policy would have done. */
export interface SimulationResult {
  readonly calls: number;
  readonly sessions: number;
  readonly allowed: number;
  readonly denied: number;
  readonly sessionsDenied: number;
  /** Of each limit the calls that it denied, as `decision.deniedBy` says. */
  readonly deniedBy: Counts;
  /** Of each limit that only warns or counts, the calls that did not fit. */
  readonly exceeded: Counts;
  readonly deniedTools: Counts;
  /** By unit: what the allowed calls cost, and what all would have cost. */
  readonly spent: Counts;
  readonly wouldHaveSpent: Counts;
  /** Those with most denials first, at most 1,000. */
  readonly deniedSessions: readonly DeniedSession[];
}

export type Counts = Readonly<Record<string, number>>;

/** A call that was denied, or decided differently. */
export interface ShownCall {
  /** Its line in the trace. */
  readonly line: number;
  readonly atMs: number | null;
  /** Its place among the calls of its session, from 1. */
  readonly nthOfSession: number;
  readonly limit: string;
  /** Its dimensions, without its arguments. */
  readonly call: Readonly<Record<string, string>>;
}

export interface DeniedSession {
  readonly session: string;
  readonly calls: number;
  readonly denied: number;
  readonly first: ShownCall;
}

/** Most sessions that a result names. */
const MAX_SESSIONS = 1_000;

interface Session {
  calls: number;
  denied: number;
  first: ShownCall | null;
}

export class Tally {
  readonly #sessions = new Map<string, Session>();
  readonly #deniedBy = new Map<string, number>();
  readonly #exceeded = new Map<string, number>();
  readonly #deniedTools = new Map<string, number>();
  readonly #spent = new Map<string, number>();
  readonly #wouldHaveSpent = new Map<string, number>();
  #calls = 0;
  #denied = 0;

  constructor({ limits }: CompiledPolicy) {
    for (const { name, mode } of limits) (mode === "enforce" ? this.#deniedBy : this.#exceeded).set(name, 0);
  }

  /** @returns the place of the call among those of its session, from 1 */
  add(traced: TracedCall, decision: Judgement): number {
    this.#calls++;
    const session = this.#sessionOf(traced.call);
    session.calls++;
    this.#addCosts(decision);
    if (!decision.allowed) this.#addDenial(traced, decision.deniedBy, session);
    return session.calls;
  }

  result(): SimulationResult {
    const denied = [...this.#sessions].filter(([, session]) => session.denied > 0);
    const shown = denied.sort(([, one], [, other]) => other.denied - one.denied).slice(0, MAX_SESSIONS);
    return {
      calls: this.#calls,
      sessions: this.#sessions.size,
      allowed: this.#calls - this.#denied,
      denied: this.#denied,
      sessionsDenied: denied.length,
      deniedBy: Object.fromEntries(this.#deniedBy),
      exceeded: Object.fromEntries(this.#exceeded),
      deniedTools: Object.fromEntries([...this.#deniedTools].sort(([, one], [, other]) => other - one)),
      spent: Object.fromEntries(this.#spent),
      wouldHaveSpent: Object.fromEntries(this.#wouldHaveSpent),
      deniedSessions: shown.map(([session, { calls, denied, first }]) => {
        return { session, calls, denied, first: first as ShownCall };
      }),
    };
  }

  #sessionOf({ session }: Call): Session {
    const name = String(session ?? "");
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    const made = { calls: 0, denied: 0, first: null };
    this.#sessions.set(name, made);
    return made;
  }

  #addDenial(traced: TracedCall, limit: string, session: Session): void {
    this.#denied++;
    session.denied++;
    session.first ??= shownCall(traced, session.calls, limit);
    count(this.#deniedBy, limit, 1);
    count(this.#deniedTools, String(traced.call.tool), 1);
  }

  /** A call has one cost in each unit, however many limits count it. */
  #addCosts({ allowed, verdicts }: Judgement): void {
    for (let i = 0; i < verdicts.length; i++) {
      const { unit, cost, mode, exceeded, limit } = verdicts[i] as Verdict;
      if (exceeded && mode !== "enforce") count(this.#exceeded, limit, 1);
      if (cost === 0 || unit === "calls" || verdicts.some((each, at) => at < i && each.unit === unit && each.cost > 0))
        continue;
      count(this.#wouldHaveSpent, unit, cost);
      if (allowed) count(this.#spent, unit, cost);
    }
  }
}

export function shownCall({ line, atMs, call }: TracedCall, nthOfSession: number, limit: string): ShownCall {
  const said = Object.entries(call).filter(([word, value]) => SHOWN.has(word) && value !== undefined);
  const dimensions = Object.fromEntries(said.map(([word, value]) => [word, String(value)]));
  return { line, atMs, nthOfSession, limit, call: dimensions };
}

const SHOWN: ReadonlySet<string> = new Set(DIMENSIONS);

export function count(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}
