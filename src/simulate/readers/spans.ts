// Calls from spans that know their parents, whatever they were read from.

import type { TracedCall } from "../traced-call.ts";

/** Calls, and how many lines or documents were none of their format. */
export interface Read {
  readonly calls: readonly TracedCall[];
  readonly skipped: number;
}

export interface Span {
  readonly line: number;
  readonly id: string;
  readonly parentId: string | undefined;
  readonly traceId: string;
  /** The call of a tool; `null` for another span. */
  readonly tool: ToolSpan | null;
  /** What it says of all calls inside it. */
  readonly about: About;
  /** Whether it is what a user asked for: the outermost of these is the turn. */
  readonly isTurn: boolean;
  readonly startMs: number | null;
  readonly endMs: number | null;
}

interface ToolSpan {
  readonly name: string;
  readonly toolCallId: string | undefined;
  readonly args: unknown;
  readonly result: unknown;
  readonly hasFailed: boolean;
}

export interface About {
  readonly session?: string | undefined;
  readonly user?: string | undefined;
  readonly tenant?: string | undefined;
  readonly agent?: string | undefined;
  readonly model?: string | undefined;
}

/** The deepest nesting that is followed. */
const MAX_DEPTH = 256;

/** The calls of tools among spans, in the order of their starts. */
export function callsOfSpans(spans: readonly Span[]): TracedCall[] {
  const byId = new Map(spans.map((span) => [`${span.traceId} ${span.id}`, span]));
  const tools = spans.filter(({ tool }) => tool !== null);
  const sorted = tools.toSorted((one, other) => (one.startMs ?? 0) - (other.startMs ?? 0));
  return sorted.flatMap((span) => (span.tool === null ? [] : [callOf(span, span.tool, lineage(span, byId))]));
}

function callOf({ line, traceId, startMs, endMs }: Span, tool: ToolSpan, spans: readonly Span[]): TracedCall {
  const { session = traceId, ...about } = nearest(spans);
  const { name, toolCallId, args, result, hasFailed } = tool;
  const turn = spans.findLast(({ isTurn }) => isTurn)?.id ?? traceId;
  const label = toolCallId === undefined ? {} : { toolCallId };
  return {
    line,
    call: { session, turn, tool: name, ...about, ...label, ...(args === undefined ? {} : { args }) },
    atMs: startMs,
    durationMs: startMs === null || endMs === null ? 0 : Math.max(0, endMs - startMs),
    hasFailed,
    result,
    isOk: null,
  };
}

/** A span and those around it, the innermost first. */
function lineage(span: Span, byId: ReadonlyMap<string, Span>): readonly Span[] {
  const spans: Span[] = [];
  let next: Span | undefined = span;
  while (next !== undefined && spans.length < MAX_DEPTH) {
    spans.push(next);
    next = next.parentId === undefined ? undefined : byId.get(`${next.traceId} ${next.parentId}`);
  }
  return spans;
}

/** What the nearest span says of each dimension. */
function nearest(spans: readonly Span[]): About {
  return Object.assign({}, ...spans.map(({ about }) => about).reverse());
}
