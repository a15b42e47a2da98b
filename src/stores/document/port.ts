// What a program gives the document store: where its values are, and how one is changed alone.

import type { SetupCheck } from "../../store/store.ts";

/** What the store makes of a partition's value. */
export interface Change<Result> {
  /** What the value is from now on: the very value that was given (`===`) where nothing is to be written. */
  readonly json: unknown;
  readonly result: Result;
}

/** Where the values are. */
export interface DocumentPort {
  /**
   * How long a call may take, ms, counted from the call: what has waited for as long is not asked for any more, and fails with
   * `unavailable`. Absent: as long as it takes.
   */
  readonly deadlineMs?: number;

  /**
   * Changes one partition's value in one transaction, in which no other process changes it, and returns `result`. What `change`
   * throws rolls it back. A partition that is not there is an error, never an empty value: a session that was made up
   * would begin with a full quota.
   *
   * @param partition the session, or what else the policy's `partition` names
   * @param change may be called more than once. It is given:
   *   - `json`: the value, or its text; `null` or `undefined` where there is none yet
   *   - `nowMs`: the time that decides, epoch ms, read when the value was locked, from one clock for all instances
   *   - `spelled`: the partition as it stands beside the value, where one value is found by several spellings (a UUID in
   *     capitals, `character(10)` with its blanks): all of them share its counts
   * @throws StoreError `unknown-partition`
   */
  transact<Result>(
    partition: string,
    change: (json: unknown, nowMs: number, spelled?: string) => Change<Result>,
  ): Promise<Result>;

  /** Reads how the place and its client are set up. Absent: there is nothing to set up. */
  setup?(): Promise<readonly SetupCheck[]>;
}
