// The answers of the service, checked by the schemas from which the service's OpenAPI document is made. Any other answer throws
// `invalid-reply`, and none of it is used.

import * as v from "valibot";
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
import { listOf, open, whole } from "../http/schema-parts.ts";
import type { BucketUsage, Decision } from "../kernel/decision.ts";
import { formatGot } from "../kernel/errors.ts";
import { valueAt } from "../kernel/policy/place.ts";
import { type Output, readBy, type Schema, type SchemaFault } from "../kernel/policy/schema-kinds.ts";
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

const SCHEMAS: Readonly<Record<keyof Replies, Schema>> = {
  consume: decisionSchema,
  record: decisionSchema,
  peek: decisionSchema,
  reserve: reservedSchema,
  begin: begunSchema,
  settle: settlementSchema,
  release: settlementSchema,
  extend: extendedSchema,
  report: v.null("nothing"),
  end: settlementSchema,
  usage: usagesSchema,
  reset: emptiedSchema,
  grant: grantedSchema,
  revoke: revokedSchema,
};

/** Validates the body of an answer to an operation. Throws StoreError `invalid-reply`. */
export function replyTo<Op extends keyof Replies>(op: Op, body: unknown): Replies[Op] {
  const read = readBy(SCHEMAS[op], body);
  if ("value" in read) return read.value as Replies[Op];
  throw invalidReply(`something else than an answer to ${op}: ${faultIn(op, body, read.faults)}`);
}

const batchSchema = open({ items: listOf(open({ status: whole(200, 599), body: v.unknown() })) });

export type ItemReply = Output<typeof batchSchema>["items"][number];

/** The answers of a batch of `count` items, or the failure of an answer that has others. */
export function itemsIn(body: unknown, count: number): readonly ItemReply[] | Failure {
  const read = readBy(batchSchema, body);
  if ("value" in read && read.value.items.length === count) return read.value.items;
  const what =
    "value" in read
      ? `${read.value.items.length} items of a batch of ${count}`
      : `something else than a batch of answers: ${faultIn("batch", body, read.faults)}`;
  return { error: invalidReply(what), isUndone: false };
}

function faultIn(name: string, body: unknown, [fault]: readonly SchemaFault[]): string {
  if (fault === undefined) return name;
  const { keys, expected } = fault;
  return `${[name, ...keys].join(".")}: expected ${expected}, got ${formatGot(valueAt(body, keys))}`;
}
