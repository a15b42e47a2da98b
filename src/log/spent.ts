// What calls spend of units such as money and tokens. Calls themselves are counted without it, and time passes by itself.

import type { LoggedCall } from "../limiter.ts";

/** Units that every call has, or that no call spends. */
const NOT_SPENT: readonly string[] = ["calls", "ms"];

export interface Spent {
  readonly unit: string;
  units: number;
}

const NOTHING: readonly Spent[] = [];

/** Whether a call was charged. */
export function isBooked({ verb, decision: { allowed, replayed } }: LoggedCall): boolean {
  return (allowed || verb === "record") && !replayed;
}

/**
 * The units that limits of a call count, and what it spent of each: once, however many limits count it, and the most where they do not
 * agree.
 */
export function spentBy(decided: LoggedCall): readonly Spent[] {
  let spent: Spent[] | null = null;
  const isCharged = isBooked(decided);
  for (const { unit, cost } of decided.decision.verdicts) {
    if (NOT_SPENT.includes(unit)) continue;
    spent ??= [];
    const units = isCharged ? cost : 0;
    const known = spent.find((each) => each.unit === unit);
    if (known === undefined) spent.push({ unit, units });
    else known.units = Math.max(known.units, units);
  }
  return spent ?? NOTHING;
}
