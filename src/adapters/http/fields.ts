// A decision as header fields, and a denial as a problem body.

import type { Decision, Verdict } from "../../kernel/decision.ts";
import { bindingOf, detailOf } from "../guard.ts";

/** Header fields by name. */
export type Fields = Readonly<Record<string, string>>;

/** The body of a denied request, `application/problem+json` (RFC 9457). */
export interface Problem {
  readonly type: "https://iana.org/assignments/http-problem-types#quota-exceeded";
  readonly title: string;
  readonly status: 429;
  /** The limit, and when to retry: for programs and people, without advice for a model. */
  readonly detail: string;
  /** Names of the limits that deny. */
  readonly "violated-policies": readonly string[];
  /** `null` when the call can never pass. */
  readonly retryAfterMs: number | null;
}

/** The largest Integer of a structured field (RFC 9651, section 3.3.1). */
const MAX_INTEGER = 999_999_999_999_999;

/** `RateLimit-Policy` and `RateLimit` as in drafts 8 to 11: an item for each limit that is not a shadow. */
export function draft11Headers(decision: Decision): Fields {
  const verdicts = shown(decision);
  if (verdicts.length === 0) return {};
  const policies = verdicts.map(({ limit, quota, unit }) => `"${limit}";q=${integer(quota)}${unitOf(unit)}`);
  const limits = verdicts.map((each) => `"${each.limit}";r=${integer(each.remaining)};t=${windowOf(each)}`);
  return { "RateLimit-Policy": policies.join(", "), RateLimit: limits.join(", ") };
}

/**
 * `RateLimit` as in draft 7, of the limit that binds. That draft's `RateLimit-Policy` wants a window, which a decision does
 * not know: it is left out.
 */
export function draft7Headers(decision: Decision): Fields {
  const verdict = tightestOf(decision);
  if (verdict === undefined) return {};
  const { quota, remaining } = verdict;
  return { RateLimit: `limit=${integer(quota)}, remaining=${integer(remaining)}, reset=${windowOf(verdict)}` };
}

/** `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` as in draft 6, of the limit that binds. */
export function draft6Headers(decision: Decision): Fields {
  const verdict = tightestOf(decision);
  if (verdict === undefined) return {};
  return {
    "RateLimit-Limit": integer(verdict.quota),
    "RateLimit-Remaining": integer(verdict.remaining),
    "RateLimit-Reset": windowOf(verdict),
  };
}

/** Whole seconds until a denied call could pass, rounded up; `null` when it never can, or was allowed. */
export function retryAfterSeconds({ allowed, retryAfterMs }: Decision): number | null {
  return allowed || retryAfterMs === null ? null : Math.ceil(retryAfterMs / 1_000);
}

/** What a client is told of a denial. */
export function problemOf(decision: Decision): Problem {
  return {
    type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: "Request cannot be satisfied as assigned quota has been exceeded",
    status: 429,
    detail: detailOf(decision),
    "violated-policies": shown(decision).flatMap(({ allowed, limit }) => (allowed ? [] : [limit])),
    retryAfterMs: decision.retryAfterMs,
  };
}

function shown({ verdicts }: Decision): Verdict[] {
  return verdicts.filter(({ shadow }) => !shadow);
}

/** When denied, what keeps the call waiting longest; when allowed, what has the smallest share left. */
function tightestOf(decision: Decision): Verdict | undefined {
  if (!decision.allowed) return bindingOf(decision);
  const shareOf = ({ remaining, quota }: Verdict) => (quota === 0 ? 0 : remaining / quota);
  return shown(decision).sort((one, other) => shareOf(one) - shareOf(other))[0];
}

/** Seconds: of a limit that denies, until it would not; else until its full quota is back. Never later than `Retry-After`. */
function windowOf({ allowed, retryAfterMs, resetAfterMs }: Verdict): string {
  return integer(Math.ceil((allowed ? resetAfterMs : (retryAfterMs ?? resetAfterMs)) / 1_000));
}

function integer(value: number): string {
  return String(Math.min(value, MAX_INTEGER));
}

/** Requests are the default; of the units that are registered none is ours, so that others are told as our own. */
function unitOf(unit: string): string {
  return unit === "calls" ? "" : `;tollgate-unit="${unit}"`;
}
