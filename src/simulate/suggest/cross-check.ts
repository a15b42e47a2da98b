// How well suggestions fit sessions that they have not seen: policies of random halves of the sessions, played on the other halves.

import { compiledPolicy } from "../../kernel/policy/parse.ts";
import { simulate } from "../simulate.ts";
import type { TracedCall } from "../traced-call.ts";
import { sessionsOf, type TracedSession } from "./sessions.ts";
import { ENOUGH_SESSIONS, policyOf, suggest } from "./suggest.ts";

const HALVES = 10;
/** Most calls that are played for it. */
const MAX_PLAYED = 500_000;

export interface CrossCheck {
  readonly halves: number;
  /** Calls of unseen sessions that succeeded, and how many were denied. */
  readonly calls: number;
  readonly denied: number;
}

/** `null` where there are too few sessions that succeeded, or too many calls. */
export async function crossCheck(calls: readonly TracedCall[], source: string): Promise<CrossCheck | null> {
  const sessions = sessionsOf(calls).filter(({ isOk }) => isOk === true);
  if (sessions.length < 2 * ENOUGH_SESSIONS || calls.length * HALVES > MAX_PLAYED) return null;
  const sum = { halves: HALVES, calls: 0, denied: 0 };
  for (let half = 0; half < HALVES; half++) {
    const seen = new Set(drawn(sessions, half));
    const { limits } = suggest(
      [...seen].flatMap((session) => session.calls),
      source,
    );
    const policy = compiledPolicy(policyOf({ limits, mode: "enforce" }));
    const unseen = sessions.filter((session) => !seen.has(session)).flatMap((session) => session.calls);
    await simulate([policy], unseen, (_, [decision]) => {
      sum.calls++;
      if (decision?.allowed === false) sum.denied++;
    });
  }
  return sum;
}

/** Half of the sessions, the same ones in each run. */
function drawn(sessions: readonly TracedSession[], seed: number): readonly TracedSession[] {
  let state = seed + 1;
  const order = sessions.map((session) => {
    // A linear congruential generator: what is drawn has to be mixed, not hard to guess.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return { session, place: state };
  });
  const mixed = order.sort((one, other) => one.place - other.place).map(({ session }) => session);
  return mixed.slice(0, mixed.length >> 1);
}
