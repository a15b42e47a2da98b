// Buckets of the service that the program names itself: read, emptied, granted to and revoked from.

import type { BucketDimensions } from "../kernel/call.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { NamedBucket } from "../limiter/bucket-name.ts";
import { checkChangeOptions } from "../limiter/grant.ts";
import type { CallOptions, ChangeNote, ChangeOptions, QuotaOptions } from "../limiter.ts";
import { askAlone } from "./ask.ts";
import { jsonText } from "./body.ts";
import type { ClientContext } from "./context.ts";
import type { Replies } from "./replies.ts";
import type { TouchEvent } from "./service-views.ts";

export async function readUsages(
  context: ClientContext,
  dimensions: BucketDimensions,
  options: CallOptions,
): Promise<readonly BucketUsage[]> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(dimensions)) {
    query.set(name, name === "args" ? jsonText(value) : String(value));
  }
  const usages: BucketUsage[] = [];
  for (;;) {
    const request = { method: "GET", path: `/v1/usage?${query}`, isRepeatable: true } as const;
    const { items, nextCursor } = await askAlone(context, "usage", request, options);
    usages.push(...items);
    if (nextCursor === null) return usages;
    query.set("cursor", nextCursor);
  }
}

/**
 * Changes one bucket of the service.
 *
 * @param more fields of the body beside the bucket, who changes it, and why
 * @param event the change, for this process's own view of the bucket
 */
export async function changeBucket<Op extends "reset" | "grant" | "revoke">(
  context: ClientContext,
  op: Op,
  bucket: NamedBucket,
  more: object,
  event: TouchEvent,
  options: ChangeOptions,
): Promise<{ readonly reply: Replies[Op]; readonly note: ChangeNote }> {
  refuseQuotas(options);
  const note = checkChangeOptions(options);
  const said = Object.fromEntries(Object.entries(note).filter(([, text]) => text !== null));
  const { limit, ...dimensions } = bucket;
  const body = { limit, dimensions, ...more, ...said };
  const request = { method: "POST", path: `/v1/${op}`, body, isRepeatable: op === "grant" } as const;
  const reply = await askAlone(context, op, request, { signal: options.signal });
  context.away?.seen.touched(bucket, event, reply.after);
  return { reply, note };
}

/** Throws when quotas are given: the service applies its own. */
export function refuseQuotas({ quotas }: QuotaOptions): void {
  if (quotas !== undefined) throw invalidOption("quotas", "none: the service applies the quota that it knows", quotas);
}
