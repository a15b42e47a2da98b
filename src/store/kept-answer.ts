// The question for an answer that is kept under a key, where no call may be made: a request that is always denied, also without the
// store, so that it books nothing where there is no answer.

import type { Once, Step, StoreRequest } from "../kernel/request.ts";

const DENIED: Omit<Step, "bucket"> = {
  limit: { algorithm: "budget", quota: 0, ttlMs: 1, ttlFrom: "first" },
  event: { type: "charge", cost: 1 },
};

export function questionFor(once: Once): StoreRequest {
  return { mode: "judge", steps: [{ ...DENIED, bucket: bucketOf(once) }], once };
}

/** Whether a request is such a question. What it is told, it has not booked. */
export function isQuestion({ steps, once }: StoreRequest): boolean {
  return once !== undefined && steps.length === 1 && steps[0]?.bucket === bucketOf(once);
}

function bucketOf({ key }: Once): string {
  return `${key}:none`;
}
