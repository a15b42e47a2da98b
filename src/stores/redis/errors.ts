// What Redis and its clients say when something is wrong, as this store's errors.

import { StoreError, type StoreErrorCode } from "../../store.ts";

/** Redis' own first words, and whether the same request may succeed later. */
const BY_WORD: Record<string, readonly [code: StoreErrorCode, transient: boolean]> = {
  NOAUTH: ["unauthorized", false],
  WRONGPASS: ["unauthorized", false],
  NOPERM: ["unauthorized", false],
  READONLY: ["read-only", true],
  OOM: ["out-of-memory", true],
  LOADING: ["loading", true],
  MISCONF: ["read-only", true],
};

/** Whether the server does not know the script. */
export function isNoScript(error: unknown): boolean {
  return messageOf(error).startsWith("NOSCRIPT");
}

/** Whether a slot's keys are on two servers just now, so that a script of several can run on neither. */
export function isSlotMoving(error: unknown): boolean {
  return messageOf(error).startsWith("TRYAGAIN");
}

/** An error of the client or the server as a `StoreError`. */
export function redisError(error: unknown): StoreError {
  if (StoreError.isInstance(error)) return error;
  const message = messageOf(error);
  const [code, transient] = BY_WORD[/^[A-Z]+/.exec(message)?.[0] ?? ""] ?? ["unavailable", true];
  if (/unknown redis command|unknown command|unknown option|syntax error/i.test(message) && message.startsWith("ERR")) {
    return new StoreError("too-old", `Redis 7.0 or newer, or Valkey, is needed: ${message}`, {
      transient: false,
      cause: error,
    });
  }
  return new StoreError(code, `Redis: ${message}`, { transient, cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
