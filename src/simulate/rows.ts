// Denied calls and sessions as rows of a table, for a terminal and for a page.

import { grouped } from "../kernel/words.ts";
import type { ShownCall, SimulationResult } from "./tally.ts";

export const SESSION_HEADING = ["session", "denied", "calls", "first at call", "turn", "tool", "by limit"] as const;
export const CALL_HEADING = ["session", "call", "turn", "tool", "by limit"] as const;

export function sessionRows({ deniedSessions }: SimulationResult, most: number): string[][] {
  return deniedSessions.slice(0, most).map(({ session, calls, denied, first }) => {
    return [session, grouped(denied), grouped(calls), ...placeOf(first)];
  });
}

export function callRows(calls: readonly ShownCall[]): string[][] {
  return calls.map((shown) => [shown.call.session ?? "-", ...placeOf(shown)]);
}

function placeOf({ nthOfSession, call, limit }: ShownCall): string[] {
  return [grouped(nthOfSession), call.turn ?? "-", call.tool ?? "-", limit];
}
