// The keys of a log in Redis. All have one tag, so that a cluster keeps them on one server, and a script may name any of them.

export const DEFAULT_PREFIX = "tollgate:log";

export interface LogKeys {
  readonly meta: string;
  readonly entries: string;
  readonly ids: string;
  readonly sessions: string;
  readonly sessionTimes: string;
  readonly near: string;
  readonly nearFills: string;
  readonly nearTimes: string;
  readonly policies: string;
  readonly policyTimes: string;
  /** How many rows each minute has. */
  readonly rows: string;
  writer(instance: string): string;
  counts(minute: number): string;
  tops(minute: number): string;
}

export function keysIn(prefix: string): LogKeys {
  const at = (name: string) => `{${prefix}}:${name}`;
  return {
    meta: at("meta"),
    entries: at("entries"),
    ids: at("ids"),
    sessions: at("sessions"),
    sessionTimes: at("session-times"),
    near: at("near"),
    nearFills: at("near-fills"),
    nearTimes: at("near-times"),
    policies: at("policies"),
    policyTimes: at("policy-times"),
    rows: at("rows"),
    writer: (instance) => at(`writer:${instance}`),
    counts: (minute) => at(`counts:${minute}`),
    tops: (minute) => at(`tops:${minute}`),
  };
}
