// Traces of several kinds of agents, drawn from a seed: what is suggested must not be made for one of them.

import type { TracedCall } from "../../src/simulate/traced-call.ts";
import { Random } from "../simulation/random.ts";

interface Step {
  readonly turn: number;
  readonly tool: string;
  readonly args: unknown;
  readonly hasFailed?: boolean;
}

/** A number of calls: most are few, some are many. */
function few(random: Random, mean: number, most: number): number {
  return Math.min(most, Math.floor(-Math.log(1 - random.next()) * mean));
}

/** How one session of each kind goes on. */
export const DOMAINS: Readonly<Record<string, (random: Random) => readonly Step[]>> = {
  /** Customer service: many turns, few calls in each. */
  service: (random) =>
    turns(random, 2, 8, (turn) =>
      Array.from({ length: few(random, 1.6, 12) }, () => ({
        turn,
        tool: random.pick(["find", "get_order", "get_order", "get_product", "modify", "calculate"]),
        args: { id: random.whole(1, 25) },
      })),
    ),
  /** Programming: long turns, tests that are run again, and calls that fail. */
  programming: (random) =>
    turns(random, 1, 4, (turn) =>
      Array.from({ length: 2 + few(random, 9, 60) }, () => {
        const tool = random.pick(["Read", "Read", "Edit", "Bash", "Bash", "Grep"]);
        const args = tool === "Bash" && random.chance(0.2) ? { command: "npm test" } : { file: random.whole(1, 1e6) };
        return { turn, tool, args, hasFailed: random.chance(0.15) };
      }),
    ),
  /** Jobs that are waited for: the same call until it is done. */
  jobs: (random) =>
    turns(random, 1, 4, (turn) => {
      const job = { job: random.whole(1, 1e6) };
      const waits = Array.from({ length: 1 + few(random, 4, 30) }, () => ({ turn, tool: "status", args: job }));
      return [{ turn, tool: "start", args: job }, ...waits, { turn, tool: "result", args: job }];
    }),
  /** Research: many searches at once. */
  research: (random) =>
    turns(random, 1, 5, (turn) =>
      Array.from({ length: random.chance(0.5) ? random.whole(3, 15) : 1 }, () => {
        return { turn, tool: random.pick(["search", "search", "open"]), args: { query: random.whole(1, 1e6) } };
      }),
    ),
  /** A pipeline: every session is the same. */
  pipeline: (random) =>
    Array.from({ length: 6 }, (_, i) => ({ turn: 1, tool: `step-${i}`, args: { id: random.whole(1, 1e6) } })),
};

function turns(random: Random, least: number, most: number, of: (turn: number) => readonly Step[]): readonly Step[] {
  return Array.from({ length: random.whole(least, most) }, (_, i) => of(i + 1)).flat();
}

/** Sessions of one kind, six of ten successful; those that are not are three times as long. */
export function domainTrace(domain: string, sessions: number, seed: string): TracedCall[] {
  const random = new Random(`${domain} ${seed}`);
  const calls: TracedCall[] = [];
  for (let session = 0; session < sessions; session++) {
    const isOk = random.chance(0.6);
    const make = DOMAINS[domain] ?? (() => []);
    const steps = isOk ? make(random) : [...make(random), ...make(random), ...make(random)];
    for (const { turn, tool, args, hasFailed } of steps) {
      const call = { session: `${domain}-${session}`, turn, tool, args };
      const line = calls.length + 1;
      calls.push({ line, call, atMs: null, durationMs: 0, hasFailed: hasFailed ?? null, result: undefined, isOk });
    }
  }
  return calls;
}
