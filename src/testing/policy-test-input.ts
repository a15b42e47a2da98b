// Tests of a policy as they are written: the types of YAML, JSON and `testPolicy`, and the descriptions in
// policy-test.schema.json. policy-test-schema.ts checks them.

import type { Dimensions } from "../kernel/call.ts";
import type { PolicyTestAmount, PolicyTestCost, PolicyTestUnits } from "./policy-test-amounts.ts";

/** One test of a policy: what a new limiter with this policy answers to calls, one after the other, in virtual time. */
export interface PolicyTest {
  /** What the test shows, 1 to 200 characters. */
  readonly name: string;
  /**
   * When the test begins: an instant from 1970 to 9999, such as `2026-03-01T12:00:00Z` or `2026-03-01T12:00[Europe/Berlin]`.
   * Default `2030-01-01T00:00:00Z`, a Tuesday.
   */
  readonly at?: string | undefined;
  /** Dimensions of all calls and buckets of the test, unless these have their own: `null` removes one. */
  readonly for?: Dimensions | undefined;
  /** 1 to 1,000 steps. They run one after the other, until the first one that fails. */
  readonly steps: readonly PolicyTestStep[];
}

/** One step of a test. */
export type PolicyTestStep =
  | PolicyTestCall
  | PolicyTestEnd
  | PolicyTestBucket
  | PolicyTestGrant
  | PolicyTestReset
  | {
      /** How long the time passes: `12h`. */
      readonly wait: string;
    }
  | {
      /** The instant until which the time passes. */
      readonly at: string;
    };

/** How a call ends. */
export interface PolicyTestEnding {
  /** What the call used, by unit. Units that are not named used their price. */
  readonly usage?: PolicyTestCost | undefined;
  /** Whether the call fails. Default `false`. */
  readonly error?: boolean | undefined;
  /** What the call returns, for limits that count equal results. Default: what no other call of the test returns. */
  readonly result?: unknown;
}

/** A call, which is run as `limiter.run` does, and ended at once unless it has a name. */
export interface PolicyTestCall extends PolicyTestEnding {
  /** The call as `limiter.run` takes it, or the name of its tool. */
  readonly call: string | { readonly [word: string]: unknown };
  /** The call's `cost`, by unit: `{ tokens: 4000 }`, `{ tokens: "50k" }`, `{ usd_micros: "$0.02" }`. */
  readonly cost?: PolicyTestCost | undefined;
  /** Quotas that the call brings, by limit, for limits with `quota: { from: call }`. */
  readonly quotas?: { readonly [limit: string]: PolicyTestUnits } | undefined;
  /**
   * How often it is made, 1 to 100,000. Each call must be as expected. In its texts `{n}` stands for the number of the call,
   * from 1. Default 1.
   */
  readonly times?: number | undefined;
  /** Keeps the call open, under this name, until a step `end` names it: 1 to 64 letters, digits, `_` or `-`. */
  readonly as?: string | undefined;
  /** Whether the call is `allowed` or `denied`. Default `allowed`. */
  readonly expect?: "allowed" | "denied" | undefined;
  /** The limit that denies the call; if several deny it, the one with the longest wait. */
  readonly by?: string | undefined;
  /** When a denied call can pass: `12h`, exactly or rounded up to whole seconds; `never` where waiting does not help. */
  readonly retryAfter?: string | undefined;
  /** Units left in the call's buckets after the step, by limit. */
  readonly remaining?: { readonly [limit: string]: PolicyTestUnits } | undefined;
  /** The limits that the call does not fit into, also those that only warn or count. */
  readonly exceeded?: readonly string[] | undefined;
  /** Whether the decision has a notice, or a part of its text. */
  readonly notice?: boolean | string | undefined;
  /** A part of the message of a denied call. */
  readonly message?: string | undefined;
}

/** The end of calls that a step kept open. */
export interface PolicyTestEnd extends PolicyTestEnding {
  /** The name under which a step kept calls open. */
  readonly end: string;
}

/** A bucket: its limit, and the dimensions that the limit is per. */
export interface PolicyTestBucketName {
  readonly limit: string;
  readonly [dimension: string]: unknown;
}

/** How a bucket stands. */
export interface PolicyTestBucket {
  /** The bucket: its limit, and the dimensions that the limit is per. */
  readonly bucket: PolicyTestBucketName;
  /** The quota of its limit, by the limit's name, for limits with `quota: { from: call }`. */
  readonly quotas?: { readonly [limit: string]: PolicyTestUnits } | undefined;
  /** Units used. */
  readonly used?: PolicyTestUnits | undefined;
  /** Units left. */
  readonly remaining?: PolicyTestUnits | undefined;
  /** The quota, with grants. */
  readonly quota?: PolicyTestUnits | undefined;
}

/** Adds units to a bucket's quota for some time. */
export interface PolicyTestGrant {
  /** The bucket whose quota grows. */
  readonly grant: PolicyTestBucketName;
  /** How many units it grows by. */
  readonly units: PolicyTestAmount;
  /** For how long. */
  readonly duration: string;
}

/** Empties a bucket. */
export interface PolicyTestReset {
  /** The bucket that is emptied. */
  readonly reset: PolicyTestBucketName;
}

/** A file of tests. */
export interface PolicyTestFile {
  /** For editors: where policy-test.schema.json lies. */
  readonly $schema?: string | undefined;
  /** The policy, by its path from this file. */
  readonly policy: string;
  /** Tests of the policy, for `tollgate test`. They change no decision. */
  readonly tests: readonly PolicyTest[];
}
