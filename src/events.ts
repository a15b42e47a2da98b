// Every event by its name: when it happens, its fields, what to do, and who gets it besides `onEvent`. Server-sent events, the
// log of the service, docs/events.md and the rows of docs/troubleshooting.md follow this table.

import type { LimiterEvent } from "./limiter.ts";

/** An event with a name. */
export type EventOf<Type extends LimiterEvent["type"]> = Extract<LimiterEvent, { readonly type: Type }>;
type FieldsOf<Type extends LimiterEvent["type"]> = Exclude<keyof EventOf<Type> & string, "type">;

/** What is known of an event. Texts are sentences without a full stop; code stands in backticks. */
export interface EventKind<Field extends string = string> {
  readonly when: string;
  /** What to do. Absent: nothing. */
  readonly advice?: string;
  /** Its fields beside `type`. */
  readonly fields: { readonly [Name in Field]: string };
  /** The fields of its server-sent event. Absent: there is none. */
  readonly stream?: readonly string[];
  /** The line of the service's log. Absent: there is none. */
  readonly log?: { readonly level: "info" | "warn" | "error"; readonly message: string };
}

const CALL = "the call";
const HOLD_ID = "its hold";
const USAGE = "how the bucket stands now";
const NOTE = {
  reason: "what was given as the reason, else `null`",
  actor: "who or what did it, such as `key:k1`; `null`: not known",
};

/** What `onEvent` gets. */
export const EVENTS = {
  "store.unreachable": {
    when: "The store does not answer as it should; from now on this instance decides by itself. Only with failover: Redis, Postgres, a client with `failover`; elsewhere calls throw `StoreError`",
    advice: "bring the store back; `error` says why",
    fields: { error: "a `StoreError`" },
    stream: ["code"],
    log: { level: "error", message: "the store is unreachable" },
  },
  "store.recovered": {
    when: "The store decides again",
    advice: "nothing; with `dropped`, see [what to alert on](metrics.md#what-to-alert-on)",
    fields: {
      awayMs: "how long it was away",
      booked: "requests that were booked afterwards",
      dropped: "requests that could not be booked",
      raised: "buckets whose use was given back, because the store had lost it",
    },
    stream: ["awayMs", "booked", "dropped", "raised"],
    log: { level: "info", message: "the store has recovered" },
  },
  "store.misconfigured": {
    when: "The store is set up so that it may break a promise; emitted once, and again when that changes",
    advice: "see the text of `check.problem` under [the store](troubleshooting.md#the-store)",
    fields: { check: "`name`, `value`, `problem`" },
    stream: ["name", "value", "problem"],
    log: { level: "warn", message: "the store may break a promise" },
  },
  "store.check_failed": {
    when: "The store answers, and how it is set up could not be read",
    advice: "harmless for calls; see `error`, and run `tollgate doctor`",
    fields: { error: "what was thrown" },
    stream: ["code"],
    log: { level: "warn", message: "the store's setup is not known" },
  },
  "failover.no_share": {
    when: "More instances share these limits than they have units: while the store is away, some have no share",
    advice: "a larger quota, fewer instances, or `onStoreError: local`",
    fields: { instances: "how many there are", limits: "the names of the limits" },
    log: { level: "warn", message: "more instances than a quota has units" },
  },
  "failover.lost": {
    when: "The limiter was closed while the store was away, and bookings are lost that no journal has",
    advice: "a longer `close({ withinMs })`, or a [journal](failover.md#a-process-that-dies-during-the-outage)",
    fields: { bookings: "how many" },
    log: { level: "error", message: "closed with bookings that are lost" },
  },
  "failover.refused": {
    when: "The store refuses a batch for good that it did not answer before: its bookings are lost, and its refunds are not made",
    advice: "see `error`",
    fields: {
      bookings: "how many",
      refunds: "how many calls were denied, and stay charged if the store had booked them",
      error: "a `StoreError`",
    },
    log: { level: "error", message: "the store refuses bookings or refunds for good" },
  },
  "hold.lost": {
    when: "A hold of `run` could not be extended, and others may take what it held; the function goes on",
    advice: "a longer `lease`; look for a blocked event loop",
    fields: { call: CALL, holdId: HOLD_ID, error: "what was thrown, or `null` when the hold had expired" },
    log: { level: "warn", message: "a hold could not be extended" },
  },
  "hold.unsettled": {
    when: "The end of a call, or of its wait, could not be booked; its hold expires as `onExpiry` says",
    advice: "see `error`; what the function returned is not lost",
    fields: { call: CALL, holdId: HOLD_ID, error: "what was thrown" },
    log: { level: "warn", message: "a hold could not be settled" },
  },
  "hold.unknown": {
    when: "A call was settled whose hold is not known: another call's, one that ended over ten minutes ago, or of a bucket that was reset; its usage was booked anyway",
    advice:
      "settle once, in time, and with the tool and the dimensions of the call; look for a caller that makes up ids",
    fields: {
      call: CALL,
      holdId: "the hold that was named",
      booked: "what was booked, by unit: what was named, and of other units what the call is priced at",
    },
    log: { level: "warn", message: "a call was settled whose hold is not known" },
  },
  "hold.limit_reached": {
    when: "A call has run for `maxHold`, or its stream is not read: its estimate is charged, and its hold has ended",
    advice: "end such calls, or raise `maxHold`",
    fields: {
      call: CALL,
      holdId: HOLD_ID,
      reason: "`max-hold`, `unread` (for a whole lease) or `reader-gone` (garbage collected)",
      heldMs: "how long it was held",
    },
    log: { level: "warn", message: "a call was held for as long as it may" },
  },
  "usage.unusable": {
    when: "A reported figure cannot be used; what was held is charged",
    advice: "report whole numbers in units that a limit counts",
    fields: {
      call: CALL,
      holdId: HOLD_ID,
      unit: "of the figure, or `null` when the usage as a whole is wrong",
      expected: "what was expected",
      got: "what was found",
    },
    log: { level: "warn", message: "usage that was settled cannot be used" },
  },
  "outcome.unreported": {
    when: "What came of a call was not counted by a streak",
    advice: "see `error`",
    fields: { call: CALL, error: "what was thrown" },
    log: { level: "warn", message: "the outcome of a call was not counted" },
  },
  "outcome.unusable": {
    when: "A result threw when it was read; streaks take all such results for equal",
    advice: "return plain data",
    fields: { call: CALL, error: "what was thrown" },
    log: { level: "warn", message: "the result of a call cannot be read" },
  },
  "quota.unresolved": {
    when: "Your function `quotas` failed, was late, or gave no quota; at most once in 10 s for each limit",
    advice:
      "see `error`: answer within a second, with a whole number, `unlimited` or `undefined`; the bucket keeps its last quota, else it has the `default`",
    fields: {
      limit: "its name",
      dimensions: "whose bucket it is",
      quota: "the quota that holds instead (`null`: unlimited)",
      failures: "failed questions about this limit since the last such event",
      error: "what was thrown",
    },
    log: { level: "warn", message: "a quota could not be looked up" },
  },
  "log.unreachable": {
    when: "The decision log cannot be written; once for each outage. Decisions go on, and entries wait in bounded memory",
    advice: "see `error`; what is lost is counted",
    fields: { storage: "where the log is kept, such as `sqlite`", error: "what was thrown" },
    log: { level: "error", message: "the decision log cannot be written" },
  },
  "log.recovered": {
    when: "The decision log can be written again",
    fields: {
      storage: "where the log is kept, such as `sqlite`",
      awayMs: "how long it could not",
      dropped: "entries that were lost meanwhile; counts are exact",
    },
    log: { level: "info", message: "the decision log is written again" },
  },
  "policy.reloaded": {
    when: "Another policy is in force",
    advice:
      "nothing; a limit in `restarted` may count from zero, because its algorithm is another one; one in `added` begins at zero, also where it is a [renamed](policy.md#changing-a-policy-that-is-in-use) one of `removed`",
    fields: {
      version: "names what the policy says",
      restarted: "names of limits",
      added: "names of limits",
      removed: "names of limits",
      ...NOTE,
    },
    stream: ["version", "restarted", "added", "removed", "reason", "actor"],
    log: { level: "info", message: "another policy is in force" },
  },
  "policy.refused": {
    when: "A policy that was to be taken is wrong, or its file cannot be read; the policy before it stays in force",
    advice: "see `error`: it names each fault and its line; correct the file",
    fields: { error: "what was thrown: a `MisuseError`" },
    stream: ["problem"],
    log: { level: "error", message: "the policy file is wrong: nothing has changed" },
  },
  "policy.differs": {
    when: "The policy that a client has for outages is not the service's; emitted once until the client is reloaded",
    advice: "give the client the service's policy",
    fields: {},
  },
  "bucket.reset": {
    when: "A bucket was emptied",
    fields: { before: "how it stood", after: USAGE, ...NOTE },
    stream: ["before", "after", "reason", "actor"],
  },
  "bucket.granted": {
    when: "Units were granted to a bucket; emitted also when the id had been granted before",
    fields: { grant: "`id`, `units`, `durationMs`", after: USAGE, ...NOTE },
    stream: ["grant", "after", "reason", "actor"],
  },
  "bucket.revoked": {
    when: "A grant was revoked",
    fields: { id: "of the grant", after: USAGE, ...NOTE },
    stream: ["id", "after", "reason", "actor"],
  },
} as const satisfies { readonly [Type in LimiterEvent["type"]]: EventKind<FieldsOf<Type>> };

/** What only listeners to the service get: in a program `onDecision` gets the decision itself. */
export const CALL_EVENTS = {
  "call.allowed": {
    when: "A call was allowed",
    fields: {},
    stream: ["dimensions", "decision"],
  },
  "call.denied": {
    when: "A call was denied",
    advice: "`decision.deniedBy` names the limit",
    fields: {},
    stream: ["dimensions", "decision"],
  },
} as const satisfies Readonly<Record<string, EventKind>>;

/** Events of a limiter that have a `stream`, or a `log`. */
type TypeWith<Key extends keyof EventKind> = {
  [Type in keyof typeof EVENTS]: Key extends keyof (typeof EVENTS)[Type] ? Type : never;
}[keyof typeof EVENTS];
export type StreamedType = TypeWith<"stream">;
export type LoggedType = TypeWith<"log">;

/** The data of a server-sent event. */
export type StreamedOf<Type extends StreamedType> = {
  readonly [Name in (typeof EVENTS)[Type]["stream"][number]]: unknown;
};

/** The names that listeners to the service can ask for. */
export const STREAMED: readonly string[] = Object.entries<EventKind>({ ...CALL_EVENTS, ...EVENTS })
  .filter(([, { stream }]) => stream !== undefined)
  .map(([name]) => name);
