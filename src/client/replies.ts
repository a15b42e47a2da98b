// The answers of the service, checked by the schemas from which the service's OpenAPI document is made. Any other answer throws
// `invalid-reply`, and none of it is used.

import { z } from "zod";
import {
  type BegunAnswer,
  begunSchema,
  decisionSchema,
  emptiedSchema,
  extendedSchema,
  grantedSchema,
  reservedSchema,
  revokedSchema,
  settlementSchema,
  usagesSchema,
} from "../http/answers.ts";
import { expectedOf } from "../http/expected.ts";
import type { BucketUsage, Decision } from "../kernel/decision.ts";
import { formatGot } from "../kernel/errors.ts";
import { valueAt } from "../kernel/policy/place.ts";
import type { Reset, Revoked } from "../limiter/grant.ts";
import type { Settlement } from "../limiter/settle.ts";
import { type Failure, invalidReply } from "./problems.ts";

export interface Replies {
  readonly consume: Decision;
  readonly record: Decision;
  readonly peek: Decision;
  readonly reserve: Decision & Pick<BegunAnswer, "holdId">;
  readonly begin: Decision & BegunAnswer;
  readonly settle: Settlement;
  readonly release: Settlement;
  readonly extend: { readonly extended: boolean };
  readonly report: null;
  readonly end: Settlement;
  readonly usage: { readonly items: readonly BucketUsage[]; readonly nextCursor: string | null };
  readonly reset: Reset;
  readonly grant: { readonly after: BucketUsage };
  readonly revoke: Revoked;
}

const SCHEMAS: Readonly<Record<keyof Replies, z.ZodType>> = {
  consume: decisionSchema,
  record: decisionSchema,
  peek: decisionSchema,
  reserve: reservedSchema,
  begin: begunSchema,
  settle: settlementSchema,
  release: settlementSchema,
  extend: extendedSchema,
  report: z.null(),
  end: settlementSchema,
  usage: usagesSchema,
  reset: emptiedSchema,
  grant: grantedSchema,
  revoke: revokedSchema,
};

/** Validates the body of an answer to an operation. Throws StoreError `invalid-reply`. */
export function replyTo<Op extends keyof Replies>(op: Op, body: unknown): Replies[Op] {
  const read = SCHEMAS[op].safeParse(body);
  if (!read.success) throw invalidReply(`something else than an answer to ${op}: ${faultIn(op, body, read.error)}`);
  return read.data as Replies[Op];
}

const batchSchema = z.object({
  items: z.array(z.object({ status: z.int().min(200).max(599), body: z.unknown() })),
});

export type ItemReply = z.infer<typeof batchSchema>["items"][number];

/** The answers of a batch of `count` items, or the failure of an answer that has others. */
export function itemsIn(body: unknown, count: number): readonly ItemReply[] | Failure {
  const read = batchSchema.safeParse(body);
  if (read.success && read.data.items.length === count) return read.data.items;
  const what = read.success
    ? `${read.data.items.length} items of a batch of ${count}`
    : `something else than a batch of answers: ${faultIn("batch", body, read.error)}`;
  return { error: invalidReply(what), isUndone: false };
}

function faultIn(name: string, body: unknown, { issues: [issue] }: z.ZodError): string {
  if (issue === undefined) return name;
  const keys = issue.path.map((key) => (typeof key === "number" ? key : String(key)));
  return `${[name, ...keys].join(".")}: expected ${expectedOf(issue)}, got ${formatGot(valueAt(body, keys))}`;
}
