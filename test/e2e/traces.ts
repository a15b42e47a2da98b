// Traces for the tests: a seeded synthetic one, and the plain sequential count that replays are compared with.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface TraceLine {
  readonly session: string;
  readonly turn: number;
  readonly tool: string;
}

/** Calls as agents make them: many sessions, some tools called again and again within a turn. */
export function syntheticTrace(seed: number, sessions: number): TraceLine[] {
  let state = seed;
  const random = (below: number) => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
  const tools = ["search", "get_user", "book", "think", "calculate"];
  return Array.from({ length: sessions }, (_, s) =>
    Array.from({ length: 1 + random(4) }, (_, turn) => {
      const favourite = random(tools.length);
      return Array.from({ length: random(9) }, () => ({
        session: `session-${s}`,
        turn,
        tool: tools[random(3) > 0 ? favourite : random(tools.length)] ?? "search",
      }));
    }).flat(),
  ).flat();
}

/**
 * What a policy of a quota per turn and tool, and one per session and tool, lets through: counted one by one. Where both
 * deny, the session's binds: it ends later.
 */
export function countSequentially(trace: readonly TraceLine[], perTurn: number, perSession: number) {
  const counts = new Map<string, number>();
  const count = (...parts: unknown[]) => counts.get(JSON.stringify(parts)) ?? 0;
  const result = { allowed: 0, denied: 0, byTurn: 0, bySession: 0 };
  for (const { session, turn, tool } of trace) {
    const isSessionFull = count(session, tool) >= perSession;
    if (isSessionFull || count(session, turn, tool) >= perTurn) {
      result.denied++;
      if (isSessionFull) result.bySession++;
      else result.byTurn++;
      continue;
    }
    result.allowed++;
    for (const parts of [
      [session, turn, tool],
      [session, tool],
    ])
      counts.set(JSON.stringify(parts), count(...parts) + 1);
  }
  return result;
}

/** The traces in the folder that TOLLGATE_TRACES names: real ones, which are no part of this repository. */
export function realTraces(): string[] {
  const folder = process.env.TOLLGATE_TRACES;
  if (folder === undefined || folder === "") return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => join(folder, name));
}

export function readTrace(file: string): TraceLine[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as TraceLine);
}
