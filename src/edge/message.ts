// What a Worker and an object say to each other by RPC: plain data. A StoreError does not survive RPC as what it is.

import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError, type StoreErrorCode } from "../store/error.ts";
import type { StoreAnswer } from "../store/store.ts";

/** The version of these messages: while a new version rolls out, a Worker may ask an object of the one before. */
export const PROTOCOL = 1;

/** A batch, as the store sends it. */
export interface BatchMessage {
  readonly protocol: number;
  readonly requests: readonly StoreRequest[];
  /** The time to decide by. Absent: the object's own. */
  readonly nowMs?: number;
}

/** A `StoreError` as data. */
export interface ErrorMessage {
  readonly code: StoreErrorCode;
  readonly message: string;
  readonly transient: boolean;
}

/** An answer to one request, as an object sends it. */
export type AnswerMessage = StoreReply | { readonly error: ErrorMessage };

/** The answers to a batch, or why nothing of it was booked. */
export type ReplyMessage = { readonly answers: readonly AnswerMessage[] } | { readonly error: ErrorMessage };

export function errorMessage({ code, message, transient }: StoreError): { readonly error: ErrorMessage } {
  return { error: { code, message, transient } };
}

export function answerMessage(answer: StoreAnswer): AnswerMessage {
  return StoreError.isInstance(answer) ? errorMessage(answer) : answer;
}

/**
 * The answers in a reply.
 *
 * @throws StoreError why the object booked nothing
 */
export function answersIn(reply: ReplyMessage): readonly StoreAnswer[] {
  if ("error" in reply) throw storeErrorOf(reply.error);
  return reply.answers.map((answer) => ("error" in answer ? storeErrorOf(answer.error) : answer));
}

function storeErrorOf({ code, message, transient }: ErrorMessage): StoreError {
  return new StoreError(code, message, { transient });
}
