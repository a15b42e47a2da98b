// Plays calls under one policy or several, in one pass.

import type { Judgement } from "../kernel/answer.ts";
import { MisuseError, withFaults } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { Simulation } from "./simulation.ts";
import type { TracedCall } from "./traced-call.ts";

/** When calls without a time are made. */
export const START_MS = Date.UTC(2030, 0, 1);

/** Calls in the order of their times, and whether they have any. */
export interface Timeline {
  readonly calls: readonly TracedCall[];
  readonly isTimed: boolean;
}

/**
 * Puts calls in order. A call without a time has that of the call before it in its source.
 *
 * @param everyMs how far apart calls are where none has a time. Default: all are made at one instant
 */
export function timelineOf(calls: readonly TracedCall[], everyMs = 0): Timeline {
  const first = calls.find(({ atMs }) => atMs !== null);
  if (first === undefined) {
    const spread = calls.map((call, i) => (everyMs === 0 ? call : { ...call, atMs: START_MS + i * everyMs }));
    return { calls: spread, isTimed: everyMs > 0 };
  }
  let atMs = first.atMs;
  const timed = calls.map((call) => {
    if (call.atMs === null) return { ...call, atMs };
    atMs = call.atMs;
    return call;
  });
  return { calls: timed.sort((one, other) => Number(one.atMs) - Number(other.atMs)), isTimed: true };
}

/**
 * Decides calls by each policy, on stores of their own.
 *
 * @param calls in the order of their times (`timelineOf`)
 * @param onCall gets each call with the decisions, in the order of the policies; the list is used again for the next call
 * @param source what faults name as the calls' origin
 * @param onRefused gets the fault of each call that a policy refuses, and the call is left out
 * @throws MisuseError for a call that a policy refuses, with its line, where there is no `onRefused`
 */
export async function simulate(
  policies: readonly CompiledPolicy[],
  calls: readonly TracedCall[],
  onCall: (traced: TracedCall, decisions: readonly Judgement[]) => void,
  source = "call",
  onRefused: (error: MisuseError) => void = (error) => {
    throw error;
  },
): Promise<void> {
  const startMs = calls[0]?.atMs ?? START_MS;
  const simulations = policies.map((policy) => new Simulation(policy, startMs));
  const decisions = new Array<Judgement>(policies.length);
  try {
    for (const simulation of simulations) await simulation.load();
    for (const traced of calls) {
      const atMs = traced.atMs ?? startMs;
      try {
        for (let i = 0; i < simulations.length; i++) {
          const decided = (simulations[i] as Simulation).decide(traced, atMs);
          decisions[i] = decided instanceof Promise ? await decided : decided;
        }
      } catch (error) {
        if (!MisuseError.isInstance(error)) throw error;
        onRefused(withFaults(error, (fault) => ({ ...fault, at: `${source}:${traced.line}` })));
        continue;
      }
      onCall(traced, decisions);
    }
  } finally {
    for (const simulation of simulations) await simulation.close();
  }
}
