// The sessions of a trace, and what is counted in each of them.

import { argsText, KnownArgs } from "../../kernel/args.ts";
import type { TracedCall } from "../traced-call.ts";

export interface TracedSession {
  readonly name: string;
  readonly calls: readonly TracedCall[];
  /** Whether it reached its goal; `null`: the trace does not say. */
  readonly isOk: boolean | null;
}

export function sessionsOf(calls: readonly TracedCall[]): readonly TracedSession[] {
  const groups = Map.groupBy(calls, ({ call }) => String(call.session ?? ""));
  return [...groups].map(([name, own]) => ({ name, calls: own, isOk: own.findLast(isSaid)?.isOk ?? null }));
}

function isSaid({ isOk }: TracedCall): boolean {
  return isOk !== null;
}

/** The most calls of a session that are the same by what `keyOf` says. */
export function mostOf(calls: readonly TracedCall[], keyOf: (traced: TracedCall) => string): number {
  const counts = new Map<string, number>();
  let most = 0;
  for (const traced of calls) {
    const key = keyOf(traced);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    most = Math.max(most, count);
  }
  return most;
}

export function toolOf({ call }: TracedCall): string {
  return String(call.tool);
}

/** The tool and its arguments. */
export function wholeCallOf({ call }: TracedCall): string {
  return `${call.tool} ${KnownArgs.is(call.args) ? call.args.digest : argsText(call.args)}`;
}

/** The most calls in a row that failed. */
export function longestFailure(calls: readonly TracedCall[]): number {
  let [length, longest] = [0, 0];
  for (const { hasFailed } of calls) {
    length = hasFailed === true ? length + 1 : 0;
    longest = Math.max(longest, length);
  }
  return longest;
}

export function unitsOf(calls: readonly TracedCall[], unit: string): number {
  return calls.reduce((sum, { call }) => sum + (call.cost?.[unit] ?? 0), 0);
}
