// Plays the calls of a decision log under two policies: what each denies, and where they differ.

import type { Judgement } from "../kernel/answer.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { amount } from "../kernel/words.ts";
import { Comparing, type Difference } from "./comparison.ts";
import { CANNOT_REACT, notesOn } from "./notes.ts";
import { simulate, timelineOf } from "./simulate.ts";
import { type SimulationResult, Tally } from "./tally.ts";
import type { TracedCall } from "./traced-call.ts";

const NO_CHANGES =
  "Grants and resets of this time are not played, so both policies may deny calls that passed because of a grant.";
const LEAVES_MORE =
  "A limit may allow a call newly although it did not change: a call that is denied leaves more for later ones.";
const BEGINS_EMPTY = "Both policies begin with empty buckets: what was used before this time is not counted.";

/** @param policies the one that is tried, and the one that it is compared with */
export async function playLog(
  [policy, against]: readonly [CompiledPolicy, CompiledPolicy],
  recorded: readonly TracedCall[],
) {
  const timeline = timelineOf(recorded);
  const { calls } = timeline;
  const [tried, other] = [new Tally(policy), new Tally(against)];
  const comparing = new Comparing();
  const refused = new Refused();
  const add = (traced: TracedCall, [first, second]: readonly Judgement[]) => {
    if (first === undefined || second === undefined) return;
    const nthOfSession = tried.add(traced, first);
    other.add(traced, second);
    comparing.add(traced, nthOfSession, first, second);
  };
  await simulate([policy, against], calls, add, "call", (error) => refused.add(error));
  const [result, compared] = [tried.result(), other.result()];
  const { onlyFirst, onlySecond, deniedByBoth, allowedByBoth } = comparing.result();
  return {
    read: {
      calls: result.calls,
      sessions: result.sessions,
      firstMs: calls[0]?.atMs ?? null,
      lastMs: calls.at(-1)?.atMs ?? null,
    },
    policy: sumOf(policy, result),
    against: sumOf(against, compared),
    newlyDenied: shown(onlyFirst),
    newlyAllowed: shown(onlySecond),
    deniedByBoth,
    allowedByBoth,
    notes: [
      ...refused.notes(),
      ...notesOn([policy, against], timeline, "The log"),
      BEGINS_EMPTY,
      NO_CHANGES,
      LEAVES_MORE,
      CANNOT_REACT,
    ],
  };
}

function sumOf({ version }: CompiledPolicy, result: SimulationResult) {
  const { allowed, denied, sessionsDenied, deniedBy, exceeded } = result;
  return { version, allowed, denied, sessionsDenied, deniedBy, exceeded };
}

function shown({ calls, deniedBy, examples }: Difference) {
  return {
    calls,
    deniedBy,
    examples: examples.map(({ atMs, nthOfSession, limit, call: { tool = "", session = null, turn = null } }) => {
      return { atMs: atMs ?? 0, tool, session, turn, nthOfSession, limit };
    }),
  };
}

/** Calls that a policy refuses, such as those that lack a dimension which it needs. */
class Refused {
  #calls = 0;
  #first = "";

  add(error: Error): void {
    if (this.#calls++ === 0) this.#first = error.message;
  }

  notes(): string[] {
    if (this.#calls === 0) return [];
    return [`${amount(this.#calls, "calls")} left out, because one of the policies refuses them: ${this.#first}`];
  }
}
