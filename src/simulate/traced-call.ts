// A call of a trace, whatever it was read from.

import type { Call } from "../kernel/call.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";

export interface TracedCall {
  /** Where it stands in its source: a line, or the number of a span or an entry, from 1. */
  readonly line: number;
  /** The session, turn, tool and other dimensions, cost and arguments. */
  readonly call: Call;
  /** When it began, epoch ms; `null`: unknown. */
  readonly atMs: number | null;
  /** How long it ran. */
  readonly durationMs: number;
  /** Whether it failed; `null`: unknown. */
  readonly hasFailed: boolean | null;
  /** What it returned; `undefined`: unknown. */
  readonly result: unknown;
  /** Whether its session succeeded; `null`: unknown. */
  readonly isOk: boolean | null;
}

/** The call without dimensions that a policy does not know: a limiter would refuse them. */
export function knownPart({ callWords }: CompiledPolicy, call: Call): Call {
  for (const word in call) if (!callWords.has(word)) return withoutUnknown(callWords, call) as unknown as Call;
  return call;
}

/** The call without costs in units that a policy does not count. */
export function countedPart({ units }: CompiledPolicy, call: Call): Call {
  if (call.cost === undefined) return call;
  for (const unit in call.cost) {
    if (!units.has(unit)) return { ...call, cost: withoutUnknown(units, call.cost) as Record<string, number> };
  }
  return call;
}

function withoutUnknown(known: ReadonlySet<string>, named: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(named).filter(([name]) => known.has(name)));
}
