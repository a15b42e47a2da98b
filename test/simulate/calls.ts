// Calls as agents make them, drawn from a seed: with times, ends, arguments and costs.

import type { TracedCall } from "../../src/simulate/traced-call.ts";
import { Random } from "../simulation/random.ts";

export const START_MS = Date.UTC(2030, 9, 26, 21, 59, 30);

/**
 * A trace in the order of its times. Several calls come at the same instant.
 *
 * @param unit of their costs; `null`: they have none
 */
export function randomCalls(seed: string, count: number, unit: string | null = null): TracedCall[] {
  const random = new Random(seed);
  let atMs = START_MS;
  return Array.from({ length: count }, (_, i): TracedCall => {
    // The first three after a day, so that windows of a calendar end.
    atMs += random.pick([0, 0, 1, 500, 3_000, 11_000, i % 97 === 96 ? 86_400_000 : 40_000]);
    const hasFailed = random.pick([null, false, true, true]);
    const cost = unit !== null && random.chance(0.6) ? { cost: { [unit]: random.whole(0, 60) } } : {};
    return {
      line: i + 1,
      call: {
        tool: random.pick(["search", "read", "book"]),
        session: `s${random.whole(1, 3)}`,
        turn: random.whole(1, 3),
        ...(random.chance(0.8) ? { user: random.pick(["ann", "bob"]) } : {}),
        ...(random.chance(0.5) ? { args: { page: random.whole(1, 3), at: random.pick([1, 1.0]) } } : {}),
        ...cost,
      },
      atMs,
      durationMs: random.pick([0, 0, 0, 20, 2_000, 15_000]),
      hasFailed,
      result: random.pick([undefined, "done", { rows: [] }, { rows: [1] }]),
      isOk: null,
    };
  });
}

/** Of the same calls: no time passes, and each ends at once. */
export function withoutTime(calls: readonly TracedCall[]): TracedCall[] {
  return calls.map((traced) => ({ ...traced, atMs: null, durationMs: 0 }));
}
