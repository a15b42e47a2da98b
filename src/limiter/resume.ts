// Takes over a call that `begin` began, perhaps in another process: for a call that is interrupted, as by a question to its user,
// and goes on elsewhere. Each interruption has a mark, and the store lets one caller take the call over under it.

import { randomId } from "../ids.ts";
import { invalidOption } from "../kernel/errors.ts";
import { onceKey } from "../kernel/key.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { ask } from "./ask.ts";
import type { QuotaOptions } from "./call-options.ts";
import { tagOfCall } from "./call-plan.ts";
import type { LimiterContext } from "./context.ts";
import { endableBuckets, type FoundHold } from "./held-call.ts";
import { checkHoldOptions, type HoldOptions } from "./hold.ts";
import { type RunningCall, runningHere } from "./running-call.ts";

/** Options of taking a call over. */
export interface ResumeOptions extends HoldOptions, QuotaOptions {
  /** Names the interruption: 1 to 64 letters, digits, `_` or `-`. For ten minutes the call is taken over once under it. */
  readonly mark: string;
}

/**
 * What became of it. `taken`: the call was taken over under this mark before. `ended`: its hold has ended, or was never made, or
 * the store cannot keep the mark, because the call lacks the dimension of the policy's `partition` and no limit counts it.
 */
export type Resumed =
  | { readonly status: "resumed"; readonly running: RunningCall }
  | { readonly status: "taken" | "ended"; readonly running: null };

/** Validates options of taking a call over. Throws `invalid-option`. */
export function checkResumeOptions(options: ResumeOptions): void {
  checkHoldOptions(options, ["quotas", "mark"]);
  const { mark } = options;
  if (typeof mark === "string" && /^[\w-]{1,64}$/.test(mark)) return;
  throw invalidOption("mark", "1 to 64 letters, digits, _ or -", mark);
}

export async function resumeCall(
  context: LimiterContext,
  { held, matches }: FoundHold,
  { mark, leaseMs, signal }: ResumeOptions,
): Promise<Resumed> {
  const tag = tagOfCall(held.policy, held.call, held.buckets);
  if (tag === null) return { status: "ended", running: null };
  const buckets = (await endableBuckets(context, held)).filter(
    (bucket) => bucket.held > 0 && bucket.allotment.quota !== null,
  );
  // A client that sends the request again, because it lost the answer, gets its own answer again.
  const once = { key: onceKey(context.prefix, tag, "resumed", `${held.name}/${mark}`), request: randomId() };
  const makeRequest = (): StoreRequest => {
    const steps = buckets.map((bucket) => {
      const event = { type: "extend", id: held.name, leaseMs: leaseMs ?? bucket.limit.leaseMs } as const;
      return context.calendar.stepOf(bucket, event);
    });
    return { mode: "force", steps, once };
  };
  const reply = await ask(context, makeRequest, { signal });
  if (reply.replay !== undefined && reply.replay.request !== once.request) return { status: "taken", running: null };
  if (hasEnded(reply)) return { status: "ended", running: null };
  return { status: "resumed", running: runningHere(context, held, matches, { leaseMs, replayed: false }) };
}

/** As an extension: a bucket that does not know the hold was reset, or has a limit that came with a reload. */
function hasEnded({ steps }: StoreReply): boolean {
  if (steps.length === 0) return false;
  return steps.some(({ found }) => found === "late") || steps.every(({ found }) => found === "unknown");
}
