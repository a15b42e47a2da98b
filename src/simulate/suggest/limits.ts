// The limits that a trace suggests. They are wide enough for sessions that succeed, and cut those that run away.

import type { PolicyInput } from "../../kernel/policy/input.ts";
import { amount, grouped, isMoney } from "../../kernel/words.ts";
import type { TracedCall } from "../traced-call.ts";
import { type Spread, spreadOf, withHeadroom } from "./headroom.ts";
import { longestFailure, mostOf, toolOf, type TracedSession, unitsOf, wholeCallOf } from "./sessions.ts";

export type LimitInput = PolicyInput["limits"][number];

export interface SuggestedLimit {
  readonly limit: LimitInput;
  /** How its quota was found, in sentences. */
  readonly why: readonly string[];
}

/** The same call is allowed so often in any case. */
const SAME_CALLS = 3;
/** Calls of one tool beyond what sessions need, for tools that are hardly used. */
const MORE_OF_TOOL = 2;
/** Failures in a row are allowed so often in any case, and so many more than were seen: any call may fail. */
const FAILURES = 8;
const MORE_FAILURES = 4;
/** How many excesses of the tail are added: more for what varies more from session to session. */
const STEPS = { calls: 2, tool: 3, same: 4, errors: 4, units: 3 } as const;

/** @param sessions those that quotas are learned from; at least one */
export function limitsFrom(sessions: readonly TracedSession[]): readonly SuggestedLimit[] {
  const spread = (of: (calls: readonly TracedCall[]) => number) => spreadOf(sessions.map(({ calls }) => of(calls)));
  const inSession = spread((calls) => calls.length);
  // Not by the longest turn: what one session spreads over its turns, another one does in a single turn.
  const perTurn = withHeadroom(inSession, STEPS.calls);
  const ofTool = spread((calls) => mostOf(calls, toolOf));
  const perTool = withHeadroom(ofTool, STEPS.tool) + MORE_OF_TOOL;
  const limits = [sameCall(sessions)];
  // One that is wider than the turn denies nothing.
  if (perTool < perTurn) {
    const plus = `${headroom(ofTool, perTool - MORE_OF_TOOL)}, and ${MORE_OF_TOOL} more`;
    limits.push({
      limit: { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: perTool, resetAfterIdle: "1h" },
      why: [atMost(ofTool, "calls", `of one tool ${WHERE}`), `${plus}: ${perTool} in one turn.`],
    });
  }
  limits.push({
    limit: { name: "calls-per-turn", per: ["session", "turn"], quota: perTurn, resetAfterIdle: "1h" },
    why: [atMost(inSession, "calls", WHERE), `${headroom(inSession, perTurn)}: ${perTurn} in one turn.`],
  });
  limits.push({
    limit: { name: "calls-per-session", per: ["session"], quota: 2 * perTurn, resetAfterIdle: "24h" },
    why: ["Twice the calls of a turn, because a good conversation may go on for longer than those of the trace."],
  });
  return [...limits, ...failures(sessions), ...spending(sessions)];
}

const WHERE = "in a session that succeeded";

/** Names that `quotas` can have: others would be patterns. */
const CAN_HAVE_QUOTA = /^(?!!)[^*]+$/s;

/** Equal calls. Tools that successful sessions call again and again, such as those that wait for a job, have a quota of their own. */
function sameCall(sessions: readonly TracedSession[]): SuggestedLimit {
  const tools = new Set(sessions.flatMap(({ calls }) => calls.map(toolOf)));
  const equal = new Map([...tools].map((tool) => [tool, equalCalls(sessions, tool)]));
  const polled = [...equal].filter(
    ([tool, counts]) => CAN_HAVE_QUOTA.test(tool) && counts.filter((count) => count > SAME_CALLS).length >= 2,
  );
  const others = spreadOf(
    sessions.map(({ calls }) => {
      const own = calls.filter((traced) => !polled.some(([tool]) => tool === toolOf(traced)));
      return mostOf(own, wholeCallOf);
    }),
  );
  const quota = Math.max(SAME_CALLS, withHeadroom(others, STEPS.same));
  const quotas = polled.map(([tool, counts]) => [tool, repeatedCalls(spreadOf(counts))] as const);
  const limit: LimitInput = {
    name: "same-call-again",
    per: ["session", "tool", "args"],
    quota,
    ...(quotas.length === 0 ? {} : { quotas: { tool: Object.fromEntries(quotas) } }),
    resetAfterIdle: "24h",
  };
  const why = [atMost(others, "calls", `with the same arguments ${WHERE}`), `${headroom(others, quota)}: ${quota}.`];
  for (const [tool, counts] of polled) {
    why.push(
      `Calls of ${tool} are repeated by design.`,
      atMost(spreadOf(counts), "equal calls", `${WHERE} and uses it`),
    );
  }
  return { limit, why };
}

/** How often a session may repeat a call of a tool that is repeated by design: one more wait than ever is no runaway. */
function repeatedCalls(counts: Spread): number {
  return Math.max(2 * counts.max, withHeadroom(counts, STEPS.same));
}

/** How often each session that uses a tool makes its most frequent call. */
function equalCalls(sessions: readonly TracedSession[], tool: string): number[] {
  const counts = sessions.map(({ calls }) =>
    mostOf(
      calls.filter((traced) => toolOf(traced) === tool),
      wholeCallOf,
    ),
  );
  return counts.filter((count) => count > 0);
}

/** Calls that fail one after the other, where the trace says which failed. */
function failures(sessions: readonly TracedSession[]): SuggestedLimit[] {
  if (!sessions.some(({ calls }) => calls.some(({ hasFailed }) => hasFailed !== null))) return [];
  const inRow = spreadOf(sessions.map(({ calls }) => longestFailure(calls)));
  const quota = Math.max(FAILURES, inRow.max + MORE_FAILURES, withHeadroom(inRow, STEPS.errors));
  return [
    {
      limit: {
        name: "failures-in-a-row",
        per: ["session", "turn"],
        algorithm: "streak",
        of: "errors",
        quota,
        resetAfterIdle: "1h",
      },
      why: [atMost(inRow, "failures", `one after the other ${WHERE}`), `After ${quota} of them the turn is denied.`],
    },
  ];
}

/** Tokens, money and other units that the calls of the trace cost. */
function spending(sessions: readonly TracedSession[]): SuggestedLimit[] {
  const units = new Set(sessions.flatMap(({ calls }) => calls.flatMap(({ call }) => Object.keys(call.cost ?? {}))));
  units.delete("calls");
  return [...units].flatMap((unit): SuggestedLimit[] => {
    const spent = spreadOf(sessions.map(({ calls }) => unitsOf(calls, unit)));
    const quota = withHeadroom(spent, STEPS.units);
    if (quota === 0) return [];
    const name = `${unit.replaceAll("_", "-")}-per-session`;
    const why = [atMost(spent, unit, WHERE), `${headroom(spent, quota)}: ${amount(quota, unit)}.`];
    return [{ limit: { name, per: ["session"], unit, quota, resetAfterIdle: "24h" }, why }];
  });
}

function atMost({ median, ninth, max }: Spread, unit: string, where: string): string {
  return `At most ${amount(max, unit)} ${where}; half have at most ${said(median, unit)}, nine of ten at most ${said(ninth, unit)}.`;
}

/** A number without its unit; money as it is. */
function said(units: number, unit: string): string {
  return isMoney(unit) ? amount(units, unit) : grouped(units);
}

function headroom({ max }: Spread, quota: number): string {
  return `Headroom ${max === 0 ? quota : `times ${Number((quota / max).toFixed(2))}`}`;
}
