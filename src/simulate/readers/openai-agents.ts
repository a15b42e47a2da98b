// Calls from what a trace exporter of the OpenAI Agents SDK gets: traces and spans, by their `toJSON`.

import { instantOf } from "../trace.ts";
import { type Fields, isFields, type JsonValue, listIn, said, textIn, unwrapped } from "./json.ts";
import { type About, callsOfSpans, type Read, type Span } from "./spans.ts";

export function isOpenAiAgents(value: unknown): boolean {
  const [item] = itemsIn(value);
  return item?.object === "trace" || item?.object === "trace.span";
}

export function readOpenAiAgents(values: readonly JsonValue[]): Read {
  const items = values.flatMap(({ line, value }) => itemsIn(value).map((item) => ({ line, item })));
  const traces = new Map(
    items.flatMap(({ item }) => (item.object === "trace" ? [[String(item.id), item] as const] : [])),
  );
  const spans = items.flatMap(({ line, item }) =>
    item.object === "trace.span" ? [spanOf(item, traces.get(String(item.trace_id)), line)] : [],
  );
  return { calls: callsOfSpans(spans), skipped: items.length - traces.size - spans.length };
}

/** The items of a line, of a list, or of what the exporter sends: `{ data: [...] }`. */
function itemsIn(value: unknown): readonly Fields[] {
  const list = isFields(value) && Array.isArray(value.data) ? value.data : value;
  return (Array.isArray(list) ? listIn(list) : [list]).filter(isFields);
}

function spanOf(item: Fields, trace: Fields | undefined, line: number): Span {
  const data = isFields(item.span_data) ? item.span_data : {};
  const ofTrace = isFields(trace?.metadata) ? trace.metadata : {};
  const traceId = String(item.trace_id ?? "");
  const ofAgent: About = data.type === "agent" ? said({ agent: textIn(data.name) }) : {};
  return {
    line,
    id: String(item.id ?? ""),
    parentId: textIn(item.parent_id),
    traceId,
    tool: toolOf(item, data),
    about: {
      ...said({
        session: textIn(trace?.group_id) ?? textIn(ofTrace.session) ?? textIn(ofTrace.sessionId),
        user: textIn(ofTrace.user) ?? textIn(ofTrace.userId),
        tenant: textIn(ofTrace.tenant) ?? textIn(ofTrace.tenantId),
      }),
      ...ofAgent,
    },
    // A trace is a turn.
    isTurn: false,
    startMs: instantOf(String(item.started_at)),
    endMs: instantOf(String(item.ended_at)),
  };
}

function toolOf({ error }: Fields, data: Fields): Span["tool"] {
  if (data.type !== "function") return null;
  return {
    name: textIn(data.name) ?? "unknown",
    toolCallId: undefined,
    args: unwrapped(data.input),
    result: unwrapped(data.output),
    hasFailed: error !== null && error !== undefined,
  };
}
