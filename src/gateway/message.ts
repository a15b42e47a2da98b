// What one JSON-RPC message is, and which messages are refused: those of clients that the server might read differently. No
// message is decoded as a whole, and no id ever.

import { isUtf8 } from "node:buffer";
import type { Message, ReadMessage, Span } from "./contract.ts";
import { NotJsonError, OPEN_OBJECT, scanObject, skipSpace, skipValue, stringAt } from "./json/scan.ts";
import { RPC, Refusal } from "./refusal.ts";

export const TOOLS_CALL = "tools/call";

/** Keys at the top level that mean something. */
const TOP_WORDS = ["jsonrpc", "id", "method", "params", "result", "error"];
/** Keys in the `params` of a `tools/call` that mean something to the gateway. */
const PARAMS_WORDS = ["name", "arguments", "_meta", "requestState", "inputResponses", "task"];
const FOLDED = { top: byFold(TOP_WORDS), params: byFold(PARAMS_WORDS) };

/** Most keys of an object that is read. */
const MOST_KEYS = 1_000;
/** Longest id, bytes: it is kept while the request is in flight. */
const MOST_ID_BYTES = 1_024;

const OPEN_LIST = 0x5b;
const QUOTE = 0x22;

/** What was found in a message so far. */
interface Found {
  readonly spans: Map<string, Span>;
  /** Keys of `params`. */
  readonly params: string[];
  /** Why two readers may differ; `null`: they do not. */
  ambiguity: string | null;
  /** Whether they agree on the id. */
  isIdClear: boolean;
}

export const readMessage: ReadMessage = (bytes, from) => {
  const isOfClient = from === "client";
  if (isOfClient && !isUtf8(bytes)) throw new Refusal(RPC.invalidRequest, "The message is not in UTF-8.");
  const found: Found = { spans: new Map(), params: [], ambiguity: null, isIdClear: true };
  scan(bytes, found);
  const message = messageOf(bytes, found.spans);
  if (isOfClient) check(message, found);
  return message;
};

/** How two ids are compared: those that are written differently, and are one value to any reader, are equal. */
export function idKey(rawId: string): string {
  if (rawId.startsWith('"')) return JSON.stringify(JSON.parse(rawId));
  if (/^-?\d+$/.test(rawId)) return rawId;
  const number = Number(rawId);
  return Number.isSafeInteger(number) ? String(number) : rawId;
}

/** The text of a value that is a string; `null`: it is absent, or something else. */
export function textOf({ bytes, spans }: Message, key: string): string | null {
  const span = spans.get(key);
  return span === undefined || bytes[span.from] !== QUOTE ? null : stringAt(bytes, span.from, span.to);
}

/** A value as JSON; `undefined`: it is absent. */
export function jsonOf({ bytes, spans }: Message, key: string): unknown {
  const span = spans.get(key);
  return span === undefined ? undefined : JSON.parse(bytes.toString("utf8", span.from, span.to));
}

/** Finds the values. @throws Refusal */
function scan(bytes: Buffer, found: Found): void {
  const at = skipSpace(bytes, 0);
  if (bytes[at] === OPEN_LIST) throw new Refusal(RPC.invalidRequest, "A batch of messages is not supported.");
  const readTop = (key: string, from: number) => {
    const isRead = key === "params" || key === "result";
    const to = isRead && bytes[from] === OPEN_OBJECT ? readInner(bytes, key, from, found) : skipValue(bytes, from);
    // Only known keys: one that has a point in it is not a key of `params`.
    if (TOP_WORDS.includes(key)) note(found, key, { from, to }, true);
    else noteLike(found, key);
    return to;
  };
  try {
    const end = skipSpace(bytes, scanObject(bytes, at, readTop));
    if (end !== bytes.length) throw new NotJsonError(end);
  } catch (error) {
    if (!(error instanceof NotJsonError)) throw error;
    throw new Refusal(RPC.parseError, `The message is not a JSON object: ${error.message}.`);
  }
}

function readInner(bytes: Buffer, parent: "params" | "result", at: number, found: Found): number {
  return scanObject(bytes, at, (key, from) => {
    const to = skipValue(bytes, from);
    note(found, `${parent}.${key}`, { from, to }, parent === "params");
    if (parent === "params") found.params.push(key);
    return to;
  });
}

/** @param isOnce whether a second one is ambiguous */
function note(found: Found, key: string, span: Span, isOnce: boolean): void {
  const { spans } = found;
  const isThere = spans.has(key);
  if (isOnce && isThere) {
    found.ambiguity ??= `has the key ${JSON.stringify(key)} twice`;
    if (key === "id") found.isIdClear = false;
  }
  if (!isThere && spans.size >= MOST_KEYS) found.ambiguity ??= `has more than ${MOST_KEYS} keys`;
  else spans.set(key, span);
}

function noteLike(found: Found, key: string): void {
  const word = FOLDED.top.get(fold(key));
  if (word === undefined) return;
  found.ambiguity ??= likeAnother(key, word);
  if (word === "id") found.isIdClear = false;
}

function messageOf(bytes: Buffer, spans: ReadonlyMap<string, Span>): Message {
  const message = { bytes, spans, kind: "response", rawId: rawIdOf(bytes, spans.get("id")), method: null } as const;
  if (!spans.has("method")) return message;
  const kind = message.rawId === null ? "notification" : "request";
  return { ...message, kind, method: textOf(message, "method") };
}

/** The text of an id that is a string or a number. */
function rawIdOf(bytes: Buffer, span: Span | undefined): string | null {
  const text = span === undefined ? "null" : bytes.toString("utf8", span.from, span.to);
  return /^["\d-]/.test(text) ? text : null;
}

/** Refuses what the server might read differently. @throws Refusal */
function check(message: Message, { ambiguity, isIdClear, params }: Found): void {
  const { kind, method, rawId } = message;
  if (ambiguity !== null) {
    throw new Refusal(RPC.invalidRequest, `The message ${ambiguity}.`, isIdClear ? rawId : null);
  }
  if (Buffer.byteLength(rawId ?? "") > MOST_ID_BYTES) {
    throw new Refusal(RPC.invalidRequest, `The id of the message has more than ${MOST_ID_BYTES} bytes.`);
  }
  if (method !== TOOLS_CALL) return;
  if (kind !== "request") {
    throw new Refusal(RPC.invalidRequest, `${TOOLS_CALL} needs an id that is a string or a number.`);
  }
  for (const key of params) {
    const word = FOLDED.params.get(fold(key));
    if (word === undefined || word === key) continue;
    throw new Refusal(RPC.invalidRequest, `The message ${likeAnother(`params.${key}`, word)}.`, rawId);
  }
  if (textOf(message, "params.name") === null) {
    throw new Refusal(RPC.invalidParams, `${TOOLS_CALL} needs the name of a tool in params.name, as a string.`, rawId);
  }
}

function likeAnother(key: string, word: string): string {
  return `has the key ${JSON.stringify(key)}, which some servers read as "${word}"`;
}

/** A word as decoders compare it that do not look at its case: `ſ` is an `s` to them. */
function fold(word: string): string {
  return word.toUpperCase().toLowerCase();
}

function byFold(words: readonly string[]): ReadonlyMap<string, string> {
  return new Map(words.map((word) => [fold(word), word]));
}
