// What Cloudflare's runtime throws, as this store's errors.

import { LateError } from "../deadlines.ts";
import { reasonOf } from "../kernel/reason.ts";
import { StoreError, type StoreErrorCode } from "../store/error.ts";

interface Meaning {
  readonly pattern: RegExp;
  readonly code: StoreErrorCode;
  readonly transient: boolean;
  /** What to do, or what to expect. */
  readonly advice: string;
}

const UNKNOWN = "the call may have been charged";

/** What the runtime throws to a Worker. The first that matches counts. */
const OF_CALLS: readonly Meaning[] = [
  {
    pattern: /overloaded/i,
    code: "overloaded",
    transient: true,
    advice: "one object takes about 1,000 requests a second: spread its calls over more partitions",
  },
  {
    pattern: /does not implement the method|is not a function|Durable Object class .* not found/i,
    code: "unsupported-request",
    transient: false,
    advice: "bind the namespace to the class TollgateObject, and export that class from the Worker",
  },
  {
    pattern: /global scope|on behalf of a different (request|Durable Object)/i,
    code: "unsupported-request",
    transient: false,
    advice: "call the limiter inside a request, and await it there",
  },
  {
    pattern: /exceeded allowed|free tier|spending (limit|cap)|billing/i,
    code: "unavailable",
    transient: false,
    advice: "the account has used up what it allows for Durable Objects: raise its plan or its cap",
  },
  {
    pattern: /code (was|has been) updated/i,
    code: "unavailable",
    transient: true,
    advice: `a new version was deployed; ${UNKNOWN}`,
  },
  {
    pattern: /exceeded its (CPU|memory)|exceeded (CPU|memory)/i,
    code: "unavailable",
    transient: true,
    advice: `the object was restarted; ${UNKNOWN}`,
  },
];

/** What an object's SQLite throws. Nothing of the batch was booked. */
const OF_STORAGE: readonly Meaning[] = [
  {
    pattern: /SQL is not enabled/i,
    code: "unsupported-request",
    transient: false,
    advice: "name the class in new_sqlite_classes of a migration in wrangler.jsonc",
  },
  {
    pattern: /SQLITE_FULL|disk is full|maximum (database|storage) size/i,
    code: "capacity",
    transient: true,
    advice: "a full object takes calls again when buckets have expired: use a narrower partition",
  },
  {
    pattern: /SQLITE_TOOBIG|too big/i,
    code: "capacity",
    transient: false,
    advice: "one bucket or one answer has more than the 2 MB of a row",
  },
];

/** Why a call to an object failed. */
export function callError(error: unknown): StoreError {
  if (StoreError.isInstance(error)) return error;
  if (error instanceof LateError) return failed(error, "unavailable", true, UNKNOWN);
  const isOverloaded = (error as { readonly overloaded?: unknown } | null)?.overloaded === true;
  const meaning = isOverloaded ? OF_CALLS[0] : meaningIn(OF_CALLS, error);
  if (meaning === undefined) return failed(error, "unavailable", true, UNKNOWN);
  return failed(error, meaning.code, meaning.transient, meaning.advice);
}

/** Why an object could not decide a batch. */
export function storageError(error: unknown): StoreError {
  if (StoreError.isInstance(error)) return error;
  const meaning = meaningIn(OF_STORAGE, error);
  if (meaning === undefined) return failed(error, "unavailable", true, "nothing was charged");
  return failed(error, meaning.code, meaning.transient, meaning.advice);
}

/** The error for a full object. */
export function fullObject(): StoreError {
  const message =
    "the Durable Object has less than 1 GB left of its 10 GB: it takes no new buckets until others expire";
  return new StoreError("capacity", message, { transient: true });
}

function meaningIn(meanings: readonly Meaning[], error: unknown): Meaning | undefined {
  const message = error instanceof Error ? error.message : String(error);
  return meanings.find(({ pattern }) => pattern.test(message));
}

function failed(error: unknown, code: StoreErrorCode, transient: boolean, advice: string): StoreError {
  return new StoreError(code, `the Durable Object: ${reasonOf(error)}: ${advice}`, { transient, cause: error });
}
