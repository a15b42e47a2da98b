// Calls from session files of Claude Code: what the assistant called, in which turn of the user, and what came of it.

import { instantOf } from "../trace.ts";
import type { TracedCall } from "../traced-call.ts";
import { type Fields, isFields, type JsonValue, listIn, said, textIn } from "./json.ts";
import type { Read } from "./spans.ts";

/** A line that matters. Others are skipped: their types change from version to version. */
interface Line {
  readonly line: number;
  readonly fields: Fields;
  readonly session: string;
  readonly atMs: number | null;
  readonly parts: readonly Fields[];
}

export function isClaudeCode(value: unknown): boolean {
  return isFields(value) && textIn(value.sessionId) !== undefined && isFields(value.message);
}

/** Reads the lines of one file or of several: those of sub-agents have the session of their parent. */
export function readClaudeCode(values: readonly JsonValue[]): Read {
  const lines = withTimes(values.flatMap(({ line, value }) => linesIn(line, value)));
  const seen = new Set<string>();
  const turns = new Map<string, number>();
  const results = resultsIn(lines);
  const calls: TracedCall[] = [];
  for (const each of lines.toSorted((one, other) => Number(one.atMs) - Number(other.atMs))) {
    // Sessions that are resumed repeat lines of the session before.
    const id = textIn(each.fields.uuid);
    if (id !== undefined && seen.has(id)) continue;
    if (id !== undefined) seen.add(id);
    if (each.fields.type === "user") {
      if (beginsTurn(each)) turns.set(each.session, (turns.get(each.session) ?? 0) + 1);
      continue;
    }
    for (const part of each.parts.filter(({ type }) => type === "tool_use")) {
      const call = `${each.session} ${part.id}`;
      if (part.id !== undefined && seen.has(call)) continue;
      seen.add(call);
      calls.push(callOf(each, part, turns.get(each.session) ?? 1, results.get(call)));
    }
  }
  return { calls, skipped: values.length - lines.length };
}

function linesIn(line: number, value: unknown): Line[] {
  if (!isFields(value) || !["user", "assistant"].includes(String(value.type)) || !isFields(value.message)) return [];
  const { content } = value.message;
  const parts = typeof content === "string" ? [{ type: "text", text: content }] : listIn(content).filter(isFields);
  const session = textIn(value.sessionId);
  if (session === undefined) return [];
  return [{ line, fields: value, session, atMs: instantOf(String(value.timestamp)), parts }];
}

/** A line without a time has that of the line before it. */
function withTimes(lines: readonly Line[]): readonly Line[] {
  let last = lines.find(({ atMs }) => atMs !== null)?.atMs ?? null;
  return lines.map((line) => {
    last = line.atMs ?? last;
    return { ...line, atMs: last };
  });
}

/** Whether it is a message of the user. Results of tools come in lines of the user, too. */
function beginsTurn({ fields, parts }: Line): boolean {
  if (fields.isMeta === true || fields.isSidechain === true) return false;
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => String(text));
  return texts.some((text) => !text.startsWith("[Request interrupted"));
}

interface Result {
  readonly atMs: number | null;
  readonly hasFailed: boolean;
  readonly content: unknown;
}

function resultsIn(lines: readonly Line[]): ReadonlyMap<string, Result> {
  const results = new Map<string, Result>();
  for (const { session, atMs, parts } of lines) {
    for (const part of parts) {
      if (part.type !== "tool_result") continue;
      const result = { atMs, hasFailed: part.is_error === true, content: part.content };
      results.set(`${session} ${part.tool_use_id}`, result);
    }
  }
  return results;
}

function callOf(
  { line, fields, session, atMs }: Line,
  part: Fields,
  turn: number,
  result: Result | undefined,
): TracedCall {
  const message = isFields(fields.message) ? fields.message : {};
  const about = said({
    agent: fields.isSidechain === true ? textIn(fields.agentId) : undefined,
    model: textIn(message.model),
    toolCallId: textIn(part.id),
    args: part.input,
  });
  const endMs = result?.atMs ?? null;
  return {
    line,
    call: { session, turn, tool: textIn(part.name) ?? "unknown", ...about },
    atMs,
    durationMs: endMs === null || atMs === null ? 0 : Math.max(0, endMs - atMs),
    hasFailed: result?.hasFailed ?? null,
    result: result?.content,
    isOk: null,
  };
}
