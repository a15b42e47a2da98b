// Calls from OpenTelemetry spans in OTLP's JSON: by the conventions for generative AI, and as the AI SDK wrote them before.

import { type Fields, isFields, type JsonValue, listIn, said, textIn, unwrapped } from "./json.ts";
import { type About, callsOfSpans, type Read, type Span } from "./spans.ts";

const SESSIONS = [
  "gen_ai.conversation.id",
  "session.id",
  "ai.telemetry.metadata.session",
  "ai.telemetry.metadata.sessionId",
];
const USERS = ["user.id", "enduser.id", "ai.telemetry.metadata.user", "ai.telemetry.metadata.userId"];
const AGENTS = ["gen_ai.agent.name", "ai.telemetry.functionId"];
const MODELS = ["gen_ai.request.model", "ai.model.id"];

/** Where attributes of the user's own are, by dimension. */
export type AttributeMap = Readonly<Partial<Record<keyof About, string>>>;

export function isOtlp(value: unknown): boolean {
  return isFields(value) && Array.isArray(value.resourceSpans);
}

export function readOtlp(values: readonly JsonValue[], own: AttributeMap): Read {
  const spans: Span[] = [];
  let skipped = 0;
  for (const { value } of values) {
    const found = spansIn(value);
    if (found === null) skipped++;
    for (const [resource, fields] of found ?? []) spans.push(spanOf(fields, resource, own, spans.length + 1));
  }
  return { calls: callsOfSpans(spans), skipped };
}

/** The spans of a document, each with the attributes of its resource; `null` where it is another document. */
function spansIn(document: unknown): [resource: Fields, span: Fields][] | null {
  if (!isFields(document) || !Array.isArray(document.resourceSpans)) return null;
  return document.resourceSpans.filter(isFields).flatMap((of) => {
    const resource = attributesIn(isFields(of.resource) ? of.resource.attributes : undefined);
    const scopes = listIn(of.scopeSpans).filter(isFields);
    return scopes.flatMap(({ spans }) =>
      listIn(spans)
        .filter(isFields)
        .map((span): [Fields, Fields] => [resource, span]),
    );
  });
}

function spanOf(span: Fields, resource: Fields, own: AttributeMap, line: number): Span {
  const attributes = attributesIn(span.attributes);
  const name = String(span.name ?? "");
  const operation = attributes["gen_ai.operation.name"] ?? attributes["ai.operationId"] ?? name.split(" ")[0];
  return {
    line,
    id: String(span.spanId ?? ""),
    parentId: textIn(span.parentSpanId),
    traceId: String(span.traceId ?? ""),
    tool: toolOf(span, attributes, operation, name),
    about: { ...aboutIn(resource, own), ...aboutIn(attributes, own) },
    isTurn: ["invoke_agent", "ai.generateText", "ai.streamText"].includes(String(operation)),
    startMs: msIn(span.startTimeUnixNano),
    endMs: msIn(span.endTimeUnixNano),
  };
}

function toolOf(span: Fields, attributes: Fields, operation: unknown, name: string): Span["tool"] {
  const isOld = operation === "ai.toolCall";
  if (operation !== "execute_tool" && !isOld) return null;
  const prefix = isOld ? "ai.toolCall" : "gen_ai.tool.call";
  const tool = isOld ? attributes["ai.toolCall.name"] : attributes["gen_ai.tool.name"];
  const { code } = isFields(span.status) ? span.status : {};
  return {
    name: textIn(tool) ?? (name.replace(/^execute_tool /, "") || "unknown"),
    toolCallId: textIn(attributes[`${prefix}.id`]),
    args: unwrapped(attributes[isOld ? `${prefix}.args` : `${prefix}.arguments`]),
    result: unwrapped(attributes[`${prefix}.result`]),
    hasFailed: code === 2 || code === "STATUS_CODE_ERROR" || attributes["error.type"] !== undefined,
  };
}

function aboutIn(attributes: Fields, own: AttributeMap): About {
  const first = (dimension: keyof About, names: readonly string[]) => {
    const found = [own[dimension], ...names].find((name) => name !== undefined && attributes[name] !== undefined);
    return found === undefined ? undefined : (textIn(String(attributes[found])) ?? undefined);
  };
  return said({
    session: first("session", SESSIONS),
    user: first("user", USERS),
    tenant: first("tenant", ["tenant.id"]),
    agent: first("agent", AGENTS),
    model: first("model", MODELS),
  });
}

/** Attributes by name: OTLP has a list of keys and typed values. */
function attributesIn(list: unknown): Fields {
  const entries = listIn(list).filter(isFields);
  return Object.fromEntries(entries.map(({ key, value }) => [String(key), attributeValue(value)]));
}

function attributeValue(value: unknown): unknown {
  if (!isFields(value)) return undefined;
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.intValue !== undefined) return Number(value.intValue);
  if (isFields(value.arrayValue)) return listIn(value.arrayValue.values).map(attributeValue);
  if (isFields(value.kvlistValue)) return attributesIn(value.kvlistValue.values);
  return value.doubleValue ?? value.boolValue;
}

/** Nanoseconds since 1970, as a text: beyond what a number says exactly. */
function msIn(nanoseconds: unknown): number | null {
  const text = String(nanoseconds ?? "");
  return /^\d{7,}$/.test(text) ? Number(text.slice(0, -6)) : null;
}
