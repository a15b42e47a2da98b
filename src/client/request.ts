// One HTTP request to the service, and whether a failed one is sent again.

import { delayOf, monotonicClock, pauseAfter, timeoutSignal } from "../clock.ts";
import { StoreError } from "../store/error.ts";
import { MAX_REPLY_BYTES, parsed, textIn } from "./body.ts";
import { type Failure, failureOf, invalidReply, unanswered } from "./problems.ts";

export interface WireOptions {
  /** Without a slash at its end. */
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly fetch: typeof fetch;
  readonly deadlineMs: number;
}

/** A request, without its body. */
export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  /** How much longer than the deadline the answer may take, ms. */
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The answer's body, or the failure. */
interface Answered {
  readonly answer: unknown;
  readonly failure: Failure | null;
}

/** How often a request is sent at most. */
const MAX_TRIES = 4;

/**
 * @param text the body; `undefined`: none
 * @param endsAtMs when the caller's time ends, by the monotonic clock
 */
export async function request(
  { url, apiKey, fetch, deadlineMs }: WireOptions,
  { method, path, waitMs = 0, signal }: HttpRequest,
  text: string | undefined,
  endsAtMs: number,
): Promise<Answered> {
  // Half of the deadline leaves time for another try.
  const tryMs = Math.min(Math.ceil(deadlineMs / 2) + waitMs, Math.max(1, Math.ceil(endsAtMs - monotonicClock.nowMs())));
  const late = timeoutSignal(delayOf(tryMs));
  try {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(text === undefined ? {} : { "content-type": "application/json" }),
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      ...(text === undefined ? {} : { body: text }),
      // A service does not redirect, and the API key must not go elsewhere.
      redirect: "manual",
      signal: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
    });
    const received = await textIn(response);
    const answer = received === null ? undefined : parsed(received);
    if (!response.ok) return { answer, failure: failureOf(response.status, answer) };
    if (answer !== undefined) return { answer, failure: null };
    const what = received === null ? `more than ${MAX_REPLY_BYTES} bytes, or no UTF-8` : "what is no JSON";
    return { answer, failure: { error: invalidReply(what), isUndone: false } };
  } catch (error) {
    return { answer: undefined, failure: unanswered(url, error) };
  } finally {
    late.cancel();
  }
}

/** The pause before a failed request is sent again; `null`: it is not sent again. */
export function pauseBefore(
  { error, isUndone }: Failure,
  sent: { readonly isRepeatable: boolean; readonly tries: number; readonly endsAtMs: number },
): number | null {
  const { isRepeatable, tries, endsAtMs } = sent;
  if (!StoreError.isInstance(error) || !error.transient) return null;
  if (!(isRepeatable || isUndone) || tries >= MAX_TRIES) return null;
  const pauseMs = pauseAfter(tries - 1, 30, 1_000);
  return monotonicClock.nowMs() + pauseMs < endsAtMs ? pauseMs : null;
}
