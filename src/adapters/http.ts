// What the adapters of HTTP servers share: a request becomes a call, and its decision an answer. Each
// adapter decides how its server sends it.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { checkOptionKeys, invalidOption, MisuseError, withFaults } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { askedBy, checkMaxWait, type Limiter } from "../limiter.ts";
import { DRAFTS, type Fields, type HeadersDraft, problemOf, retryAfterSeconds } from "./http/fields.ts";

export type { HeadersDraft } from "./http/fields.ts";

/** How requests are guarded. `More` is what a server gives beside the request. */
export interface HttpOptions<
  Input,
  More extends readonly unknown[] = [],
  Returned = Call | null | PromiseLike<Call | null>,
> {
  /**
   * The call that a request is: a tool's name, and whose it is. `null` lets a request pass that is not limited. What it
   * throws goes to the server's error handling. A concurrency limit is refused (`needs-reserve`): a server does not report when
   * its call has ended.
   */
  readonly call: (request: Input, ...more: More) => Returned;
  /** The header fields of answers, allowed or denied. Default `draft-11`; `none` leaves `Retry-After` alone. */
  readonly headers?: HeadersDraft | undefined;
  /**
   * How long a request may wait until its limits allow it, 0 to 3,600,000 ms, instead of being answered with 429 at once.
   * Default 0. A client that goes away ends the wait.
   */
  readonly maxWaitMs?: number | undefined;
}

/** What to do with a request; 499 is for a client that went away while its request waited, and reads no answer. */
export type Answer =
  | { readonly allowed: true; readonly fields: Fields }
  | { readonly allowed: false; readonly status: 429; readonly fields: Fields; readonly body: string }
  | { readonly allowed: false; readonly status: 499; readonly fields: Fields; readonly body: string };

/** Says that a client has gone. `end` is called when it no longer matters. */
export interface Gone {
  readonly signal: AbortSignal;
  readonly end?: () => void;
}

/** What is needed of Node's responses to see that. */
export interface Closing {
  once?(event: "close", listener: () => void): unknown;
  off?(event: "close", listener: () => void): unknown;
  readonly destroyed?: boolean | undefined;
}

/** A response of Node that has not been answered is closed when its client has gone. */
export function goneWith(response: Closing): Gone {
  const gone = new AbortController();
  const close = () => gone.abort();
  if (response.destroyed === true) close();
  response.once?.("close", close);
  return { signal: gone.signal, end: () => response.off?.("close", close) };
}

const GONE: Answer = { allowed: false, status: 499, fields: {}, body: "" };

/**
 * Makes the function that judges requests for a server's adapter.
 *
 * @throws MisuseError `invalid-option`
 */
export function judgeOf<P extends Policy, Bound extends string, Input, More extends readonly unknown[]>(
  checked: Limiter<P, Bound>,
  options: HttpOptions<Input, More, unknown>,
  adapter: string,
): (request: Input, watch: () => Gone, ...more: More) => Promise<Answer> {
  checkOptionKeys(options, ["call", "headers", "maxWaitMs"]);
  const limiter = askedBy(checked as unknown as Limiter, adapter);
  const { call: callOf, headers: draft = "draft-11", maxWaitMs = 0 } = options;
  if (typeof limiter?.consume !== "function") throw invalidOption("limiter", "a limiter from createLimiter", limiter);
  if (typeof callOf !== "function") throw invalidOption("call", "a function from a request to its call", callOf);
  if (!Object.hasOwn(DRAFTS, draft)) throw invalidOption("headers", Object.keys(DRAFTS).join(", "), draft);
  checkMaxWait(maxWaitMs);
  return async (request, watch, ...more) => {
    // What the compiler knows of the policy is checked by the limiter at run time.
    const call = (await callOf(request, ...more)) as Call | null;
    if (call === null) return { allowed: true, fields: {} };
    const gone = maxWaitMs === 0 ? null : watch();
    let decision: Decision;
    try {
      decision = await limiter.consume(call, gone === null ? undefined : { maxWaitMs, signal: gone.signal });
    } catch (error) {
      if (gone?.signal.aborted === true) return GONE;
      throw placed(error);
    } finally {
      gone?.end?.();
    }
    const fields = DRAFTS[draft](decision);
    if (decision.allowed) return { allowed: true, fields };
    const seconds = retryAfterSeconds(decision);
    const retry: Fields = seconds === null ? {} : { "Retry-After": String(seconds) };
    const body = JSON.stringify(problemOf(decision));
    return {
      allowed: false,
      status: 429,
      fields: { ...fields, ...retry, "Content-Type": "application/problem+json" },
      body,
    };
  };
}

/** A response with fields that it did not have; one that switches protocols is left alone. */
export function withFields(response: Response, fields: Fields): Response {
  const added = Object.entries(fields).filter(([name]) => !response.headers.has(name));
  if (added.length === 0 || response.status < 200) return response;
  try {
    for (const [name, value] of added) response.headers.set(name, value);
    return response;
  } catch {
    // Redirects, and what `fetch` returned, cannot be changed.
    return withFields(new Response(response.body, response), fields);
  }
}

/** A fault in what the option `call` returned, with that name. */
function placed(error: unknown): unknown {
  if (!MisuseError.isInstance(error) || !OF_CALL.has(error.code)) return error;
  return withFaults(error, (fault) => {
    return { ...fault, path: fault.path === "call" ? "call(request)" : `call(request).${fault.path}` };
  });
}

const OF_CALL = new Set(["missing-dimension", "invalid-dimension", "invalid-call", "invalid-cost", "unknown-unit"]);
