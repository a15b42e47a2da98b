// The tools of one server, as it lists them: all pages, and each tool's own bytes.

import type { Message, Span } from "../contract.ts";
import { OPEN_OBJECT, scanList, scanObject, skipSpace, skipValue, stringAt } from "../json/scan.ts";
import { addition, type Change, splice } from "../json/splice.ts";
import { jsonOf, readMessage, textOf } from "../message.ts";

export interface Tool {
  readonly name: string;
  readonly bytes: Buffer;
  /** Where its name stands in its bytes, as JSON. */
  readonly at: Span;
}

/** One answer to `tools/list`. */
export interface Page {
  readonly tools: readonly Tool[];
  /** `null`: it is the last one. */
  readonly nextCursor: string | null;
  readonly ttlMs: number;
  readonly isPrivate: boolean;
}

const OPEN_LIST = 0x5b;
const QUOTE = 0x22;

export function pageOf(said: Message): Page {
  const { bytes, spans } = said;
  const list = spans.get("result.tools");
  const ttlMs = spans.has("result.ttlMs") ? jsonOf(said, "result.ttlMs") : 0;
  return {
    tools: list === undefined || bytes[list.from] !== OPEN_LIST ? [] : toolsIn(bytes, list),
    nextCursor: textOf(said, "result.nextCursor"),
    ttlMs: typeof ttlMs === "number" && ttlMs > 0 ? ttlMs : 0,
    isPrivate: textOf(said, "result.cacheScope") !== "public",
  };
}

/** The tool under another name. */
export function named({ bytes, at }: Tool, name: string): Buffer {
  return splice(bytes, [{ at, text: JSON.stringify(name) }]);
}

/** The request for the next page: a new request of its own, with the cursor. */
export function nextPage({ bytes, spans, rawId }: Message, page: number, cursor: string): Message {
  const id = { at: spans.get("id") as Span, text: JSON.stringify(`tollgate:${page}:${rawId}`) };
  const text = JSON.stringify(cursor);
  const params = spans.get("params");
  const change = paramsWith(bytes, params, text);
  return readMessage(splice(bytes, change.at.from < id.at.from ? [change, id] : [id, change]), "client");
}

function paramsWith(bytes: Buffer, params: Span | undefined, cursor: string): Change {
  const own = `{"cursor":${cursor}}`;
  if (params === undefined) return addition(bytes, { from: skipSpace(bytes, 0), to: bytes.length }, "params", own);
  return bytes[params.from] === OPEN_OBJECT ? addition(bytes, params, "cursor", cursor) : { at: params, text: own };
}

/** What is no tool with a name is not one of them. */
function toolsIn(bytes: Buffer, list: Span): Tool[] {
  const tools: Tool[] = [];
  scanList(bytes, list.from, (from) => {
    if (bytes[from] !== OPEN_OBJECT) return skipValue(bytes, from);
    let at: Span | null = null;
    const to = scanObject(bytes, from, (key, value) => {
      const end = skipValue(bytes, value);
      if (key === "name") at = bytes[value] === QUOTE ? { from: value, to: end } : null;
      return end;
    });
    if (at !== null) tools.push(toolAt(bytes, { from, to }, at));
    return to;
  });
  return tools;
}

/** A copy: the rest of the answer must not stay in memory with it. */
function toolAt(bytes: Buffer, { from, to }: Span, name: Span): Tool {
  const at = { from: name.from - from, to: name.to - from };
  return { name: stringAt(bytes, name.from, name.to), bytes: Buffer.from(bytes.subarray(from, to)), at };
}
