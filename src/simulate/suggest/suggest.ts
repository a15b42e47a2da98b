// A policy for a trace: which sessions its quotas are learned from, how sure it is, and what it denies.

import type { Mode, PolicyInput } from "../../kernel/policy/input.ts";
import { compiledPolicy } from "../../kernel/policy/parse.ts";
import { MisuseError } from "../../kernel/errors.ts";
import { simulate } from "../simulate.ts";
import type { TracedCall } from "../traced-call.ts";
import { spreadOf } from "./headroom.ts";
import { limitsFrom, type SuggestedLimit } from "./limits.ts";
import { sessionsOf, type TracedSession } from "./sessions.ts";

/** With fewer sessions than this, a suggestion only warns. */
export const ENOUGH_SESSIONS = 10;
/** Of a trace that does not say which sessions succeeded, sessions beyond the median by so many excesses are left out. */
const OUTLIER_EXCESSES = 6;

export interface Suggestion {
  readonly limits: readonly SuggestedLimit[];
  /** What the limits do with calls that do not fit. */
  readonly mode: Mode;
  readonly learnedFrom: number;
  readonly sessions: number;
  /** Whether the trace says which sessions succeeded. */
  readonly isOutcomeKnown: boolean;
  /** Sessions that were left out because they are much longer than the others. */
  readonly outliers: readonly string[];
}

/** What a suggestion does with the trace that it was made from, by limit. */
export interface Effects {
  readonly ok: Effect;
  readonly others: Effect;
}

export interface Effect {
  readonly calls: number;
  readonly deniedBy: ReadonlyMap<string, number>;
}

/** @throws MisuseError `invalid-option` for a trace that nothing can be learned from */
export function suggest(calls: readonly TracedCall[], source: string): Suggestion {
  const sessions = sessionsOf(calls);
  const isOutcomeKnown = sessions.some(({ isOk }) => isOk !== null);
  const { learned, outliers } = isOutcomeKnown
    ? { learned: sessions.filter(({ isOk }) => isOk === true), outliers: [] }
    : withoutOutliers(sessions);
  if (learned.length === 0) {
    const expected = "a trace with calls of a session that succeeded";
    const got = sessions.length === 0 ? "no call" : "only sessions with ok: false";
    throw new MisuseError("invalid-option", { at: source, path: "trace", expected, got });
  }
  const mode = !isOutcomeKnown ? "shadow" : learned.length < ENOUGH_SESSIONS ? "warn" : "enforce";
  return {
    limits: limitsFrom(learned),
    mode,
    learnedFrom: learned.length,
    sessions: sessions.length,
    isOutcomeKnown,
    outliers,
  };
}

/** The suggestion as a policy. */
export function policyOf({ limits, mode }: Pick<Suggestion, "limits" | "mode">): PolicyInput {
  const defaults = mode === "enforce" ? {} : { defaults: { mode } };
  return { version: 1, partition: "session", ...defaults, limits: limits.map(({ limit }) => limit) };
}

/** What the suggestion would deny in a trace, were it enforced. */
export async function effectsOn(suggestion: Suggestion, calls: readonly TracedCall[]): Promise<Effects> {
  const policy = compiledPolicy(policyOf({ ...suggestion, mode: "enforce" }));
  const okSessions = new Set(sessionsOf(calls).flatMap(({ name, isOk }) => (isOk === true ? [name] : [])));
  const counts = { ok: { calls: 0, deniedBy: new Map() }, others: { calls: 0, deniedBy: new Map() } };
  await simulate([policy], calls, ({ call }, [decision]) => {
    const effect = okSessions.has(String(call.session ?? "")) ? counts.ok : counts.others;
    effect.calls++;
    const by = decision?.deniedBy ?? null;
    if (by !== null) effect.deniedBy.set(by, (effect.deniedBy.get(by) ?? 0) + 1);
  });
  return counts;
}

function withoutOutliers(sessions: readonly TracedSession[]) {
  const { median, excess } = spreadOf(sessions.map(({ calls }) => calls.length));
  const most = median + OUTLIER_EXCESSES * Math.max(1, excess);
  const isOutlier = ({ calls }: TracedSession) => calls.length > most;
  return {
    learned: sessions.filter((session) => !isOutlier(session)),
    outliers: sessions.filter(isOutlier).map(({ name }) => name),
  };
}
