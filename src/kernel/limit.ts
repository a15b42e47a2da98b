// A policy as calls are judged by it. compile.ts makes it of what is written.

import type { LimitSpec } from "./algorithms/registry.ts";
import type { Cost, Dimension } from "./call.ts";
import type { CalendarWindow } from "./policy/algorithm-policy.ts";
import type { Mode, OnError, OnMissing, OnStoreError } from "./policy/input.ts";
import type { NewHold } from "./request.ts";
import type { CallMatcher, TextOf } from "./selector.ts";
import type { ClaimedQuota, Policy, PolicyLimit } from "./policy/typed.ts";

/** What a bucket is allotted, and the numbers that its algorithm takes. */
export interface Allotment {
  /** `null`: unlimited. The bucket is charged, and the limit denies nothing. */
  readonly quota: number | null;
  /** Of an unlimited quota: the largest that all arithmetic is exact for. */
  readonly spec: LimitSpec;
  /** Most units that can be used at once. */
  readonly capacity: number;
  /** Whether there is anything to count. Not in an unlimited token bucket, which has no rate, nor in unlimited slots. */
  readonly isCounted: boolean;
  /** How calls bring other quotas; `null` where they cannot. */
  readonly claims: Claims | null;
  /** With fewer units left the model is told so; 0 for never. */
  readonly noticeBelow: number;
  /** How long its window is; `null` where it has no fixed length. */
  readonly windowMs: number | null;
}

/** What the policy knows of a tool. */
export interface Tool {
  /** What a call costs unless it says otherwise. */
  readonly cost: Cost | undefined;
  readonly group: string | undefined;
  /** Fields of its arguments that are left out. */
  readonly ignoreArgs: ReadonlySet<string>;
  /** What a failed call costs, where its limit does not say. */
  readonly onError: OnError | undefined;
}

/** One limit, ready to judge by. */
export interface Limit extends PolicyLimit {
  /** Whether calls have a price in its unit. Else a call counts for what it is, or when it was. */
  readonly isPriced: boolean;
  /** What every call takes, whatever it costs; `null` where its cost says it. */
  readonly callPrice: number | null;
  /** The dimension whose distinct values are counted; `null` where units are. */
  readonly distinct: Dimension | null;
  /** Which outcomes of calls it counts; `null` for none. */
  readonly reports: "errors" | "results" | null;
  /** How its windows lie, where that is a calendar's. */
  readonly calendar: CalendarWindow | null;
  readonly onMissing: OnMissing;
  /** Whether it denies, gives a notice where another would deny, or only counts and reports. */
  readonly mode: Mode;
  /** Whether an instance may borrow units ahead. */
  readonly isBorrowing: boolean;
  /** From which share of the quota on a call gets a notice (`null` for never), and in which words (`null`: the usual). */
  readonly notice: { readonly at: number | null; readonly message: string | null };
  /** What a denied model is told instead of the usual text. */
  readonly message: string | null;
  /** What applies while the store is unreachable. */
  readonly onStoreError: OnStoreError;
  /** Each dimension that decides whether it applies to a call, which bucket it charges, and what that is allotted. */
  readonly dimensions: ReadonlySet<Dimension>;
  /** The tools that it is for, by name or pattern: none where a list would not say it; `null` for all. */
  readonly tools: readonly string[] | null;
  /** Whether it is for calls of the model, and not for those of tools. */
  readonly isOfModel: boolean;
  /** Whether it is for a tool. */
  matches(tool: string): boolean;
  /** Which calls of these tools it is for, by other dimensions; `null` for all. */
  readonly selects: CallMatcher | null;
  /** Other allotments for some calls: the first that matches. */
  readonly overrides: readonly Allotment[];
  /** Finds the override that matches what a call says; `undefined` where none does. */
  readonly overrideFor: (textOf: TextOf) => Allotment | undefined;
  /** How long its holds live unless they are extended. */
  readonly leaseMs: number;
  readonly onExpiry: NewHold["onExpiry"];
  /** What a failed call costs here; `null` where the tool or the policy says it. */
  readonly onError: OnError | null;
  /** Other allotments by dimension and value: the first that has an entry for the call wins. */
  readonly quotas: readonly { readonly dimension: Dimension; readonly allotments: ReadonlyMap<string, Allotment> }[];
  /** For every other call. */
  readonly allotment: Allotment;
}

/** A policy as calls are judged by it. Each `Policy` is one at run time. */
export interface CompiledPolicy extends Policy {
  readonly partition: Dimension;
  readonly limits: readonly Limit[];
  /** What a call costs that `run` made and that failed, where neither its limit nor its tool says. */
  readonly onError: OnError;
  /** What the policy knows of a tool: its own entry, else that of the first pattern that matches. */
  readonly toolNamed: (tool: string) => Tool | undefined;
  /** Which shares of decisions a log keeps, 0 to 1. */
  readonly log: { readonly allowed: number; readonly denied: number };
  /** How long `run` keeps the hold of one call alive. */
  readonly maxHoldMs: number;
  /** The units that some limit counts. */
  readonly units: ReadonlySet<string>;
  /** The tools that the policy names. */
  readonly tools: readonly string[];
  /** The tools that any part of it names, in words that can stand in a text: what a model made up is not among them. */
  readonly namedTools: ReadonlySet<string>;
  /** The groups that tools are in. */
  readonly groups: ReadonlySet<string>;
  /** The dimensions that calls may have, the words that they may say, and what may name a bucket. */
  readonly dimensions: ReadonlySet<string>;
  readonly callWords: ReadonlySet<string>;
  readonly bucketWords: ReadonlySet<string>;
}

/** How a limit takes quotas that callers claim. */
export interface Claims {
  /** What a bucket is allotted for a claim: the claim itself, at most the `max` that the policy says. */
  allotmentFor(claim: ClaimedQuota): Allotment;
}
