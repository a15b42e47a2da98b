// What a service and the thread of a simulation say to each other.

import type { Simulated } from "../http/simulation-bodies.ts";
import type { Fault, MisuseCode } from "../kernel/errors.ts";
import type { RecordedCall } from "../simulate/readers/decision-log.ts";

/** What the thread begins with: the texts of the policies. */
export interface SimulationSources {
  readonly source: string;
  readonly against: string;
}

/** Entries as the log has them, the newest first; `isCut` when there are no more of them. */
export type ToSimulation = { readonly entries: readonly RecordedCall[] } | { readonly isCut: boolean };

/** What a simulation comes to. */
export type Played = Omit<Simulated, "fromMs" | "toMs">;

export type FromSimulation =
  | { readonly type: "ready" }
  | { readonly type: "misuse"; readonly code: MisuseCode; readonly faults: readonly Fault[] }
  | { readonly type: "played"; readonly played: Played };
