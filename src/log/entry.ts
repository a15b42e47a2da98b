// What a decision log has: decisions, and events of the limiter on the same line of time.

import type { Mode } from "../kernel/policy/input.ts";

/** How one limit judged a call. */
export interface LoggedVerdict {
  readonly limit: string;
  readonly unit: string;
  readonly mode: Mode;
  readonly allowed: boolean;
  readonly exceeded: boolean;
  readonly cost: number;
  /** `null`: unlimited, as for what follows. */
  readonly quota: number | null;
  /** With the units that were granted. */
  readonly capacity: number | null;
  readonly granted: number;
  /** Units left before the call, and after it. */
  readonly remainingBefore: number | null;
  readonly remaining: number | null;
  readonly windowMs: number | null;
  readonly resetAfterMs: number;
  readonly retryAfterMs: number | null;
  /** The limit's dimensions: whose bucket it was. */
  readonly per: readonly string[];
}

interface Entry {
  /** 26 characters that sort by time. */
  readonly id: string;
  /** Epoch ms: of a decision the store's time, of an event this machine's. */
  readonly atMs: number;
  /** The process that wrote it. */
  readonly instance: string;
  /** The version of the policy in force. */
  readonly policy: string;
}

/** A call, and how it was decided. */
export interface DecisionEntry extends Entry {
  readonly kind: "decision";
  readonly verb: "consume" | "record" | "reserve" | "run";
  readonly tool: string;
  /** The call's other dimensions, 200 characters of each at most. */
  readonly dimensions: Readonly<Record<string, string>>;
  /** A hash of the arguments, salted by the log; `null`: there are none, or they are too large. */
  readonly argsHash: string | null;
  readonly allowed: boolean;
  readonly deniedBy: string | null;
  readonly retryAfterMs: number | null;
  /** Of a denial: what programs and people were told. */
  readonly detail: string | null;
  readonly verdicts: readonly LoggedVerdict[];
  /** Why it was decided without the store; `null`: the store decided. */
  readonly degraded: string | null;
  readonly replayed: boolean;
  /** What asked: `library`, `http`, `envoy`, or the name of an adapter. */
  readonly via: string;
  /**
   * How long the limiter took to decide, ms with three digits: from the call of its method to the decision, with the store. What the
   * tool takes is not in it. `null`: the call could wait (`maxWaitMs`).
   */
  readonly durationMs: number | null;
  /** How many decisions it stands for: 1, or more where the log keeps a sample. */
  readonly weight: number;
}

/** Something else that happened: a grant, a reset, a reload, an outage. */
export interface EventEntry extends Entry {
  readonly kind: "event";
  /** As `LimiterEvent` names it, or `log.started`, `log.dropped`. */
  readonly type: string;
  readonly limit: string | null;
  /** Whose bucket changed; empty for other events. */
  readonly dimensions: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, unknown>>;
  /** Who or what did it, such as `key:k1`, `cli:ann` or `file:policy.yaml`; `null`: not known. */
  readonly actor: string | null;
  readonly reason: string | null;
}

export type LogEntry = DecisionEntry | EventEntry;
