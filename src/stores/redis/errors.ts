// Errors of Redis and its clients as this store's errors.

import { reasonOf } from "../../kernel/reason.ts";
import { StoreError, type StoreErrorCode } from "../../store/error.ts";

/** The first word of a server's error, and whether the same request may succeed later. */
const BY_WORD: Record<string, readonly [code: StoreErrorCode, transient: boolean]> = {
  NOAUTH: ["unauthorized", false],
  WRONGPASS: ["unauthorized", false],
  NOPERM: ["unauthorized", false],
  READONLY: ["read-only", true],
  MISCONF: ["read-only", true],
  NOREPLICAS: ["read-only", true],
  OOM: ["out-of-memory", true],
  LOADING: ["loading", true],
  BUSY: ["unavailable", true],
  UNBLOCKED: ["unavailable", true],
  MASTERDOWN: ["unavailable", true],
  CLUSTERDOWN: ["unavailable", true],
  TRYAGAIN: ["unavailable", true],
  MOVED: ["unavailable", true],
  ASK: ["unavailable", true],
};

/** How valkey-glide names a server's error, where it does not repeat the server's word. */
const BY_KIND: Record<string, string> = {
  ResponseError: "ERR",
  NoScriptError: "NOSCRIPT",
  PermissionDenied: "NOPERM",
  AuthenticationFailed: "NOAUTH",
  BusyLoadingError: "LOADING",
  ReadOnly: "READONLY",
  MasterDown: "MASTERDOWN",
  ClusterDown: "CLUSTERDOWN",
  TryAgain: "TRYAGAIN",
};

/** Of errors whose word is ERR. */
const NO_RIGHT = /^The user executing the script can't /;
const IS_OLD = /unknown redis command|unknown command|unknown option|unsupported option|syntax error/i;
/** ioredis' message for a command that it may not keep until it is connected. */
const IS_UNCONNECTED = /^Stream isn't writeable/;
const IS_FULL = /^max number of clients reached/;

/** The first word of a server's error; `undefined` where an error is the client's own. */
export function wordOf(error: unknown): string | undefined {
  return serverError(error)?.word;
}

/**
 * A replica says the first two: its master is elsewhere. After the third, Redis 7.0 may answer the same command once more,
 * so that each later answer of the connection belongs to the command before.
 */
const UNFIT: ReadonlySet<string> = new Set(["READONLY", "MASTERDOWN", "UNBLOCKED"]);

/** Whether a server said that it takes no more commands on this connection. */
export function saysUnfit(error: unknown): boolean {
  return UNFIT.has(wordOf(error) ?? "");
}

/** Whether a server does not know the user, so that it is not about rights. */
export function saysNoUser(error: unknown): boolean {
  const word = wordOf(error);
  return word === "NOAUTH" || word === "WRONGPASS";
}

/**
 * An error of the client or the server as a `StoreError`. The server has answered what it refuses for a reason that is not
 * known here: it is not away, and would refuse the same request again.
 *
 * @param fault why the client has no connection, where it has none
 */
export function redisError(error: unknown, fault?: Error): StoreError {
  if (StoreError.isInstance(error)) return error;
  const server = serverError(error);
  const shown = IS_UNCONNECTED.test(messageOf(error)) ? new Error("the client is not connected") : error;
  if (server === null && fault !== undefined) {
    const reason = reasonOf(new Error(messageOf(shown), { cause: fault }));
    return new StoreError("unavailable", `Redis: ${reason}`, { transient: true, cause: fault });
  }
  const [code, transient] = meaningOf(server);
  const subject = code === "too-old" ? "Redis 7.0 or newer, or Valkey, is needed" : "Redis";
  return new StoreError(code, `${subject}: ${reasonOf(shown)}`, { transient, cause: error });
}

function meaningOf(server: ReturnType<typeof serverError>): readonly [code: StoreErrorCode, transient: boolean] {
  // The client could not ask, or was not answered.
  if (server === null) return ["unavailable", true];
  const { word, text } = server;
  if (word === "ERR" && IS_OLD.test(text)) return ["too-old", false];
  if (word === "ERR" && NO_RIGHT.test(text)) return ["unauthorized", false];
  if (word === "ERR" && IS_FULL.test(text)) return ["unavailable", true];
  return BY_WORD[word] ?? ["unavailable", false];
}

/** The server's error, or `null` where an error is the client's own. */
function serverError(error: unknown): { readonly word: string; readonly text: string } | null {
  const message = messageOf(error);
  const [, kind = "", detail = ""] = /signalled by the server: - (\w+): ?(.*)$/s.exec(message) ?? [];
  if (kind !== "") return { word: BY_KIND[kind] ?? kind, text: detail };
  const [, word = "", text = ""] = /^-?([A-Z]{3,}) (.*)$/s.exec(message) ?? [];
  return word === "" ? null : { word, text };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
