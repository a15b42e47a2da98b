// A decision as header fields, and a denial as a problem body.

import type { Decision, Denied, Verdict } from "../../kernel/decision.ts";

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
  /** `null`: do not wait. */
  readonly retryAfterMs: number | null;
}

/** The largest Integer of a structured field (RFC 9651, section 3.3.1). */
const MAX_INTEGER = 999_999_999_999_999;

/** A limit that denies calls, and that counts against a number. */
type Shown = Verdict & { readonly capacity: number; readonly remaining: number };

/** `RateLimit-Policy` and `RateLimit` as in drafts 8 to 11: an item for each limit that may deny. */
export function draft11Headers(decision: Decision): Fields {
  const shown = decision.verdicts.filter(isShown);
  if (shown.length === 0) return {};
  const policies = shown.map((each) => {
    return `"${each.limit}";q=${integer(each.capacity)}${windowOf(each)}${unitOf(each.unit)}`;
  });
  const limits = shown.map((each) => `"${each.limit}";r=${integer(each.remaining)};t=${resetOf(each)}`);
  return { "RateLimit-Policy": policies.join(", "), RateLimit: limits.join(", ") };
}

/** `RateLimit` as in draft 7, of the limit that binds, and `RateLimit-Policy` of those with a window. */
export function draft7Headers(decision: Decision): Fields {
  const verdict = tightestOf(decision);
  if (verdict === undefined) return {};
  const { capacity, remaining } = verdict;
  const limit = `limit=${integer(capacity)}, remaining=${integer(remaining)}, reset=${resetOf(verdict)}`;
  return { ...policyField(decision), RateLimit: limit };
}

/**
 * `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` as in draft 6, of the limit that binds, and
 * `RateLimit-Policy` of those with a window.
 */
export function draft6Headers(decision: Decision): Fields {
  const verdict = tightestOf(decision);
  if (verdict === undefined) return {};
  return {
    ...policyField(decision),
    "RateLimit-Limit": integer(verdict.capacity),
    "RateLimit-Remaining": integer(verdict.remaining),
    "RateLimit-Reset": resetOf(verdict),
  };
}

/** The header fields by the draft that describes them. */
export const DRAFTS = {
  "draft-11": draft11Headers,
  "draft-7": draft7Headers,
  "draft-6": draft6Headers,
  none: () => ({}),
};

/** Which header fields tell a client how its limits stand, by draft-ietf-httpapi-ratelimit-headers. */
export type HeadersDraft = keyof typeof DRAFTS;

/** `RateLimit-Policy` as in drafts 6 and 7, which have no words for a limit without a window. */
function policyField({ verdicts }: Decision): Fields {
  const policies = verdicts
    .filter(isShown)
    .filter(({ windowMs }) => windowMs !== null)
    .map((each) => `${integer(each.capacity)}${windowOf(each)}`);
  return policies.length === 0 ? {} : { "RateLimit-Policy": policies.join(", ") };
}

/** Whole seconds until a denied call could pass, rounded up; `null` when waiting is not sound, or the call was allowed. */
export function retryAfterSeconds({ retryAfterMs }: Decision): number | null {
  return retryAfterMs === null ? null : Math.ceil(retryAfterMs / 1_000);
}

/** The body of a denied request. */
export function problemOf({ detail, verdicts, retryAfterMs }: Denied): Problem {
  return {
    type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: "Request cannot be satisfied as assigned quota has been exceeded",
    status: 429,
    detail,
    "violated-policies": verdicts.flatMap(({ allowed, limit }) => (allowed ? [] : [limit])),
    retryAfterMs,
  };
}

function isShown(verdict: Verdict): verdict is Shown {
  return verdict.mode === "enforce" && verdict.capacity !== null && verdict.remaining !== null;
}

/** When denied, the limit that binds; when allowed, the one with the smallest share left. */
function tightestOf(decision: Decision): Shown | undefined {
  const shown = decision.verdicts.filter(isShown);
  if (!decision.allowed) return shown.find(({ limit }) => limit === decision.deniedBy);
  const shareOf = ({ remaining, capacity }: Shown) => (capacity === 0 ? 0 : remaining / capacity);
  return shown.sort((one, other) => shareOf(one) - shareOf(other))[0];
}

/** The length of the window as the parameter `w`; nothing where it has no fixed one. */
function windowOf({ windowMs }: Verdict): string {
  return windowMs === null ? "" : `;w=${seconds(windowMs)}`;
}

/** Seconds: of a limit that denies, until it would not; else until its full quota is back. Never later than `Retry-After`. */
function resetOf({ retryAfterMs, resetAfterMs }: Verdict): string {
  return seconds(retryAfterMs ?? resetAfterMs);
}

function seconds(ms: number): string {
  return integer(Math.ceil(ms / 1_000));
}

function integer(value: number): string {
  return String(Math.min(value, MAX_INTEGER));
}

/** Requests are the default unit. No registered unit fits the others, so they get a parameter of our own. */
function unitOf(unit: string): string {
  return unit === "calls" ? "" : `;tollgate-unit="${unit}"`;
}
