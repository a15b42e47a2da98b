// Every problem that the service answers: its code, its status, and what it means. The page /problems, the OpenAPI document
// and the types are made from this table.

import type { MisuseCode } from "../kernel/errors.ts";
import type { StoreErrorCode } from "../store/error.ts";

/** The status of a problem, and what it means for the caller. */
type ProblemKind = readonly [status: number, meaning: string];

/** Problems of the service itself. */
const OWN = {
  "invalid-json": [400, "The body is not JSON, or not UTF-8."],
  "invalid-body": [400, "A field of the body is missing, unknown or wrong. `faults` names it."],
  "invalid-query": [400, "A parameter of the query is unknown or wrong. `faults` names it."],
  "invalid-header": [400, "The header Idempotency-Key cannot be read, or contradicts the body."],
  "invalid-request": [400, "The bytes that were received are not an HTTP request."],
  unauthorized: [401, "There is no API key, or none that is known. Send it as Authorization: Bearer tg_…."],
  "missing-scope": [403, "The API key lacks the scope that this route needs."],
  "other-tenant": [403, "The API key is bound to other tenants."],
  "shared-bucket": [403, "The API key is bound to tenants, and the bucket belongs to all of them."],
  "not-for-tenants": [403, "The API key is bound to tenants, and they may not read the policy."],
  "not-found": [404, "The path does not exist. /docs lists those that do."],
  "unknown-entry": [404, "The decision log has no entry with this id that the key may see, or no longer."],
  "method-not-allowed": [405, "The path exists with another method. The header Allow names it."],
  "too-slow": [408, "The request did not arrive in time."],
  "policy-read-only": [409, "The service may not write its policy. `detail` says what to do."],
  "policy-file-changed": [
    409,
    "The file of the policy has another text than the policy in force, which would be lost.",
  ],
  "policy-changed": [
    412,
    "Another policy is in force than the header If-Match names. Read it, and send the change again.",
  ],
  "if-match-missing": [428, "Send the header If-Match with the ETag of GET /v1/policy."],
  "body-too-large": [413, "The body is longer than the service accepts."],
  "unsupported-media-type": [415, "Send Content-Type: application/json, in UTF-8."],
  "unsupported-content-encoding": [415, "Send the body without compression."],
  "other-host": [421, "Without API keys the service answers only names of its own machine."],
  "header-too-large": [431, "The header is longer than the service accepts."],
  "client-gone": [499, "The client closed the connection. Only metrics and logs show this problem."],
  internal: [500, "A fault of the service. Its log has the reason, under the x-request-id of the answer."],
  "store-error": [500, "The store failed, and a retry does not help. The log of the service has the reason."],
  "policy-not-written": [
    500,
    "The file of the policy cannot be written, and nothing has changed. `detail` has the reason.",
  ],
  "no-log": [501, "The service keeps no decision log, or one that cannot be read."],
  stopping: [503, "This instance is about to stop. Send the request to another one."],
  "too-many-in-flight": [503, "The service handles as many requests as it accepts. Try again."],
  "too-many-waiting": [503, "As many calls wait for their turn as the service accepts. Try again, or do not wait."],
  "too-many-listeners": [503, "As many clients listen to events as the service accepts. Try again later."],
  "too-much-to-simulate": [503, "A simulation took more time or memory than it may. Ask for a shorter time."],
} as const satisfies Readonly<Record<string, ProblemKind>>;

/** A call or an option that the limiter refuses: with the code of the library's MisuseError. */
const MISUSES = {
  "invalid-call": [400, "The call as a whole is wrong."],
  "invalid-option": [400, "A value beside the call is wrong, such as maxWaitMs."],
  "missing-dimension": [400, "A limit of the policy needs a dimension that the call does not have."],
  "invalid-dimension": [400, "The value of a dimension cannot be used."],
  "invalid-cost": [400, "A number of units is not a whole number from 0."],
  "missing-cost": [400, "The call has to say how many units to hold, or, to end a hold, how many were held."],
  "unknown-unit": [400, "No limit of the policy counts this unit."],
  "unknown-limit": [400, "The policy has no limit with this name."],
  "needs-reserve": [400, "A limit counts calls in flight. Use reserve, or begin and end."],
  "already-settled": [409, "The hold was settled before, with other numbers."],
  "grant-exists": [
    409,
    "The id of the grant is taken in this bucket, by other units, another duration or a grant that has ended.",
  ],
  "invalid-policy": [400, "The policy of the body is wrong. `faults` has the lines."],
  "unknown-hold": [
    409,
    "No such hold was made for this call, or it ended more than ten minutes ago. Of release and extend alone: settle and end book the usage, and answer 200 with the status unknown-hold.",
  ],
  "idempotency-conflict": [422, "The idempotency key was used within ten minutes for another call."],
} as const satisfies Partial<Readonly<Record<MisuseCode, ProblemKind>>>;

/** A store that may answer later: with the code of the library's StoreError. */
const STORE = {
  capacity: [503, "The store holds as many buckets as it may."],
  "too-many-holds": [503, "The bucket has as many holds as it may."],
  busy: [503, "The lock of the store was taken for longer than the deadline, or another simulation runs."],
  overloaded: [503, "More calls wait for the store than may wait."],
  "unknown-partition": [503, "The store has no row for this partition yet."],
  "unsupported-request": [503, "The store cannot do this."],
  "damaged-bucket": [503, "The stored text of a bucket cannot be read."],
  "wrong-type": [503, "A key of the store holds something other than a bucket."],
  "foreign-database": [503, "The file belongs to another program."],
  "schema-version": [503, "The data of the store has the layout of another version."],
  "too-old": [503, "The server of the store is too old."],
  "read-only": [503, "The server of the store does not accept writes at the moment."],
  "out-of-memory": [503, "The server of the store has no memory left."],
  loading: [503, "The server of the store is reading its data."],
  unavailable: [503, "The store cannot be reached at the moment."],
  "invalid-reply": [503, "The store answered something that cannot be right."],
  closed: [503, "The store was closed."],
} as const satisfies Readonly<Record<Exclude<StoreErrorCode, "unauthorized">, ProblemKind>>;

export const PROBLEMS = { ...OWN, ...MISUSES, ...STORE } as const;

/** The code of a problem, in kebab case. */
export type ProblemCode = keyof typeof PROBLEMS;

/** The codes, in the order of the page. */
export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code);
}

/**
 * The `type` of a problem: where its page is. The path is absolute and always the same, because clients compare it; a proxy
 * that serves the API below a prefix has to serve `/problems`, too.
 */
export function problemType(code: ProblemCode): string {
  return `/problems#${code}`;
}
