// What the sessions of the load do: real traces where a folder of them is named, else a synthetic one, made longer by
// repetition. Each repetition is its sessions' own. It knows no limit.

import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseTrace } from "../../../src/simulate/trace.ts";
import { realTraces, syntheticTrace } from "../../e2e/traces.ts";

/** The tool calls of one session, in order. */
export type Session = readonly { readonly turn: string; readonly tool: string }[];

export interface Trace {
  /** Which it is, and why, where it is not a real one. */
  readonly about: string;
  readonly sessions: readonly Session[];
  readonly calls: number;
}

/** One call of one session of one repetition. */
export interface Call {
  readonly tenant: string;
  readonly session: string;
  readonly turn: string;
  readonly tool: string;
}

/** Sessions that one repetition of a synthetic trace has. */
const SYNTHETIC_SESSIONS = 100;
/** Which part of the time of all that run beside each other a session takes. */
const SESSION_LASTS = 0.2;
/** Of so many sessions in a row the first ones are a large tenant's, the others a small one's. */
export const COHORT = { sessions: 60, large: 45 };

/** The traces of the folder that TOLLGATE_TRACES names, together; else a synthetic one. */
export function readTraces(): Trace {
  const folder = process.env.TOLLGATE_TRACES ?? "";
  const files = folder !== "" && existsSync(folder) ? realTraces() : [];
  if (files.length === 0) {
    const why = folder === "" ? "TOLLGATE_TRACES names no folder of real ones" : `there is no .jsonl in ${folder}`;
    const sessions = sessionsOf(syntheticTrace(1, SYNTHETIC_SESSIONS));
    return traceOf(sessions, `a synthetic trace, because ${why}`);
  }
  const sessions = files.flatMap((file) => {
    const calls = parseTrace(readFileSync(file, "utf8"), file).map(({ call }) => call);
    return sessionsOf(calls.map(({ session = "", turn = "", tool }) => ({ session, turn, tool })));
  });
  return traceOf(sessions, files.map((file) => basename(file)).join(", "));
}

function traceOf(sessions: Session[], about: string): Trace {
  const calls = sessions.reduce((sum, session) => sum + session.length, 0);
  return { about: `${about} (${calls} calls of ${sessions.length} sessions)`, sessions, calls };
}

function sessionsOf(calls: readonly Record<"session" | "turn" | "tool", string | number>[]): Session[] {
  const sessions = Map.groupBy(calls, ({ session }) => session).values();
  return [...sessions].map((own) => own.map(({ turn, tool }) => ({ turn: String(turn), tool: String(tool) })));
}

/**
 * So many calls of sessions that are named after `name`, each session's in order.
 *
 * @param beside of how many repetitions the sessions run beside each other; the next ones begin when those have ended
 */
export function repeat(trace: Trace, name: string, count: number, beside: number, random: () => number): Call[] {
  const calls: Call[] = [];
  for (let first = 0; calls.length < count; first += beside) calls.push(...mixed(trace, name, first, beside, random));
  return calls.slice(0, count);
}

/** The calls of some repetitions, as they come when each session begins at a moment of its own. */
function mixed({ sessions }: Trace, name: string, first: number, beside: number, random: () => number): Call[] {
  const timed: { readonly at: number; readonly call: Call }[] = [];
  for (let i = first * sessions.length; i < (first + beside) * sessions.length; i++) {
    const own = sessions[i % sessions.length] ?? [];
    const begins = random() * (1 - SESSION_LASTS);
    const size = i % COHORT.sessions < COHORT.large ? "large" : "small";
    const whose = { tenant: `${name}-${size}-${Math.floor(i / COHORT.sessions)}`, session: `${name}-${i}` };
    for (const [j, { turn, tool }] of own.entries()) {
      timed.push({ at: begins + (SESSION_LASTS * j) / own.length, call: { ...whose, turn, tool } });
    }
  }
  return timed.sort((a, b) => a.at - b.at).map(({ call }) => call);
}
