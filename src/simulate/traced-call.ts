// A call of a trace, whatever it was read from.

import type { Call } from "../kernel/call.ts";

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
  /** Whether its session succeeded; `null`: unknown. */
  readonly isOk: boolean | null;
}
