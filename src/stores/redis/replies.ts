// The script's answer as replies. script/apply.lua has the order, wire.ts what the numbers mean.

import type { UsageGrant } from "../../kernel/decision.ts";
import { formatGot } from "../../kernel/errors.ts";
import { replayOf } from "../../kernel/bucket/once.ts";
import { decodeOnce } from "../../kernel/encoding/once.ts";
import { MAX_RECEIPTS } from "../../kernel/receipts.ts";
import { listsGrants, namesEntry, type Step, type StepReply, type StoreRequest } from "../../kernel/request.ts";
import { validTime } from "../../store/check.ts";
import { damagedError, StoreError, tooManyHolds } from "../../store/error.ts";
import { type Terms, TermsError } from "../../store/shared-store.ts";
import type { StoreAnswer } from "../../store/store.ts";
import type { Part } from "./arguments.ts";
import { ABSENT, FOUND, REFUSALS, REPLIES } from "./wire.ts";

/**
 * The script's answer, one reply or error for each request.
 *
 * @throws TermsError `too-late`, `settled`, `other-incarnation`, `too-many-open`: nothing of them was booked
 */
export function scriptReplies(
  { requests, terms }: Part,
  keys: readonly string[],
  answer: readonly unknown[],
): StoreAnswer[] {
  if (!Array.isArray(answer)) throw invalidAnswer(`a list, got ${formatGot(answer)}`);
  const refusal = refusalOf(wholeIn(answer[1]), wholeIn(answer[0]), terms);
  if (refusal !== null) throw refusal;
  return new Reader(answer, keys).replies(requests);
}

/** A whole number that a client may give as a number, a bigint, a text or bytes; NaN for anything else. */
export function wholeIn(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  const text = value instanceof Uint8Array ? new TextDecoder().decode(value) : value;
  return typeof text === "string" && /^-?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
}

function invalidAnswer(expected: string): StoreError {
  return new StoreError("invalid-reply", `Redis: the script's answer: expected ${expected}`, { transient: false });
}

class Reader {
  readonly #answer: readonly unknown[];
  readonly #keys: readonly string[];
  readonly #nowMs: number;
  #position = 1;

  constructor(answer: readonly unknown[], keys: readonly string[]) {
    this.#answer = answer;
    this.#keys = keys;
    this.#nowMs = validTime(wholeIn(answer[0]));
  }

  replies(requests: readonly StoreRequest[]): StoreAnswer[] {
    const replies = requests.map((request) => this.#reply(request));
    if (this.#position !== this.#answer.length) throw invalidAnswer("another length");
    return replies;
  }

  #reply({ steps, once }: StoreRequest): StoreAnswer {
    const nowMs = this.#nowMs;
    const status = this.#next();
    switch (status) {
      case REPLIES.fits:
        return { allowed: true, nowMs, steps: this.#steps(steps, status) };
      case REPLIES.firm:
        return { allowed: false, nowMs, firm: true, steps: this.#steps(steps, status) };
      case REPLIES.replayed:
        return answeredBefore(textIn(this.#answer[this.#position++]), once?.key ?? "");
      case REPLIES.stale:
        return { allowed: false, stale: true, nowMs, steps: [] };
      case REPLIES.damaged:
        return damagedError(this.#keys[this.#next() - 1] ?? "");
      case REPLIES.wrongType: {
        const message = `the key ${this.#keys[this.#next() - 1] ?? ""} holds another type than a string`;
        return new StoreError("wrong-type", message, { transient: false });
      }
      case REPLIES.tooManyHolds:
        return tooManyHolds();
      case REPLIES.queued:
        return { allowed: true, nowMs, waitMs: this.#next(), steps: this.#steps(steps, status) };
    }
    return {
      allowed: status === REPLIES.allowed || status === REPLIES.readOnly,
      nowMs,
      steps: this.#steps(steps, status),
    };
  }

  #steps(steps: readonly Step[], status: number): StepReply[] {
    return steps.map(({ event }) => {
      // Units that are granted come first, as a negative number.
      const first = this.#next();
      const used = first < 0 ? this.#next() : first;
      const resetAfterMs = this.#next();
      const retryMs = status === REPLIES.fits ? 0 : this.#next();
      const reply = { allowed: retryMs === 0, used, resetAfterMs, retryAfterMs: retryMs < 0 ? null : retryMs };
      const isNaming = namesEntry(event.type);
      const isListed = status === REPLIES.readOnly || listsGrants(event.type);
      if (first >= 0 && !isNaming && !isListed) return reply;
      const found = isNaming ? foundIn(this.#next()) : {};
      const granted = first < 0 ? { granted: -first } : {};
      const grants = isListed ? this.#grants() : [];
      return { ...reply, ...granted, ...(grants.length === 0 ? {} : { grants }), ...found };
    });
  }

  #grants(): UsageGrant[] {
    return Array.from({ length: this.#next() }, () => {
      const id = textIn(this.#answer[this.#position++]);
      return { id, units: this.#next(), endsInMs: this.#next() };
    });
  }

  /** Some clients return numbers as texts, and so does the script with the largest. */
  #next(): number {
    const value = this.#answer[this.#position++];
    const number = wholeIn(value);
    if (!Number.isSafeInteger(number))
      throw invalidAnswer(`a whole number at ${this.#position}, got ${formatGot(value)}`);
    return number;
  }
}

/** Why the terms refuse the whole batch, or `null`. */
function refusalOf(status: number, nowMs: number, { notAfterMs = nowMs, receipt }: Terms = {}): StoreError | null {
  switch (status) {
    case REFUSALS.tooLate:
      return new TermsError("too-late", `it is ${nowMs - notAfterMs} ms after the batch's deadline`);
    case REFUSALS.otherIncarnation:
      return new TermsError("other-incarnation", "the store has lost what it held since the sender last heard of it");
    case REFUSALS.settled:
      return new TermsError("settled", `the batch ${receipt?.number} was closed, or a part of it was refused`);
    case REFUSALS.tooManyOpen:
      return new TermsError("too-many-open", `${MAX_RECEIPTS} batches of the instance are open`);
    default:
      return null;
  }
}

function foundIn(code: number): Pick<StepReply, "found"> {
  if (code === ABSENT.notFound) return {};
  if (code === FOUND.live) return { found: "live" };
  return { found: code === FOUND.late ? "late" : "unknown" };
}

/** A text, which some clients return as bytes. */
export function textIn(value: unknown): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value);
}

function answeredBefore(text: string, key: string): StoreAnswer {
  const state = decodeOnce(text, 0);
  return state === null ? damagedError(key) : replayOf(state);
}
