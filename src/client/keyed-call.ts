// A call in the form in which it is sent to the service.

import { randomId } from "../ids.ts";
import type { Call } from "../kernel/call.ts";
import type { QuotaOptions } from "../limiter.ts";
import type { BatchItem } from "./wire.ts";

/** Quotas that came with a call. They are sent beside it. */
export type SentQuotas = Pick<QuotaOptions, "quotas">;

/** A call, and how it is sent: usually under an idempotency key. */
export interface KeyedCall {
  readonly call: Call;
  readonly sent: Call;
  /** Whether it may be sent twice and is charged once. */
  readonly isRepeatable: boolean;
  readonly quotas: SentQuotas;
}

/** @param addsKey whether a call without a key gets one */
export function keyedCall(call: Call, options: QuotaOptions, addsKey: boolean): KeyedCall {
  const hasKey = call.idempotencyKey !== undefined;
  const sent = hasKey || !addsKey ? call : { ...call, idempotencyKey: randomId() };
  return { call, sent, isRepeatable: hasKey || addsKey, quotas: sentQuotas(options) };
}

export function sentQuotas({ quotas }: QuotaOptions): SentQuotas {
  return quotas === undefined ? {} : { quotas };
}

/**
 * Asks for a decision on a call.
 *
 * @param more fields of the body beside the call
 */
export function callItem<Op extends "consume" | "record" | "peek" | "reserve" | "begin">(
  op: Op,
  { sent, quotas, isRepeatable }: KeyedCall,
  more: object = {},
): BatchItem<Op> {
  return { op, body: { call: sent, ...quotas, ...more }, isRepeatable };
}
