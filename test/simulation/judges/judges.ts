// All judges, by the promise that each one keeps.

import { Oracle } from "../oracle.ts";
import type { Run } from "../run.ts";
import { bounds } from "./bounds.ts";
import { count, idleCount } from "./count.ts";
import { deadline } from "./deadline.ts";
import { decisions, once } from "./decisions.ts";
import { denials } from "./denials.ts";
import { ends } from "./ends.ts";
import { errors } from "./errors.ts";
import type { Judge, Violation } from "./judge.ts";
import { lending } from "./lending.ts";
import { quota } from "./quota.ts";
import { agreement, closing, recovery, settled } from "./recovery.ts";
import { shares } from "./shares.ts";
import { stated } from "./stated.ts";
import { shards } from "./shards.ts";
import { slots } from "./slots.ts";

export const JUDGES: Readonly<Record<string, Judge>> = {
  "every admitted unit is counted once": count,
  "lost use is restored without a call": idleCount,
  "no more is admitted than the quota and the bound that was stated": quota,
  "an instance alone admits at most its share": shares,
  "a shard that is away moves no other shard's calls to shares": shards,
  "a shard that has lost something decides nothing before that is known": ({ run }) => run.store.problems,
  "an instance alone states what the others may admit": stated,
  "instances hold at most a small part of a limit unused": lending,
  "no more calls run at once than there are slots": slots,
  "no call takes longer than its deadline": deadline,
  "calls fail only for known reasons": errors,
  "decisions follow the policy in force": decisions,
  "each key is decided once": once,
  "a hold that has ended is not said to live": ends,
  "no call is denied that fits": denials,
  "a denial says exactly when to try again": ({ run }) => run.witness.problems,
  "every instance is back five seconds after the last fault": recovery,
  "what an earlier process has booked is not reported as lost": settled,
  "closing books what was admitted while it has time": closing,
  "queues, timers and journals are empty when the world is calm": bounds,
  "all instances agree when the world is calm": agreement,
};

/** What is wrong with a run, by each judge. */
export function judge(run: Run): Violation[] {
  const oracle = new Oracle(run);
  return Object.entries(JUDGES).flatMap(([name, find]) =>
    [...find(oracle)].map((problem) => ({ judge: name, problem })),
  );
}
