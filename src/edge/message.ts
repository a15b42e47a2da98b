// What a Worker and an object say to each other by RPC: JSON. RPC takes no objects without a prototype, and a StoreError would
// arrive without its code.

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
  readonly nowMs?: number | undefined;
}

/** A `StoreError` as data. */
interface ErrorMessage {
  readonly code: StoreErrorCode;
  readonly message: string;
  readonly transient: boolean;
}

/** An answer to one request, as an object sends it. */
type AnswerMessage = StoreReply | { readonly error: ErrorMessage };

/** The answers to a batch, or why nothing of it was booked. */
type ReplyMessage = { readonly answers: readonly AnswerMessage[] } | { readonly error: ErrorMessage };

export function encodeError({ code, message, transient }: StoreError): string {
  return JSON.stringify({ error: { code, message, transient } } satisfies ReplyMessage);
}

export function encodeAnswers(answers: readonly StoreAnswer[]): string {
  const messages = answers.map((answer): AnswerMessage => {
    if (!StoreError.isInstance(answer)) return answer;
    const { code, message, transient } = answer;
    return { error: { code, message, transient } };
  });
  return JSON.stringify({ answers: messages } satisfies ReplyMessage);
}

/**
 * The answers in a reply.
 *
 * @throws StoreError why the object booked nothing
 */
export function answersIn(reply: string): readonly StoreAnswer[] {
  const message: ReplyMessage = JSON.parse(reply);
  if ("error" in message) throw storeErrorOf(message.error);
  return message.answers.map((answer) => ("error" in answer ? storeErrorOf(answer.error) : answer));
}

function storeErrorOf({ code, message, transient }: ErrorMessage): StoreError {
  return new StoreError(code, message, { transient });
}
