// Agents that run away, as they are known: what would a policy let them do?

import type { CompiledPolicy } from "../kernel/limit.ts";
import { simulate } from "./simulate.ts";
import { sessionsOf, type TracedSession } from "./suggest/sessions.ts";
import type { TracedCall } from "./traced-call.ts";

export const RUNAWAY_CALLS = 1_000;
/** Time between two calls of a runaway. */
const EVERY_MS = 1_000;

type Kind = "same-call" | "two-in-turn" | "fan-out" | "paging" | "retry-storm";

export interface Runaway {
  readonly kind: Kind;
  /** Whether it comes at the end of a session of the trace; else it is a session of its own. */
  readonly isAfterSession: boolean;
  /** The calls of the session before it. */
  readonly before: readonly TracedCall[];
  readonly calls: readonly TracedCall[];
}

export interface RunawayResult {
  readonly kind: Kind;
  readonly isAfterSession: boolean;
  readonly calls: number;
  readonly admitted: number;
}

type Step = Pick<TracedCall, "hasFailed"> & { readonly tool: string; readonly args: unknown };

/** What the n-th call of a runaway is, by the tools of the trace, those that are called most first. */
const KINDS: Readonly<Record<Kind, (n: number, tools: readonly string[]) => Step>> = {
  "same-call": (_n, [tool = "tool"]) => ({ tool, args: { runaway: true }, hasFailed: null }),
  "two-in-turn": (n, [one = "tool", other = one]) => {
    return { tool: n % 2 === 0 ? one : other, args: { runaway: n % 2 }, hasFailed: null };
  },
  "fan-out": (n, tools) => ({ tool: tools[n % tools.length] ?? "tool", args: { runaway: n }, hasFailed: null }),
  paging: (n, [tool = "tool"]) => ({ tool, args: { page: n }, hasFailed: null }),
  // Every third time the agent tries it with other arguments.
  "retry-storm": (n, [tool = "tool"]) => ({ tool, args: { attempt: Math.floor(n / 3) }, hasFailed: true }),
};

/** Each kind as a session of its own, and at the end of a session of the trace: of one that succeeded, where there is one. */
export function runawaysFor(calls: readonly TracedCall[], length: number): readonly Runaway[] {
  const counts = new Map<string, number>();
  for (const { call } of calls) counts.set(String(call.tool), (counts.get(String(call.tool)) ?? 0) + 1);
  const tools = [...counts].sort(([, one], [, other]) => other - one).map(([tool]) => tool);
  const session = middleSession(sessionsOf(calls));
  return Object.entries(KINDS).flatMap(([name, stepAt]) => {
    const kind = name as Kind;
    const steps = Array.from({ length }, (_, n) => stepAt(n, tools));
    const own = { ...session, name: `runaway-${kind}`, calls: session.calls.slice(0, 1) };
    return [
      { kind, isAfterSession: false, before: [], calls: callsOf(steps, own) },
      { kind, isAfterSession: true, before: session.calls, calls: callsOf(steps, session) },
    ];
  });
}

/** Plays each runaway alone. */
export async function playRunaways(policy: CompiledPolicy, runaways: readonly Runaway[]): Promise<RunawayResult[]> {
  const results: RunawayResult[] = [];
  for (const { kind, isAfterSession, before, calls } of runaways) {
    const injected = new Set(calls);
    let admitted = 0;
    await simulate([policy], [...before, ...calls], (traced, [decision]) => {
      if (decision?.allowed === true && injected.has(traced)) admitted++;
    });
    results.push({ kind, isAfterSession, calls: calls.length, admitted });
  }
  return results;
}

/** The calls as the last call of a session says whose they are. */
function callsOf(steps: readonly Step[], { name, calls }: TracedSession): TracedCall[] {
  const last = calls.at(-1);
  const startMs = last?.atMs ?? null;
  return steps.map(({ tool, args, hasFailed }, n) => ({
    line: n + 1,
    call: { turn: 1, ...last?.call, session: name, tool, args },
    atMs: startMs === null ? null : startMs + (n + 1) * EVERY_MS,
    durationMs: 0,
    hasFailed,
    result: undefined,
    isOk: false,
  }));
}

/** One of those that succeeded, of middle length. */
function middleSession(sessions: readonly TracedSession[]): TracedSession {
  const good = sessions.some(({ isOk }) => isOk === true) ? sessions.filter(({ isOk }) => isOk === true) : sessions;
  const sorted = good.toSorted((one, other) => one.calls.length - other.calls.length);
  return sorted[sorted.length >> 1] ?? { name: "runaway", calls: [], isOk: null };
}
